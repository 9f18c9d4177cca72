"""People and services on a list: recognised by what they hold or where they are, and by nothing that two share."""

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hoopproxy.addons.known_identities import FILE_BYTES_MAX, KnownIdentities, Settings
from hoopproxy.config.sentences import checked
from hoopproxy.errors import ConfigError, Refused
from hoopproxy.model import Arrival, Credentials, Endpoint, Identity
from hoopproxy.proofs import HeldKey, Secret
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.ssh_keys import new_key
from tests.conftest import Spin

from .conftest import START_S, Place, run

ADA, BOT = new_key(), new_key("ecdsa")


def arrival(protocol: str = "tcp", client: str = "10.1.2.3") -> Arrival:
    return Arrival("c1", "front", protocol, Endpoint(ip_address(client), 50000), START_S)


def shows(key: HeldKey | None = None, token: str = "") -> Credentials:
    return Credentials("cache", "", "", Secret(token), key=key)


def ssh(key: Any) -> Credentials:
    return shows(HeldKey("ssh", key.blob))


type Make = Callable[..., KnownIdentities]


@pytest.fixture
def known(place: Place) -> Make:
    """The addon with these identities, or these settings."""

    def make(*identities: dict[str, Any], **settings: Any) -> KnownIdentities:
        raw = settings | ({"identity": list(identities)} if identities else {})
        checked_ = checked(Settings, raw, "hoopproxy.toml", ("addon", "known"))
        return KnownIdentities.build("known", checked_, place.setting)

    return make


def mistakes(known: Make, *identities: dict[str, Any], **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        known(*identities, **settings)
    return "\n".join(caught.value.problems)


@pytest.fixture
def certified(authority: Authority, tmp_path: Path) -> Callable[..., Credentials]:
    """What a client with such a certificate shows."""

    def make(**names: Any) -> Credentials:
        leaf = authority.issue("someone", **names)
        certificate = x509.load_pem_x509_certificate(leaf.certificate_file.read_bytes())
        return shows(HeldKey("x509", certificate.public_bytes(Encoding.DER)))

    return make


def identify(addon: KnownIdentities, credentials: Credentials, at: Arrival | None = None) -> Identity | None:
    found: Identity | None = run(addon.identify(at or arrival(), credentials))
    return found


# SSH keys -------------------------------------------------------------------------------------------------------------


def test_who_holds_a_listed_key_is_that_person(known: Make) -> None:
    addon = known(
        {"subject": "ada", "name": "Ada", "groups": ["analysts"], "ssh_keys": [f"{ADA.public} ada@laptop"]},
        {"subject": "bot", "ssh_keys": [BOT.public]},
    )
    assert identify(addon, ssh(ADA), arrival("ssh")) == Identity(
        "known:known", "ada", "Ada", frozenset({"analysts"}), START_S + 43200, "ssh-key"
    )
    bot = identify(addon, ssh(BOT), arrival("ssh"))
    assert bot is not None and (bot.subject, bot.name, bot.groups) == ("bot", "bot", frozenset())


def test_a_key_that_nobody_has_is_for_the_next_to_judge(known: Make) -> None:
    addon = known({"subject": "ada", "ssh_keys": [ADA.public], "addresses": ["10.0.0.0/8"]})
    assert identify(addon, ssh(BOT)) is None, "and its address does not help it"
    assert identify(addon, shows(HeldKey("pgp", ADA.blob))) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        f"restrict {ADA.public}",
        f'command="/bin/sh" {ADA.public}',
        ADA.public.replace("ssh-ed25519 ", "ssh-rsa ", 1),
        ADA.public[:-4],
        "ssh-dss AAAAB3NzaC1kc3MAAACBAP",
        "ssh-ed25519-cert-v01@openssh.com " + ADA.public.split()[1],
    ],
    ids=range(9),  # keys are new each time, and those who run side by side must agree on names
)
def test_a_line_that_is_no_plain_key_stops_the_start(known: Make, line: str) -> None:
    said = mistakes(known, {"subject": "ada", "ssh_keys": [line]})
    assert "addon.known.identity[0].ssh_keys[0]" in said and "wanted is an OpenSSH public key" in said


