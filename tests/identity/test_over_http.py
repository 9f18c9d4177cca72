"""The authenticator, `hands.http` and the issuer's service together, over a real socket and a real reactor."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from hoopproxy.addons.oidc import OidcAuthenticator, Settings
from hoopproxy.errors import Refused
from hoopproxy.model import Credentials
from hoopproxy.proofs import Secret
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.issuer import Issuer, IssuerService


async def main(reactor):
    issuer = Issuer(Path(sys.argv[1]), "")
    service = IssuerService(reactor, issuer, 0)
    service.startService()
    issuer.url = f"http://127.0.0.1:{service.issuer_port}"
    settings = Settings(issuer=issuer.url, audience="hoopproxy")
    setting = SimpleNamespace(scheduler=TwistedScheduler(reactor))
    authenticator = OidcAuthenticator.build("corp", settings, setting)

    async def identify(token):
        return await authenticator.identify(None, Credentials("ledger", "", "", Secret(token)))

    print((await identify(issuer.issue("ada", ["eng"]))).subject)
    print((await identify(issuer.issue("bob", ["eng"]))).subject)
    await service.stopService()
    print((await identify(issuer.issue("cy", ["eng"]))).subject)
    stranger = OidcAuthenticator.build("corp", settings, setting)
    authenticator = stranger
    try:
        await identify(issuer.issue("dee"))
    except Refused as why:
        print(why.sentence)


react(lambda reactor: ensureDeferred(main(reactor)))
"""


def test_discovery_over_a_socket_and_an_outage(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "issuer")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "ada",
        "bob",
        "cy",
        "The gateway can't check tokens of your identity provider at the moment; connect again in a minute.",
    ], done.stderr
    assert done.returncode == 0
