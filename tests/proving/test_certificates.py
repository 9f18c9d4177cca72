"""Certificates by rules: whom they name, in which groups, for how long; and nobody by one that is revoked."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hoopproxy.addons.certificates import CertificateAuthenticator, IssuingAuthenticator, Settings
from hoopproxy.config.sentences import checked
from hoopproxy.disk.authority import make_authority
from hoopproxy.disk.client_authority import ClientAuthority, NotSigned
from hoopproxy.disk.revoked import RevokedFile, Stale
from hoopproxy.errors import ConfigError, Refused
from hoopproxy.interfaces import IIssuesCertificates
from hoopproxy.model import Identity
from tests.conftest import Spin

from .conftest import Place, arrival, shows

ADA = x509.RFC822Name("ada@example.com")


def csr(key: Any = None) -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, digest)
    return made.public_bytes(Encoding.PEM)


class Works:
    """An authority of one's own, its files, and the time."""

    def __init__(self, place: Place) -> None:
        self.place, self.directory = place, place.directory
        self.files = self.make("ca")
        self.authority = ClientAuthority(*self.files)
        place.clock.rightNow = datetime.now(UTC).timestamp()

    def make(self, name: str, constraints: x509.NameConstraints | None = None) -> tuple[Path, Path, Path]:
        files = tuple(self.directory / f"{name}.{kind}" for kind in ("pem", "key", "pass"))
        make_authority(*files, name, 30, constraints=constraints)
        return files  # type: ignore[return-value] # three of them

    @property
    def now_s(self) -> float:
        return self.place.clock.seconds()

    def certificate(self, name: x509.GeneralName = ADA, *groups: str, hours: float = 8) -> x509.Certificate:
        return self.authority.sign(csr(), name, groups, hours * 3600, self.now_s)

    def odd(self, *names: x509.GeneralName, **extensions: Any) -> x509.Certificate:
        """One that the authority would not make: whoever has its key can."""
        now = datetime.fromtimestamp(self.now_s, UTC)
        units = extensions.pop("units", ())
        subject = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self.authority.certificate.subject)
            .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=extensions.pop("since_h", 1)))
            .not_valid_after(now + timedelta(hours=extensions.pop("for_h", 1)))
        )
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        usage = extensions.pop("usage", ExtendedKeyUsageOID.CLIENT_AUTH)
        if usage:
            made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if (signs := extensions.pop("signs", None)) is not None:
            flags = dict.fromkeys(
                ("content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"), False
            )
            made = made.add_extension(
                x509.KeyUsage(
                    digital_signature=signs, key_encipherment=True, encipher_only=False, decipher_only=False, **flags
                ),
                critical=True,
            )
        return made.sign(self.authority._key, SHA256())

    def addon(self, *rules: dict[str, Any], **settings: Any) -> CertificateAuthenticator:
        raw = {"rule": list(rules) or [{"san": "email:*@example.com", "groups": ["analysts"]}]}
        raw |= {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
        made = checked(Settings, raw, "hoopproxy.toml", ("addon", "people"))
        return CertificateAuthenticator.build("people", made, self.place.setting)


@pytest.fixture
def works(place: Place) -> Works:
    return Works(place)


type Known = Callable[..., Identity | None]


@pytest.fixture
def known(spin: Spin) -> Known:
    """Whom an addon takes the holder of a certificate for."""

    def identify(addon: CertificateAuthenticator, certificate: x509.Certificate) -> Identity | None:
        found: Identity | None = spin(addon.identify(arrival(), shows(der=certificate.public_bytes(Encoding.DER))))
        return found

    return identify


def refused(known: Known, addon: CertificateAuthenticator, certificate: x509.Certificate) -> str:
    with pytest.raises(Refused) as why:
        known(addon, certificate)
    assert why.value.reason == "credentials"
    return why.value.sentence


# Names and groups -----------------------------------------------------------------------------------------------------


def test_who_holds_a_certificate_is_whom_it_names(works: Works, known: Known) -> None:
    certificate = works.certificate()
    found = known(works.addon(), certificate)
    end_s = certificate.not_valid_after_utc.timestamp()
    assert found == Identity(
        "certificates:people", "ada@example.com", "ada@example.com", frozenset({"analysts"}), end_s, "certificate"
    )


@pytest.mark.parametrize(
    ("san", "name", "is_known"),
    [
        ("email:*@example.com", x509.RFC822Name("Ada.L@EXAMPLE.com"), True),
        ("email:*@example.com", x509.RFC822Name("ada@sub.example.com"), False),
        ("email:*@example.com", x509.RFC822Name("ada@example.com.evil.example"), False),
        ("email:ada@example.com", x509.RFC822Name("Ada@example.com"), False),
        ("email:*@example.com", x509.UniformResourceIdentifier("mailto:ada@example.com"), False),
        ("uri:spiffe://example.com/ns/*/sa/*", x509.UniformResourceIdentifier("spiffe://example.com/ns/a/sa/b"), True),
        (
            "uri:spiffe://example.com/ns/*/sa/*",
            x509.UniformResourceIdentifier("spiffe://example.com/ns/a/b/sa/c"),
            False,
        ),
        ("uri:spiffe://example.com/ns/*/sa/*", x509.UniformResourceIdentifier("spiffe://example.com/ns//sa/c"), False),
        ("uri:spiffe://example.com/*", x509.UniformResourceIdentifier("spiffe://exampleXcom/a"), False),
        ("dns:*.example.com", x509.DNSName("API.example.com"), True),
        ("dns:*.example.com", x509.DNSName("a.b.example.com"), False),
        ("dns:*.example.com", x509.DNSName("*.example.com"), False),
        ("dns:*.example.com", x509.DNSName("example.com"), False),
        ("dns:*.example.com", x509.RFC822Name("a@x.example.com"), False),
    ],
    ids=range(14),
)
def test_a_star_stands_for_one_part(works: Works, known: Known, san: str, name: Any, is_known: bool) -> None:
    found = known(works.addon({"san": san}), works.odd(name))
    assert (found is not None) is is_known


@pytest.mark.parametrize(
    "san",
    [
        "ada@example.com",
        "email:",
        "email:ada",
        "ip:10.0.0.1",
        "uri:/x",
        "dns:a b",
        "email:a@B.example",
        "dns:" + "a" * 300,
    ],
)
def test_a_rule_that_fits_no_name_stops_the_start(works: Works, san: str) -> None:
    with pytest.raises(ConfigError, match="wanted is a name as in certificates"):
        works.addon({"san": san})


def test_groups_come_from_the_rule_and_from_the_subject(works: Works, known: Known) -> None:
    certificate = works.certificate(ADA, "analysts", "fraud")
    for attribute in ("ou", "2.5.4.11"):
        found = known(
            works.addon({"san": "email:*@example.com", "groups": ["all"], "groups_from": attribute}), certificate
        )
        assert found is not None and found.groups == {"all", "analysts", "fraud"}
    none = known(works.addon({"san": "email:*@example.com", "groups_from": "2.5.4.99"}), certificate)
    assert none is not None and none.groups == frozenset()


def test_the_first_rule_that_fits_counts(works: Works, known: Known) -> None:
    rules = {"san": "email:ada@example.com", "groups": ["chiefs"]}, {"san": "email:*@example.com", "groups": ["all"]}
    found = known(works.addon(*rules), works.certificate())
    assert found is not None and found.groups == {"chiefs"}


def test_a_certificate_of_two_people_is_refused(works: Works, known: Known) -> None:
    both = works.odd(ADA, x509.RFC822Name("bob@example.com"))
    assert "names several" in refused(known, works.addon(), both)
    assert known(works.addon({"san": "email:ada@example.com"}), both) is not None, "but one of them is known here"


def test_what_nobody_has_a_rule_for_is_for_others(works: Works, known: Known, spin: Spin) -> None:
    assert known(works.addon(), works.odd()) is None
    assert known(works.addon(), works.odd(x509.DNSName("api.example.com"))) is None
    assert spin(works.addon().identify(arrival(), shows("a token"))) is None
    assert spin(works.addon().identify(arrival(), shows())) is None
    with_token = shows("a token", works.certificate().public_bytes(Encoding.DER))
    assert spin(works.addon().identify(arrival(), with_token)) is None, "who shows a token is known by that"


# What it is for, and for how long -------------------------------------------------------------------------------------


def test_only_a_client_s_certificate_counts(works: Works, known: Known) -> None:
    for odd in (
        works.odd(ADA, usage=ExtendedKeyUsageOID.SERVER_AUTH),
        works.odd(ADA, usage=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
        works.odd(ADA, usage=None),
        works.odd(ADA, signs=False),
    ):
        assert "not meant for clients" in refused(known, works.addon(), odd)
    assert known(works.addon(), works.odd(ADA, signs=True)) is not None


def test_a_certificate_counts_in_its_time(works: Works, known: Known) -> None:
    certificate = works.certificate(hours=1)
    works.place.clock.advance(3601)
    assert "not valid today" in refused(known, works.addon(), certificate)
    assert "not valid today" in refused(known, works.addon(), works.odd(ADA, since_h=-1, for_h=2))


def test_a_certificate_that_was_made_for_too_long_is_refused(works: Works, known: Known) -> None:
    addon = works.addon(lifetime_s_max=86400)
    assert known(addon, works.certificate(hours=8)) is not None
    assert "longer than this gateway allows" in refused(known, addon, works.odd(ADA, since_h=23, for_h=2))


def test_an_authority_that_is_named_must_have_issued_it(works: Works, known: Known) -> None:
    certificate = works.certificate()
    other = works.make("other")
    assert known(works.addon(authority=works.files[0]), certificate) is not None
    assert known(works.addon(authority=other[0]), certificate) is None
    same_name = works.directory / "twin"
    same_name.mkdir()
    make_authority(same_name / "c", same_name / "k", same_name / "p", "ca", 30)
    assert known(works.addon(authority=same_name / "c"), certificate) is None, "its name is not its key"


# What is revoked ------------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(works: Works) -> Path:
    """A list of what is revoked, empty yet."""
    path = works.directory / "list.crl"
    works.authority.revoke(path, (), 30, works.now_s)
    return path


def test_what_is_revoked_is_refused_as_soon_as_the_list_says_so(
    works: Works, known: Known, listed: Path, spin: Spin
) -> None:
    addon = works.addon(authority=works.files[0], revoked=listed)
    mine, other = works.certificate(), works.certificate()
    found = known(addon, mine)
    assert found is not None and not addon.has_changed()
    assert works.authority.revoke(listed, [mine.serial_number], 30, works.now_s) == 1
    assert addon.has_changed() and not addon.has_changed()
    assert "was revoked" in refused(known, addon, mine)
    with pytest.raises(Refused, match="was revoked"):
        spin(addon.recheck(found, shows(der=mine.public_bytes(Encoding.DER))))
    assert known(addon, other) is not None
    assert works.authority.revoke(listed, [other.serial_number], 30, works.now_s) == 2
    assert "was revoked" in refused(known, addon, mine), "earlier ones stay listed"


def test_a_list_that_has_ended_lets_nobody_in_and_live_sessions_wait(
    works: Works, known: Known, listed: Path, spin: Spin
) -> None:
    addon = works.addon(authority=works.files[0], revoked=listed)
    certificate = works.certificate()
    found = known(addon, certificate)
    works.authority.revoke(listed, (), 1, works.now_s)
    works.place.clock.advance(86_401)
    certificate = works.certificate()
    assert "can't check at the moment" in refused(known, addon, certificate)
    with pytest.raises(Stale, match="ended at"):
        spin(addon.recheck(found, shows(der=certificate.public_bytes(Encoding.DER))))
    works.authority.revoke(listed, (), 30, works.now_s)
    assert known(addon, certificate) is not None


def test_a_list_that_is_gone_or_broken_lets_nobody_in(works: Works, known: Known, listed: Path, spin: Spin) -> None:
    addon = works.addon(authority=works.files[0], revoked=listed)
    certificate = works.certificate()
    listed.write_text("no CRL")
    assert addon.has_changed()
    assert "can't check" in refused(known, addon, certificate)
    os.unlink(listed)
    assert addon.has_changed()
    assert "can't check" in refused(known, addon, certificate)


def test_a_list_of_another_authority_stops_the_start(works: Works, tmp_path: Path, listed: Path) -> None:
    other = ClientAuthority(*works.make("other"))
    path = works.directory / "other.crl"
    other.revoke(path, (), 30, works.now_s)
    with pytest.raises(ConfigError, match="signed by none of the authorities"):
        works.addon(authority=works.files[0], revoked=path)
    with pytest.raises(ConfigError, match="another authority's"):
        works.authority.revoke(path, (), 30, works.now_s)
    both = works.directory / "both.crl"
    both.write_bytes(listed.read_bytes() + path.read_bytes())
    with pytest.raises(ConfigError, match="signed by none"):
        works.addon(authority=works.files[0], revoked=both)


def test_a_list_without_the_certificate_s_authority_tells_nothing(works: Works, listed: Path, spin: Spin) -> None:
    other = ClientAuthority(*works.make("other"))
    certificates = works.authority.certificate, other.certificate
    file = RevokedFile(listed, certificates)
    stranger = other.sign(csr(), ADA, (), 3600, works.now_s)
    with pytest.raises(Stale, match="has no list of"):
        spin(file.has(stranger, works.now_s))


def test_a_list_that_tells_a_part_only_is_not_believed(works: Works) -> None:
    now = datetime.fromtimestamp(works.now_s, UTC)
    part = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(works.authority.certificate.subject)
        .last_update(now)
        .next_update(now + timedelta(days=1))
        .add_extension(x509.DeltaCRLIndicator(1), critical=True)
        .sign(works.authority._key, SHA256())
    )
    path = works.directory / "delta.crl"
    path.write_bytes(part.public_bytes(Encoding.PEM))
    with pytest.raises(ConfigError, match="no whole one"):
        works.addon(authority=works.files[0], revoked=path)


def test_keys_that_need_each_other_are_wanted_together(works: Works, listed: Path) -> None:
    for settings in (
        {"revoked": listed},
        {"authority_key": works.files[1], "authority_passphrase_file": works.files[2]},
    ):
        with pytest.raises(ConfigError, match="no authority whose they are"):
            works.addon(**settings)
    with pytest.raises(ConfigError, match="or none of them"):
        works.addon(authority=works.files[0], authority_key=works.files[1])
    with pytest.raises(ConfigError, match="can't be used"):
        works.addon(authority=works.files[1])


# Issuing --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def issuing(works: Works) -> Any:
    certificate, key, passphrase = works.files
    made = works.addon(authority=certificate, authority_key=key, authority_passphrase_file=passphrase)
    assert isinstance(made, IssuingAuthenticator) and IIssuesCertificates.providedBy(made)
    return made


def test_it_issues_for_the_key_of_a_request_and_takes_nothing_else_from_it(
    works: Works, issuing: Any, known: Known, spin: Spin
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    wants = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "chiefs")]))
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name("root@example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    made = spin(issuing.issue(wants.public_bytes(Encoding.PEM), "email:ada@example.com", ("analysts",), 3600.0))
    assert made.public_key() == key.public_key()
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert made.subject.rfc4514_string() == "CN=ada@example.com,OU=analysts"
    made.verify_directly_issued_by(works.authority.certificate)
    found = known(issuing, made)
    assert found is not None and found.subject == "ada@example.com"
    assert found.expires_at_s == pytest.approx(works.now_s + 3600, abs=1)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "p384"])
