"""What would fool a gateway before a directory: names that are filters, empty passwords, guesses, false servers."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from ldap3.core.exceptions import LDAPExceptionError

from hoopproxy.addons import ldap_directory
from hoopproxy.addons.ldap_directory import Directory
from hoopproxy.disk.private import Unfit
from hoopproxy.errors import Refused
from hoopproxy.model import Identity
from hoopproxy.testing.certificates import Authority

from .conftest import Ask
from .slapd import ACCOUNT, ACCOUNT_PASSWORD, SUFFIX, Slapd, private_file

WRONG = (
    "Your name and password are not right; give both as NAME:PASSWORD and connect again. After 4 failed attempts with "
    "a name the gateway refuses it for 15 minutes."
)
UNTOLD = (
    "The gateway can't check names and passwords at the moment; connect again in a minute, or tell the operator of the "
    "gateway."
)
SECRET = "s3cret-of-the-test"

PIECES = (
    "ada",
    "ADA",
    "*",
    "(",
    ")",
    "(uid=",
    "|",
    "&",
    "!",
    "\\",
    "\\2a",
    "\\5c",
    " ",
    "=",
    "#",
    "\0",
    "objectClass",
    ":dn:=",
)
ODD = (
    "*",
    "a*",
    "ada*",
    "*)(uid=*",
    "ada)(uid=*",
    "*)(|(uid=*",
    "ada\\2a",
    "(",
    ")",
    "\\",
    "adá",
    "ada,ou=people",
    "#x",
    "=",
)


# Secrets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["", "token", "eyJhbGciOiJub25lIn0.e30.", "lovelace"])
def test_what_holds_no_colon_is_for_the_next_authenticator(ask: Ask, secret: str) -> None:
    assert ask().identify(secret) is None


@pytest.mark.parametrize(
    "secret",
    [
        "ada:",
        ":lovelace",
        ":",
        "ada:\0",
        "ada:lovelace\0",
        "ada\0:lovelace",
        "ada\n:lovelace",
        " :lovelace",
        "a" * 257 + ":lovelace",
        "ada:" + "ä" * 513,
    ],
    ids=range(10),
)
def test_what_no_name_or_password_can_be_is_refused_before_anything_is_sent(
    ask: Ask, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ldap_directory, "Connection", None)
    assert ask().refusal(secret).sentence == WRONG


def test_the_password_is_all_behind_the_first_colon(ask: Ask, slapd: Slapd) -> None:
    slapd.add_person("col", "a:b:c")
    assert ask().person("col:a:b:c").name == "Col"


def test_passwords_are_taken_as_they_are(ask: Ask, slapd: Slapd) -> None:
    slapd.add_person("uni", "pässwörd \U0001f511\u00ad ")
    assert ask().person("uni:pässwörd \U0001f511\u00ad ").name == "Uni"


@pytest.mark.parametrize("name", ["ada", "nobody-at-all", "hoopproxy"])
def test_a_wrong_password_and_a_name_that_nobody_has_look_alike(ask: Ask, name: str) -> None:
    assert ask().refusal(f"{name}:guess").sentence == WRONG


def test_who_has_no_password_does_not_come_in(ask: Ask, slapd: Slapd) -> None:
    slapd.add_person("bare")
    assert ask().refusal("bare:guess").sentence == WRONG


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(slapd: Slapd) -> None:
    """People with names that mean something in filters."""
    for name in ODD:
        slapd.add_person(name, "odd")


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
@pytest.mark.usefixtures("odd")
def test_a_name_is_never_a_filter(ask: Ask, name: str) -> None:
    assert ask(name_attribute="uid").person(f"{name}:odd").name == name


@pytest.mark.usefixtures("odd")
def test_whatever_the_name_it_finds_who_is_called_so_and_nobody_else(ask: Ask, slapd: Slapd) -> None:
    directory = Directory(ask().settings)

    @settings(max_examples=50)
    @given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=5).map("".join))
    @example("*)(objectClass=*")
    @example("ada\x1f")
    def holds(name: str) -> None:
        assume(name)
        found = directory.find(name)
        assert slapd.called(name) == ([found.dn] if found else [])

    holds()


def test_a_filter_that_fits_two_people_lets_neither_in(ask: Ask, slapd: Slapd) -> None:
    for uid in ("twin1", "twin2"):
        slapd.add_person(uid, uid, mail="twins@example.test")
    refused = ask(filter="(mail={name})").refusal("twins@example.test:twin1")
    assert refused.sentence == UNTOLD and "more than 1 entries" in refused.detail


# Guesses --------------------------------------------------------------------------------------------------------------


def test_after_some_failures_no_password_is_tried_any_more(ask: Ask, slapd: Slapd) -> None:
    slapd.add_person("minnie", "right")
    people = ask()
    for spelled in ("minnie", "MINNIE", " minnie", "Minnie "):
        assert people.refusal(f"{spelled}:guess").sentence == WRONG
    assert "tries no password with it for 15 minutes" in people.refusal("minnie:right").sentence
    assert people.person("ada:lovelace"), "others are not touched"
    people.clock.advance(901)
    assert people.person("minnie:right").name == "Minnie"


def test_names_that_nobody_has_are_limited_alike(ask: Ask) -> None:
    people = ask(failures_max=2)
    said = [people.refusal(f"{name}:guess").sentence for name in ("no-one", "NO-ONE ", "no-one")]
    assert said[:2] == [WRONG.replace("4 failed", "2 failed")] * 2 and "tries no password" in said[2]


def test_right_passwords_are_no_failures_however_many_come_at_once(ask: Ask) -> None:
    came = ask(failures_max=1).at_once("ada:lovelace" for _ in range(6))
    assert {each.subject for each in came if isinstance(each, Identity)} == {ask().person().subject}
    assert len(came) == 6 and not any(isinstance(each, Exception) for each in came)


def test_wrong_passwords_at_once_are_no_more_than_may_fail(ask: Ask, slapd: Slapd) -> None:
    slapd.add_person("rushed", "right")
    came = ask(failures_max=3).at_once(f"rushed:guess{n}" for n in range(8))
    sentences = [each.sentence for each in came if isinstance(each, Refused)]
    assert sum("NAME:PASSWORD" in each for each in sentences) == 3
    assert sum("tries no password" in each for each in sentences) == 5


# Servers --------------------------------------------------------------------------------------------------------------


def test_a_server_of_another_authority_is_not_asked(ask: Ask, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "ca", "stranger")
    refused = ask(ca_file=str(stranger.ca_file)).refusal("ada:lovelace")
    assert refused.sentence == UNTOLD and "CERTIFICATE_VERIFY_FAILED" in refused.detail


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_a_certificate_must_be_for_the_name_that_is_configured(ask: Ask, slapd: Slapd, scheme: str) -> None:
    port = slapd.tls_port if scheme == "ldaps" else slapd.port
    refused = ask(servers=[f"{scheme}://localhost:{port}"]).refusal("ada:lovelace")
    assert refused.sentence == UNTOLD and "Hostname mismatch" in refused.detail


@pytest.mark.parametrize("code", [0, 2, 52], ids=["begins-and-speaks-no-tls", "knows-no-tls", "is-unavailable"])
def test_nothing_is_said_to_a_server_that_does_not_begin_tls(ask: Ask, code: int) -> None:
    with Listener(lambda heard: extended_response(heard, code)) as server:
        refused = ask(servers=[f"ldap://127.0.0.1:{server.port}"], timeout_s_max=1).refusal(f"ada:{SECRET}")
    assert refused.sentence == UNTOLD
    assert SECRET.encode() not in server.heard and ACCOUNT_PASSWORD.encode() not in server.heard
    assert b"1.3.6.1.4.1.1466.20037" in server.heard and ACCOUNT.encode() not in server.heard


def test_nothing_is_said_when_the_library_only_thinks_that_it_began_tls(
    ask: Ask, slapd: Slapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ldap3.Connection.start_tls", lambda self, read_server_info: True)
    refused = ask(servers=[slapd.urls[1]]).refusal("ada:lovelace")
    assert refused.sentence == UNTOLD and "did not begin TLS" in refused.detail


def test_ldaps_to_a_port_without_tls_says_nothing_in_the_clear(ask: Ask) -> None:
    with Listener(lambda heard: extended_response(b"0\0\2\1\1", 0)) as server:
        assert ask(servers=[f"ldaps://127.0.0.1:{server.port}"]).refusal(f"ada:{SECRET}").sentence == UNTOLD
    assert SECRET.encode() not in server.heard and ACCOUNT_PASSWORD.encode() not in server.heard


@pytest.mark.parametrize("says", [b"", b"0\x84\x7f\xff\xff\xff" + b"x" * 4000], ids=["nothing", "a-drop-at-a-time"])
def test_a_server_that_takes_for_ever_is_given_up(ask: Ask, says: bytes) -> None:
    with Listener(lambda _: says, drips=True) as server:
        refused = ask(servers=[f"ldap://127.0.0.1:{server.port}"], timeout_s_max=1).refusal("ada:lovelace")
    assert refused.sentence == UNTOLD


@pytest.mark.parametrize("way", [0, 1], ids=["ldaps", "starttls"])
def test_a_connection_that_is_given_up_says_nothing_in_the_clear(ask: Ask, slapd: Slapd, way: int) -> None:
    people = ask(servers=[slapd.urls[way]])
    directory = Directory(people.settings)
    with directory._connected(people.settings.servers[0], ACCOUNT, ACCOUNT_PASSWORD.encode()) as connection:
        ldap_directory._hang_up(connection)
        assert connection.socket.version() == "TLSv1.3"
        with pytest.raises(LDAPExceptionError):
            connection.bind()


def test_referrals_are_never_followed(ask: Ask, slapd: Slapd) -> None:
    with Listener(lambda heard: extended_response(heard, 0)) as elsewhere:
        place = f"ou=elsewhere,{SUFFIX}"
        slapd.add(
            place,
            ["referral", "extensibleObject"],
            ou="elsewhere",
            ref=f"ldap://127.0.0.1:{elsewhere.port}/{place}",
        )
        assert ask(base=SUFFIX).person("ada:lovelace"), "one beside what is searched does no harm"
        assert ask(base=SUFFIX).refusal("eve:lovelace").sentence == WRONG
        refused = ask(base=place).refusal("ada:lovelace")
        assert refused.sentence == UNTOLD and "referral" in refused.detail
    assert elsewhere.heard == b"" and elsewhere.calls == 0


def test_the_next_server_is_asked_when_one_is_away(ask: Ask, slapd: Slapd, authority: Authority) -> None:
    with Listener(lambda heard: extended_response(heard, 52)) as broken:
        people = ask(servers=["ldaps://127.0.0.1:1", f"ldap://127.0.0.1:{broken.port}", slapd.urls[1]])
        assert people.person("ada:lovelace").name == "Ada Lovelace"
        assert people.refusal("ada:guess").sentence == WRONG, "the first that can be asked has the last word"
        assert broken.calls == 1, "and is asked first from then on"


def test_nobody_comes_in_while_the_directory_is_away_and_no_attempt_counts(ask: Ask, slapd: Slapd) -> None:
    people = ask(failures_max=1)
    slapd.stop()
    try:
        for _ in range(3):
            refused = people.refusal("ada:lovelace")
            assert refused.sentence == UNTOLD and "Connection refused" in refused.detail
    finally:
        slapd.start()
    assert people.person("ada:lovelace").name == "Ada Lovelace"


def test_what_the_directory_makes_an_anonymous_bind_proves_nothing_and_is_no_failed_attempt(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = ask(failures_max=1)
    monkeypatch.setattr("ldap3.extend.StandardExtendedOperations.who_am_i", lambda self: "")
    for _ in range(2):
        refused = people.refusal("ada:lovelace")
        assert refused.sentence == UNTOLD and "anonymous" in refused.detail


# The gateway's own account ----------------------------------------------------------------------------------------


def test_its_password_is_read_each_time_and_never_from_a_file_that_others_read(ask: Ask, tmp_path: Path) -> None:
    people, file = ask(), tmp_path / "ldap.password"
    assert people.person("ada:lovelace")
    private_file(file, "changed")
    refused = people.refusal("ada:lovelace")
    assert refused.sentence == UNTOLD and "gateway's own account ended with invalidCredentials" in refused.detail
    private_file(file, ACCOUNT_PASSWORD).chmod(0o640)
    assert "others have the rights 040" in people.refusal("ada:lovelace").detail
    with pytest.raises(Unfit, match="others have the rights"):
        ask()


def test_a_missing_ca_file_stops_the_start(ask: Ask, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ask(ca_file=str(tmp_path / "none.pem"))


class Listener:
    """In place of a server: notes all that it hears, and says one thing to each who calls."""

    def __init__(self, answer: Callable[[bytes], bytes], *, drips: bool = False) -> None:
        self.heard, self.calls = b"", 0
        self._answer, self._drips = answer, drips
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                call, _ = self._socket.accept()
                with call, suppress(OSError):
                    self.calls += 1
                    self._talk(call)

    def _talk(self, call: socket.socket) -> None:
        heard = call.recv(4096)
        self.heard += heard
        says = self._answer(heard)
        if not self._drips:
            call.sendall(says)
        for each in says if self._drips else b"":
            if self._over.wait(0.1):
                return
            call.send(bytes([each]))
        while more := call.recv(4096):
            self.heard += more


def extended_response(request: bytes, code: int) -> bytes:
    """The answer to an extended request (RFC 4511 §4.12), with its number."""
    number = request[2 : 4 + request[3]]
    body = number + bytes((0x78, 7, 10, 1, code, 4, 0, 4, 0))
    return bytes((0x30, len(body))) + body