def test_a_short_rsa_key_stops_the_start(known: Make) -> None:
    key = rsa.generate_private_key(65537, 1024)
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert "1024 bits" in mistakes(known, {"subject": "ada", "ssh_keys": [line]})


def test_an_rsa_key_of_today_is_fine(known: Make) -> None:
    key = new_key("rsa")
    found = identify(known({"subject": "ada", "ssh_keys": [key.public]}), ssh(key), arrival("ssh"))
    assert found is not None and found.subject == "ada"


# Certificates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ("dns:api.example.com", {"dns": ["api.example.com"]}),
        ("dns:API.Example.com", {"dns": ["other.example.com", "api.EXAMPLE.com"]}),
        ("uri:spiffe://example.com/ns/prod/sa/api", {"uris": ["spiffe://example.com/ns/prod/sa/api"]}),
        ("email:Ada@example.com", {"emails": ["Ada@EXAMPLE.com"]}),
    ],
)
def test_who_holds_a_certificate_of_that_name_is_that_service(
    known: Make, certified: Callable[..., Credentials], listed: str, names: dict[str, Any]
) -> None:
    addon = known({"subject": "api", "groups": ["services"], "certificates": [listed]})
    found = identify(addon, certified(**names, days=36500))
    assert found is not None
    assert (found.subject, found.method, found.groups) == ("api", "certificate", frozenset({"services"}))


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"dns": ["api.example.com.evil.example"]},
        {"dns": ["*.example.com"]},
        {"dns": ["example.com"]},
        {"uris": ["https://api.example.com"]},
        {"uris": ["dns:api.example.com"]},
        {"uris": ["spiffe://example.com/API"]},
        {"emails": ["api@api.example.com"]},
        {"emails": ["ADA@example.com"]},
        {"ips": ["10.1.2.3"]},
    ],
)
def test_another_name_is_nobody_s(known: Make, certified: Callable[..., Credentials], names: dict[str, Any]) -> None:
    proofs = ["dns:api.example.com", "uri:spiffe://example.com/api", "email:ada@example.com"]
    addon = known({"subject": "api", "certificates": proofs, "addresses": ["10.0.0.0/8"]})
    assert identify(addon, certified(**names)) is None, "and the address of its holder does not help it"


def test_a_certificate_of_two_people_is_refused_and_nobody_else_is_asked(
    known: Make, certified: Callable[..., Credentials]
) -> None:
    addon = known(
        {"subject": "a", "certificates": ["dns:a.example"]}, {"subject": "b", "certificates": ["dns:b.example"]}
    )
    with pytest.raises(Refused, match="names several") as caught:
        identify(addon, certified(dns=["a.example", "b.example"]))
    assert caught.value.reason == "credentials" and "'a' and 'b'" in caught.value.detail


def test_two_names_of_one_service_are_one_service(known: Make, certified: Callable[..., Credentials]) -> None:
    addon = known({"subject": "a", "certificates": ["dns:a.example", "dns:b.example"]})
    assert identify(addon, certified(dns=["a.example", "b.example"])) is not None


def test_nobody_is_believed_for_longer_than_the_certificate(
    known: Make, place: Place, certified: Callable[..., Credentials]
) -> None:
    shown = certified(dns=["a.example"], days=30)
    assert shown.key is not None
    end_s = x509.load_der_x509_certificate(shown.key.data).not_valid_after_utc.timestamp()
    place.clock.rightNow = end_s - 100
    found = identify(known({"subject": "a", "certificates": ["dns:a.example"]}), shown)
    assert found is not None and found.expires_at_s == end_s
    place.clock.rightNow = end_s - 100_000
    found = identify(known({"subject": "a", "certificates": ["dns:a.example"]}, lifetime_s_max=60), shown)
    assert found is not None and found.expires_at_s == end_s - 100_000 + 60


@pytest.mark.parametrize(
    "name",
    ["api.example.com", "dns:", "dns:*.example.com", "dns:10.0.0.1", "uri:api", "email:ada", "CN=ada", "ip:10.0.0.1"],
)
def test_what_is_no_name_stops_the_start(known: Make, name: str) -> None:
    said = mistakes(known, {"subject": "api", "certificates": [name]})
    assert "addon.known.identity[0].certificates[0]" in said and "wanted is a name in a certificate" in said