def test_it_issues_for_keys_of_today(issuing: Any, spin: Spin, known: Known, kind: str) -> None:
    key: Any = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    }[kind]()
    assert known(issuing, spin(issuing.issue(csr(key), "email:ada@example.com", (), 3600.0))) is not None


def test_it_issues_for_no_other_key_name_or_time(issuing: Any, spin: Spin) -> None:
    good, name = csr(), "email:ada@example.com"
    broken = good.replace(b"\n-----END", b"\nAAAA\n-----END")
    for request, san, lifetime_s in (
        (b"", name, 3600.0),
        (b"x" * 70_000, name, 3600.0),
        (broken, name, 3600.0),
        (csr(rsa.generate_private_key(65537, 1024)), name, 3600.0),
        (csr(ec.generate_private_key(ec.SECP256K1())), name, 3600.0),
        (good, "email:ada@elsewhere.example", 3600.0),
        (good, "email:*@example.com", 3600.0),
        (good, "dns:api.example.com", 3600.0),
        (good, "ada", 3600.0),
        (good, "", 3600.0),
        (good, name, 86_401.0),
        (good, name, 0.0),
        (good, name, float("nan")),
    ):
        with pytest.raises(Refused):
            spin(issuing.issue(request, san, (), lifetime_s))


def test_nothing_outlives_its_authority(works: Works) -> None:
    end = works.authority.certificate.not_valid_after_utc
    made = works.authority.sign(csr(), ADA, (), 86_400.0, end.timestamp() - 600)
    assert made.not_valid_after_utc == end


def test_files_that_are_no_authority_are_named(works: Works) -> None:
    certificate, key, passphrase = works.files
    other = works.make("other")
    for files, told in (
        ((certificate, other[1], other[2]), "not the key of"),
        ((certificate, key, other[2]), "no authority"),
        ((key, key, passphrase), "no authority"),
        ((works.directory / "gone", key, passphrase), "no authority"),
    ):
        with pytest.raises(ConfigError, match=told):
            ClientAuthority(*files)


def test_a_group_that_does_not_fit_is_not_signed(works: Works) -> None:
    for group in ("", "x" * 65):
        with pytest.raises(NotSigned, match="64 characters"):
            works.authority.sign(csr(), ADA, (group,), 3600, works.now_s)
