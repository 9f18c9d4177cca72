"""Where requests may go: to the target that proves its configured name, whatever the client's SNI and Host say."""

import json
import socket
import ssl

import pytest

from hoopproxy.testing.http_stand import CLEAR, host_of

from .conftest import TOKEN, HttpStand, Services
from .h2_client import H2Client
from .raw import Raw
from .ways import Way, run


def statement_of(error: bytes) -> str:
    """The sentence in a refusal's body."""
    said = json.loads(error)
    assert said["error"].endswith((".", "?"))
    return str(said["error"])


# Certificates of targets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("wrong-name", "elsewhere.example"),
        ("expired", "expired"),
        ("unknown-authority", "authorit"),
        ("name-in-subject-only", "name"),
    ],
)
@pytest.mark.parametrize("way", ["reverse", "forward"])
def test_a_target_that_does_not_prove_its_name_gets_no_byte(
    stand: HttpStand, services: Services, target: str, why: str, way: str
) -> None:
    to: Way = getattr(stand, way)(target)
    ran = to.curl("/customers", "--include", "--data", "secret")
    status = b"CONNECT tunnel failed, response 502" in ran.err or ran.out.startswith((b"HTTP/1.1 502", b"HTTP/2 502"))
    assert status, ran
    assert services.unproven[target].arrived == []
    told = stand.gateway.heard("denied", holding=target)
    assert why in str(told).lower(), told


def test_an_address_in_a_certificate_counts_for_an_address(stand: HttpStand) -> None:
    assert stand.reverse("by-address").fetch("/customers").status == 200


# Names that clients say -----------------------------------------------------------------------------------------------


def tunnel(stand: HttpStand, authority: str, person: str = "ada") -> tuple[socket.socket, bytes]:
    """A CONNECT, and what the gateway says to it."""
    line = socket.create_connection(stand.address(CLEAR), 30)
    token = stand.tokens[person]
    line.sendall(
        f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Bearer {token}\r\n\r\n".encode()
    )
    return line, line.recv(1 << 16)


@pytest.mark.parametrize(("sni", "status"), [("localhost", 200), (None, 200), ("other.example", 421)])
def test_the_name_that_is_verified_is_the_targets_whatever_sni_says(
    stand: HttpStand, services: Services, sni: str | None, status: int
) -> None:
    line, said = tunnel(stand, stand.site.targets["old"].authority)
    assert said.startswith(b"HTTP/1.1 200 ")
    tls = ssl.create_default_context(cafile=str(stand.site.ca_file))
    tls.check_hostname = False
    services.old.snis.clear()
    with tls.wrap_socket(line, server_hostname=sni) as inner:
        names = dict(inner.getpeercert() or {})["subjectAltName"]
        assert names == (("DNS", "localhost"),)
        inner.sendall(f"GET /customers/1 HTTP/1.1\r\nHost: {stand.site.targets['old'].authority}\r\n\r\n".encode())
        assert inner.recv(1 << 16).startswith(b"HTTP/1.1 %d " % status)
    assert set(services.old.snis) <= {"localhost"}


def test_a_tunnel_to_localhost_does_not_reach_who_has_the_certificate_of_its_sni(stand: HttpStand) -> None:
    """`wrong-name` is at localhost and proves to be elsewhere.example."""
    line, said = tunnel(stand, stand.site.targets["wrong-name"].authority)
    with line:
        assert said.startswith(b"HTTP/1.1 502 ")


def test_a_tunnel_leads_to_the_host_that_it_was_asked_for_alone(stand: HttpStand, services: Services) -> None:
    arrived = len(services.plain.arrived)
    for host in (stand.site.targets["plain"].authority, "elsewhere.example", host_of("shop")):
        line, _ = tunnel(stand, stand.site.targets["shop"].authority)
        tls = ssl.create_default_context(cafile=str(stand.site.ca_file))
        with tls.wrap_socket(line, server_hostname="localhost") as inner:
            inner.sendall(f"GET /customers HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert inner.recv(1 << 16).startswith(b"HTTP/1.1 421 ")
    assert len(services.plain.arrived) == arrived


def test_another_targets_name_on_a_kept_connection_is_misdirected(stand: HttpStand) -> None:
    with Raw(stand, "plain") as client:
        client.say(client.head())
        assert client.hear().status == 200
        client.say(client.head(host=client.netloc.replace("plain", "shop")))
        assert client.hear().status == 421


def test_connections_that_h2_coalesces_are_misdirected(stand: HttpStand) -> None:
    """The certificate holds both names, so a client may take one connection for both (RFC 9113 §9.1.1)."""
    with H2Client(stand, "shop") as client:
        assert client.ask([]) == "200"
        netloc = stand.reverse("old").netloc
        assert client.ask([(":authority", netloc)]) == "421"
        assert client.ask([]) == "200"


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.254.169.254.",
        "169.254.169.254.nip.io",
        "metadata.google.internal",
        "metadata.google.internal.",
        "METADATA",
        "100.100.100.200",
        "168.63.129.16",
        "127.0.0.1",
        "127.1",
        "[::1]",
        "0.0.0.0",
        "0",
    ],
)
def test_no_spelling_of_a_place_leads_to_one(stand: HttpStand, host: str) -> None:
    """Nor to the gateway's own doors: what is no target's name is forbidden, and nothing tells that from no grant."""
    for port in (80, stand.address()[1], stand.site.targets["shop"].port):
        line, said = tunnel(stand, f"{host}:{port}")
        with line:
            assert said.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ")), said
    absolute = run(
        [
            *("curl", "-q", "-sS", "--noproxy", "", "--proxy", f"http://127.0.0.1:{stand.address(CLEAR)[1]}"),
            *("--proxy-header", f"Proxy-Authorization: Bearer {stand.tokens['ada']}", "-w", "%{http_code}"),
            *("--globoff", f"http://{host}/latest/meta-data/"),
        ]
    )
    assert absolute.out.endswith((b"403", b"400")) or absolute.code in (3, 6), absolute