# Addresses ------------------------------------------------------------------------------------------------------------


def test_over_raw_tcp_the_address_tells_who_it_is_and_the_longest_network_counts(known: Make) -> None:
    addon = known(
        {"subject": "office", "addresses": ["10.0.0.0/8", "2001:db8::/32"]},
        {"subject": "printer", "addresses": ["10.1.2.3/32"]},
    )

    def at(client: str, protocol: str = "tcp") -> str:
        found = identify(addon, shows(), arrival(protocol, client))
        return found.subject if found else ""

    assert at("10.1.2.3") == "printer"
    assert at("10.1.2.4") == "office" and at("2001:db8:1::7") == "office"
    assert at("11.0.0.1") == "" and at("::1") == ""
    assert at("10.1.2.3", "postgres") == at("10.1.2.3", "ssh") == ""


def test_who_shows_anything_is_not_judged_by_the_address(known: Make, certified: Callable[..., Credentials]) -> None:
    addon = known({"subject": "all", "addresses": ["0.0.0.0/0", "::/0"]})
    for shown in (shows(token="eyJ"), ssh(ADA), certified(dns=["a.example"])):
        assert identify(addon, shown) is None


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0", "example.com", 7])
def test_what_is_no_network_stops_the_start(known: Make, network: Any) -> None:
    said = mistakes(known, {"subject": "api", "addresses": [network]})
    assert "addon.known.identity[0].addresses[0]" in said and "wanted is a network" in said


# The list -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "proof",
    [
        {"ssh_keys": [f"{ADA.public} other comment"]},
        {"certificates": ["dns:API.example.com"]},
        {"addresses": ["10.0.0.0/8"]},
    ],
)
def test_one_thing_of_two_people_stops_the_start(known: Make, proof: dict[str, Any]) -> None:
    mine = {"ssh_keys": [ADA.public], "certificates": ["dns:api.example.com"], "addresses": ["10.0.0.0/8"]}
    said = mistakes(known, {"subject": "a", **mine}, {"subject": "b", **proof})
    assert "of 'a' and of 'b'" in said


def test_one_subject_is_one_identity(known: Make) -> None:
    said = mistakes(known, {"subject": "a", "ssh_keys": [ADA.public]}, {"subject": "a", "ssh_keys": [BOT.public]})
    assert "two identities with the subject 'a'" in said


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ({}, "wanted is either file, or one"),
        ({"identity": []}, "wanted is either file, or one"),
        ({"file": "a.toml", "identity": [{"subject": "a", "addresses": ["::/0"]}]}, "wanted is either file, or one"),
        ({"identity": [{"subject": "a"}]}, "at least one of ssh_keys, certificates and addresses"),
        ({"identity": [{"subject": "", "addresses": ["::/0"]}]}, "1 to 255 printable characters"),
        ({"identity": [{"subject": "a\u202eb", "addresses": ["::/0"]}]}, "1 to 255 printable characters"),
        ({"identity": [{"addresses": ["::/0"]}]}, "subject is missing"),
        ({"identity": [{"subject": "a", "address": ["::/0"]}]}, "did you mean addon.known.identity[0].addresses"),
        ({"identity": [{"subject": "a", "addresses": ["::/0"]}], "lifetime_s_max": 0}, "from 60 to 604800"),
    ],
)
def test_what_is_wrong_with_it_is_said_in_a_sentence(known: Make, raw: dict[str, Any], wanted: str) -> None:
    assert wanted in mistakes(known, **raw)


# The file -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "identities.toml"
    path.write_text(listed("ada", ADA.public))
    return path


def listed(subject: str, key: str) -> str:
    return f'[[identity]]\nsubject = "{subject}"\ngroups = ["analysts"]\nssh_keys = ["{key}"]\n'


