"""SimpleSAMLphp, a real identity provider of SAML 2.0, as a process of its own; and a browser that signs in there.

Its users are alice and bob. What it sends to a service depends on the service's entity ID: see `SERVICES`.
"""

import shutil
import socket
import subprocess
import sys
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

import httpx
from lxml import html

from hoopproxy.testing.process import environment

from .provider import SigningKey

PROGRAM = Path("/usr/share/simplesamlphp/www")
START_S_MAX = 30.0
PORT_TRIES_MAX = 5

PASSWORD = "correct horse"
USERS = {
    "alice": {"uid": ["alice"], "displayName": ["Alice"], "groups": ["dba-eu", "engineers"]},
    "bob": {"uid": ["bob"], "displayName": ["Bob"], "groups": ["support-us"]},
}

ACS = "https://gateway.example/sign-in/staff/return"
SERVICES: Mapping[str, str] = {
    "https://gateway.example/saml": "",
    "https://gateway.example/both-signed": "'saml20.sign.response' => true,",
    "https://gateway.example/response-signed": "'saml20.sign.response' => true, 'saml20.sign.assertion' => false,",
    "https://gateway.example/nothing-signed": "'saml20.sign.assertion' => false,",
    "https://gateway.example/encrypted": "'assertion.encryption' => true, 'certificate' => 'service.crt',",
    "https://gateway.example/asks-signed": "'validate.authnrequest' => true, 'certificate' => 'service.crt',",
    "https://gateway.example/sha1": "'signature.algorithm' => 'http://www.w3.org/2000/09/xmldsig#rsa-sha1',",
}
"""Each service's entity ID, and what is special about it."""

CONFIG = """<?php
$config = [
    'baseurlpath' => '{url}/', 'certdir' => '{directory}/cert/', 'metadatadir' => '{directory}/metadata',
    'loggingdir' => '{directory}/log/', 'datadir' => '{directory}/data/', 'tempdir' => '{directory}/tmp',
    'session.phpsession.savepath' => '{directory}/tmp', 'secretsalt' => 'of a test', 'timezone' => 'UTC',
    'auth.adminpassword' => 'nobody signs in as this', 'technicalcontact_email' => 'na@example.org',
    'logging.handler' => 'file', 'enable.saml20-idp' => true, 'store.type' => 'phpsession',
    'session.cookie.secure' => false, 'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
    'language.default' => 'en', 'language.available' => ['en'], 'theme.use' => 'default',
    'metadata.sources' => [['type' => 'flatfile']], 'trusted.url.domains' => ['127.0.0.1'],
    'authproc.idp' => [], 'authproc.sp' => [], 'production' => false, 'usenewui' => false,
];
"""

SOURCES = "<?php\n$config = ['admin' => ['core:AdminPassword'], 'users' => ['exampleauth:UserPass', {users}]];\n"

HOSTED = """<?php
$metadata['{url}/idp'] = [
    'host' => '__DEFAULT__', 'privatekey' => 'idp.key', 'certificate' => 'idp.crt', 'auth' => 'users',
    'saml20.sign.response' => false, 'saml20.sign.assertion' => true,
    'NameIDFormat' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
    'authproc' => [3 => ['class' => 'saml:AttributeNameID', 'attribute' => 'uid',
        'Format' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent']],
];
"""


class SimpleSamlPhp:
    """The provider, ready for browsers; `url` is where it is, `metadata` what it says of itself. `acs` is the address
    to which it sends what it says of people."""

    def __init__(self, directory: Path, acs: str = ACS) -> None:
        self.directory, self._acs = directory, acs
        for name in ("cert", "config", "metadata", "log", "data", "tmp"):
            (directory / name).mkdir(mode=0o700)
        self.key, self.service_key = SigningKey(directory / "cert", "idp"), SigningKey(directory / "cert", "service")
        for _ in range(PORT_TRIES_MAX):
            if self._start():
                break
        self.metadata = httpx.get(f"{self.url}/saml2/idp/metadata.php").raise_for_status().content

    def stop(self) -> None:
        """End it, and wait for that."""
        self._end()

    @property
    def log(self) -> str:
        return (self.directory / "php.log").read_text(errors="replace")

    def _configure(self) -> None:
        users = ", ".join(f"'{name}:{PASSWORD}' => {_php(each)}" for name, each in USERS.items())
        services = "\n".join(
            f"$metadata['{entity}'] = ['AssertionConsumerService' => '{self._acs}', {special}];"
            for entity, special in SERVICES.items()
        )
        fields = {"url": self.url, "directory": self.directory}
        (self.directory / "config/config.php").write_text(CONFIG.format(**fields))
        (self.directory / "config/authsources.php").write_text(SOURCES.format(users=users))
        (self.directory / "metadata/saml20-idp-hosted.php").write_text(HOSTED.format(**fields))
        (self.directory / "metadata/saml20-sp-remote.php").write_text(f"<?php\n{services}\n")

    def _start(self) -> bool:
        """Whether it got its port; another process may have taken that meanwhile."""
        php = shutil.which("php")
        assert php and PROGRAM.is_dir(), "there is no SimpleSAMLphp; .ci/system-packages installs it"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.url = f"http://{address}"
        self._configure()
        command = [sys.executable, "-m", "hoopproxy.testing.offspring"]
        # Debian's PHP is newer than its SimpleSAMLphp.
        command += [php, "-d", "error_reporting=0", "-S", address, "-t", str(PROGRAM)]
        with (self.directory / "php.log").open("wb") as log:
            self._server = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment() | {"SIMPLESAMLPHP_CONFIG_DIR": str(self.directory / "config"), "TZ": "UTC"},
            )
        self._end = weakref.finalize(self, _end, self._server)
        give_up_s = monotonic() + START_S_MAX
        while ") started" not in self.log:
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(0.02)
            if self._server.returncode is not None or monotonic() > give_up_s:
                self.stop()
                assert "Address already in use" in self.log, self.log
                return False
        return True


def sign_in(url: str, user: str = "alice", browser: httpx.Client | None = None) -> dict[str, str]:
    """The form that a browser brings to the service after `user` has signed in where that URL leads."""
    if browser is None:
        with httpx.Client(follow_redirects=True) as fresh:
            return sign_in(url, user, fresh)
    page = browser.get(url).raise_for_status()
    fields = _form(page) | {"username": user, "password": PASSWORD}
    return _form(browser.post(str(page.url).partition("?")[0], data=fields).raise_for_status())


def _form(page: httpx.Response) -> dict[str, str]:
    forms = html.fromstring(page.content).forms
    assert forms, page.text
    return {name: value for name, value in forms[0].form_values() if name}


def _php(attributes: Mapping[str, list[str]]) -> str:
    return "[" + ", ".join(f"'{name}' => {values!r}" for name, values in attributes.items()) + "]"


def _end(server: "subprocess.Popen[bytes]") -> None:
    assert server.stdin is not None
    server.stdin.close()
    server.wait()
