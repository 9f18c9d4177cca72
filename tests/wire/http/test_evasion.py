"""Ways around masks, rules and credentials that are no way."""

import pytest

from hoopproxy.errors import ProtocolViolation
from hoopproxy.targets import HttpTarget
from hoopproxy.wire.http.bodies import Making, Masked
from hoopproxy.wire.http.endpoints import Endpoints, fits
from hoopproxy.wire.http.kubernetes import KubernetesReading
from hoopproxy.wire.http.messages import Answer
from hoopproxy.wire.http.resource_masks import SECRETS_MASKED, SECRETS_SHOWN
from hoopproxy.wire.http.resources import Unreadable, read

from .clusters import GREETING
from .clusters import passage as cluster_passage
from .clusters import request as cluster_request
from .h2_ends import GET, H2Client
from .plainly import CUSTOMER, LIMITS, Scene, cards, rule
from .rig import Rig

SECRET = "canary-of-a-token"
JSON_PATCH = ("Content-Type", "application/json-patch+json; charset=utf-8")
MERGE_PATCH = ("Content-Type", "application/merge-patch+json")

# Credentials in what the operator is told -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", [f"Authorization Bearer {SECRET}:", f"Authorization : Bearer {SECRET}", f"Authorization: {SECRET}\0"]
)
def test_a_field_that_is_none_is_not_quoted(line: str) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        Rig().client(f"GET / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
    assert caught.value.detail and SECRET not in caught.value.detail


@pytest.mark.parametrize(
    "pair", [("authorization", f"{SECRET}\n"), (f"Authorization{SECRET}", "x"), ("te", SECRET), (f":{SECRET}", "x")]
)
def test_nor_is_one_of_http_2(pair: tuple[str, str]) -> None:
    rig = Rig()
    with pytest.raises(ProtocolViolation) as caught:
        H2Client(rig).ask([*GET, pair])
    assert caught.value.detail and SECRET not in caught.value.detail


# Masks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain; xcharset=utf-8; charset=utf-16",
        "text/plain; charset=utf-8; charset=utf-16",
        "text/plain; charset*=utf-16''",
        "application/octet-stream, application/json",
    ],
)
def test_a_media_type_with_two_readings_is_none(media_type: str) -> None:
    answer = Scene(maskers=[cards()]).response(("Content-Type", media_type))
    assert isinstance(answer, Answer) and answer.status == 502


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json-seq",
        "application/geo+json-seq",
        "application/x-json",
        "application/csv",
        "multipart/mixed;b=x",
    ],
)
def test_what_is_text_by_another_name_is_text(media_type: str) -> None:
    head = Scene(maskers=[cards()]).response(("Content-Type", media_type))
    assert isinstance(head, Masked) and head.making is Making.TEXT


def test_no_patch_copies_a_masked_value_to_where_it_is_shown() -> None:
    masked = Scene(rule("$.pan", CUSTOMER))
    answer = masked.reading.ask(1, masked.request("/v1/customers/17", JSON_PATCH, method="PATCH"))
    assert isinstance(answer, Answer) and answer.status == 403
    for scene, target, patch in (
        (masked, "/v1/customers/17", MERGE_PATCH),
        (masked, "/v1/else", JSON_PATCH),
        (Scene(), "/v1/customers/17", JSON_PATCH),
    ):
        assert not isinstance(scene.reading.ask(1, scene.request(target, patch, method="PATCH")), Answer)


def test_nor_the_values_of_a_secret() -> None:
    def asked(protected: frozenset[str], kind: tuple[str, str], resource: str = "secrets") -> object:
        reading = KubernetesReading(cluster_passage(), GREETING, protected, LIMITS)
        request = cluster_request("PATCH", f"/api/v1/namespaces/default/{resource}/db", kind)
        answer = reading.ask(1, request)
        return answer.status if isinstance(answer, Answer) else "asked"

    assert asked(SECRETS_MASKED, JSON_PATCH) == 403
    assert asked(SECRETS_MASKED, MERGE_PATCH) == "asked"
    assert asked(SECRETS_MASKED, JSON_PATCH, "configmaps") == "asked"
    assert asked(SECRETS_SHOWN, JSON_PATCH) == "asked"


# Paths ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/customers.json", "/v1/customers.", "/V1/customers.CSV/", "/v1/customers%20"])
def test_a_format_behind_a_path_is_the_same_path(path: str) -> None:
    assert Endpoints(("/v1/customers", CUSTOMER)).of(path) == "/v1/customers"
    assert fits("/v1/customers", loosely=True)(path)
    assert not fits("/v1/customers", loosely=False)(path)


@pytest.mark.parametrize("path", ["/v1./customers/17", "/v1/customers../17.", "/V1%20/customers%20./17"])
def test_nor_is_one_with_dots_and_spaces_that_windows_takes_off(path: str) -> None:
    assert Endpoints(("/v1/customers", CUSTOMER)).of(path) == CUSTOMER
    assert not fits(CUSTOMER, loosely=True)("/v1x/customers/17")


def test_a_template_that_fits_as_it_is_goes_before_one_that_fits_loosely() -> None:
    both = Endpoints(("/v1/customers", "/v1/customers.csv"))
    assert both.of("/v1/customers.csv") == "/v1/customers.csv"
    assert both.of("/V1/customers.csv") == "/v1/customers"
    assert Endpoints(("/",)).of("/.env") == ""


@pytest.mark.parametrize("path", ["/v1/customers%3Fx", "/v1/customers%23x"])
def test_what_servers_that_decode_too_early_take_for_a_query_is_refused(path: str) -> None:
    scene = Scene(http=HttpTarget(endpoints=(CUSTOMER,)))
    answer = scene.reading.ask(1, scene.request(path))
    assert isinstance(answer, Answer) and answer.status == 400


@pytest.mark.parametrize("resource", ["se%20crets", "secrets%20$", "pods%22"])
def test_a_resource_has_no_name_that_rules_could_misread(resource: str) -> None:
    with pytest.raises(Unreadable):
        read("GET", f"/api/v1/namespaces/default/{resource}", "")