def test_who_is_taken_out_of_the_file_is_unknown_from_then_on(known: Make, file: Path, spin: Spin) -> None:
    addon = known(file=str(file))

    def found(key: Any) -> Any:
        return spin(addon.identify(arrival("ssh"), ssh(key)))

    assert found(ADA).groups == {"analysts"} and found(BOT) is None
    file.write_text(listed("bot", BOT.public))
    assert found(ADA) is None and found(BOT).subject == "bot"
    newer = file.with_name("newer")
    newer.write_text(listed("ada", ADA.public))
    newer.rename(file)
    assert found(ADA).subject == "ada" and found(BOT) is None


@pytest.mark.parametrize(
    "content", ["[[identity]]\nsubject = 7\n", "[[", "\udcff", listed("a", "x"), '[[identity]]\nsubject = "a"\n']
)
def test_as_long_as_the_file_is_wrong_nobody_is_known(known: Make, file: Path, spin: Spin, content: str) -> None:
    addon = known(file=str(file))
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"identities\.toml"):
            spin(addon.identify(arrival("ssh"), ssh(ADA)))
    file.write_text(listed("ada", ADA.public))
    assert spin(addon.identify(arrival("ssh"), ssh(ADA))).subject == "ada"


def test_as_long_as_there_is_no_file_nobody_is_known(known: Make, file: Path) -> None:
    addon = known(file=str(file))
    file.unlink()
    with pytest.raises(FileNotFoundError):
        identify(addon, ssh(ADA), arrival("ssh"))
    assert "can't be read" in mistakes(known, file=str(file))


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_change_is_not_believed(known: Make, file: Path, mode: int) -> None:
    file.chmod(mode)
    assert "others may change it" in mistakes(known, file=str(file))


def test_a_file_of_somebody_else_is_not_believed(known: Make, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:  # root's files are everybody's
        os.chown(file, 4711, -1)
    assert "others may change it" in mistakes(known, file=str(file))


def test_an_endless_file_is_not_read(known: Make, file: Path) -> None:
    with file.open("ab") as opened:
        opened.truncate(FILE_BYTES_MAX + 1)
    assert f"longer than {FILE_BYTES_MAX} bytes" in mistakes(known, file=str(file))


def test_a_list_of_two_with_one_thing_is_wrong_in_a_file_as_well(known: Make, file: Path) -> None:
    file.write_text(listed("ada", ADA.public) + listed("eve", ADA.public))
    assert "of 'ada' and of 'eve'" in mistakes(known, file=str(file))


def test_a_file_without_anybody_knows_nobody(known: Make, file: Path) -> None:
    file.write_text("")
    assert identify(known(file=str(file)), ssh(ADA), arrival("ssh")) is None


# Re-checks ------------------------------------------------------------------------------------------------------------


def test_who_is_in_is_looked_at_again_with_the_groups_of_now(place: Place, known: Make, spin: Spin) -> None:
    path = place.directory / "identities.toml"

    def listed(groups: str) -> None:
        line = f'{{ subject = "ada", groups = [{groups}], ssh_keys = ["{ADA.public}"], addresses = ["10.0.0.0/8"] }}'
        path.write_text(f"identity = [{line}]\n")
        path.chmod(0o600)

    listed('"analysts"')
    addon = known(file=str(path))
    by_key = spin(addon.identify(arrival("ssh"), ssh(ADA)))
    by_address = spin(addon.identify(arrival(), shows()))
    assert not addon.has_changed()
    listed('"cooks"')
    assert addon.has_changed() and not addon.has_changed()
    for identity, credentials in ((by_key, ssh(ADA)), (by_address, shows())):
        again = spin(addon.recheck(identity, credentials))
        assert again.groups == {"cooks"} and again.method == identity.method
    path.write_text("identity = []\n")
    assert spin(addon.recheck(by_key, ssh(ADA))) is None and spin(addon.recheck(by_address, shows())) is None
    path.unlink()
    assert addon.has_changed()
    with pytest.raises(OSError, match="No such file"):
        spin(addon.recheck(by_key, ssh(ADA)))


def test_who_is_listed_in_the_configuration_itself_never_changes(known: Make) -> None:
    addon = known({"subject": "ada", "groups": ["analysts"], "ssh_keys": [ADA.public]})
    found = identify(addon, ssh(ADA), arrival("ssh"))
    assert found is not None and run(addon.recheck(found, ssh(ADA))) == found
    assert not addon.has_changed()
