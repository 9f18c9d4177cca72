"""The page behind a signed link: what somebody asks for, and the commands that decide it. It decides nothing itself.

Knows no socket and no sign-in: whoever has the link may read the page, as whoever has it may read the request.
"""

from hoopproxy.access.office import Office
from hoopproxy.access.request import AccessRequest, NotPossible
from hoopproxy.portal.exchange import Asked, Reply, Wrong, page

CHANGED = "The request was changed since this link was made; ask for a new link, and read what it says."


async def linked(asked: Asked, url: str, office: Office) -> Reply:
    """The page. `url` is the portal's. @raise Wrong: the link is changed, expired, or stale. @raise StoreUnavailable"""
    link = f"{url}{asked.path}?{asked.query}"
    try:
        found = office.linked(link)
        request = await office.find(found.request_id, None)
    except NotPossible as why:
        raise Wrong(403, str(why)) from why
    if request.terms.digest != found.terms_sha256:
        raise Wrong(409, CHANGED)
    if not office.link(request):
        return page(f"The request is {request.phase.value}", *_lines(request), "There is nothing to decide any more.")
    return page(
        "Somebody asks for access",
        *_lines(request),
        "Nothing is decided by reading this. If it is yours to decide, sign in in your terminal (hoopproxy login "
        f"--gateway {url}) and run one of these:",
        f"hoopproxy access approve '{link}'",
        f"hoopproxy access deny '{link}'",
    )


def _lines(request: AccessRequest) -> list[str]:
    terms = request.terms
    told = {
        "Who": terms.requester,
        "Target": terms.target_name,
        "Accounts": ", ".join(sorted(terms.accounts)),
        "Reason": terms.reason,
        "Ticket": terms.ticket,
        "For": f"{round(terms.duration_s / 60)} min",
        "Columns shown unmasked": ", ".join(sorted(terms.reveals)),
        "Sessions at most": terms.sessions_max,
        "Rows at most": terms.rows_max,
        "Bytes at most": terms.bytes_max,
        "Zone": terms.zone,
        "Rule": terms.rule,
        "Request": request.request_id,
        "Terms": terms.digest,
    }
    return [f"{name}: {value}" for name, value in told.items() if value not in ("", None)]