def test_who_has_no_grant_and_what_is_not_there_sound_the_same(stand: HttpStand) -> None:
    names = ("shop", "not-there")
    way = stand.reverse("shop", "nobody")
    said = []
    for name in names:
        ran = run(
            [
                *("curl", "-q", "-sS", "--noproxy", "*", "-H", f"Authorization: Bearer {way.token}"),
                *("-H", f"Host: {host_of(name)}:{stand.address(CLEAR)[1]}"),
                *("-w", "%{http_code}", f"http://127.0.0.1:{stand.address(CLEAR)[1]}/"),
            ]
        )
        said.append((ran.out[-3:], statement_of(ran.out[:-3]).replace(name, "…")))
    assert said[0] == said[1]
    assert said[0][0] == b"403"


# Credentials ----------------------------------------------------------------------------------------------------------


def test_the_users_credentials_stay_here_and_the_targets_stay_there(stand: HttpStand, services: Services) -> None:
    said = b""
    for target in ("shop", "old", "plain"):
        service = getattr(services, target)
        service.arrived.clear()
        for way in stand.ways(target)[1:]:
            answers = way.fetch_all(["/customers", "/status/401"], "-H", "Cookie: mine=1")
            assert [answer.status for answer in answers] == [200, 401]
            said += str(answers).encode() + way.curl("/upload", "--include", "-X", "TRACE").out
        sent = str(service.arrived)
        assert stand.tokens["ada"] not in sent
        assert {request.get("authorization") for request in service.arrived} == {f"Bearer {TOKEN}"}
        assert not any(request.get("proxy-authorization") for request in service.arrived)
        assert not any(
            name.startswith(("x-forwarded", "forwarded")) for request in service.arrived for name, _ in request.fields
        )
    assert TOKEN.encode() not in said


@pytest.mark.parametrize("way", ["reverse", "forward"])
@pytest.mark.parametrize("token", ["", "wrong", "eyJhbGciOiJub25lIn0.e30."])
def test_without_a_good_token_nobody_comes_in(stand: HttpStand, services: Services, way: str, token: str) -> None:
    arrived = len(services.plain.arrived)
    status, challenge = (401, "WWW-Authenticate") if way == "reverse" else (407, "Proxy-Authenticate")
    words = ["-H", f"Authorization: Bearer {token}"] if token else []
    if way == "reverse":
        url, options = (
            f"http://127.0.0.1:{stand.address(CLEAR)[1]}/",
            ["-H", f"Host: {stand.reverse('plain', listener=CLEAR).netloc}"],
        )
    else:
        words = ["--proxy-header", f"Proxy-Authorization: Bearer {token}"] if token else []
        url, options = stand.forward("plain").base, ["--proxy", f"http://127.0.0.1:{stand.address(CLEAR)[1]}"]
    ran = run(["curl", "-q", "-sS", "--include", "--noproxy", "" if way == "forward" else "*", *options, *words, url])
    head, _, body = ran.out.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), ran
    assert f"{challenge}: Bearer".lower().encode() in head.lower()
    assert statement_of(body)
    assert len(services.plain.arrived) == arrived


def test_what_leads_elsewhere_is_not_passed_on(stand: HttpStand) -> None:
    way = stand.reverse("shop")
    elsewhere = way.fetch("/redirect?to=https://elsewhere.example/")
    assert (elsewhere.status, elsewhere.get("location")) == (502, None)
    own = way.fetch(f"/redirect?to=https://localhost:{stand.site.targets['shop'].port}/customers")
    assert own.get("location") == f"{way.base}/customers"
    assert way.fetch("/alt-svc").get("alt-svc") is None
    cookie = way.fetch("/cookie?set=a=b;%20Domain=gw.test;%20Path=/")
    assert cookie.get("set-cookie") == "a=b; Path=/"


def test_a_place_outside_the_zone_is_not_reached(stand: HttpStand, services: Services) -> None:
    """Neither for whom sits in one, nor for a target that lies in one."""
    arrived = len(services.plain.arrived)
    with Raw(stand, "plain", source="127.0.3.7") as client:
        client.say(client.head())
        refused = client.hear()
    assert refused.status == 403 and statement_of(refused.body)
    there = stand.reverse("abroad").fetch("/customers")
    assert there.status == 403 and statement_of(there.body)
    assert len(services.plain.arrived) == arrived


def test_two_people_do_not_share_a_connection(stand: HttpStand) -> None:
    with Raw(stand, "plain") as client:
        client.say(client.head())
        assert client.hear().status == 200
        client.token = stand.tokens["franz"]
        client.say(client.head())
        assert client.hear().status == 421
    with Raw(stand, "plain") as client:
        client.say(client.head())
        assert client.hear().status == 200
        client.say(f"GET / HTTP/1.1\r\nHost: {client.netloc}\r\n\r\n".encode())
        assert client.hear().status == 401
