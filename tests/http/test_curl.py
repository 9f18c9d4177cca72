"""curl sees one service, whether it goes past the gateway or through it, as a reverse or a forward proxy."""

import hashlib
import json
from pathlib import Path

import pytest

from hoopproxy.testing.http_target import CUSTOMERS, digest_of

from .conftest import Comparing, HttpStand
from .ways import Way

MB = 1_000_000


@pytest.fixture(params=["shop --http2", "shop --http1.1", "old --http2", "old --http1.1", "plain --http1.1"])
def spoken(request: pytest.FixtureRequest) -> list[str]:
    return str(request.param).split()


@pytest.fixture
def target(spoken: list[str]) -> str:
    """`shop` speaks HTTP/2, `old` HTTP/1.1 alone, `plain` that in the clear."""
    return spoken[0]


@pytest.fixture
def version(spoken: list[str]) -> str:
    """What curl wants to speak; of listeners in the clear it gets HTTP/1.1 at most."""
    return spoken[1]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(bytes(range(251)) * (MB // 251))
    return path


PATHS = [
    "/customers",
    "/customers/2?full=1&name=%C3%A9%20",
    "/customers/99",
    "/customers.chunked",
    "/events",
    "/status/204",
    "/status/304",
    "/status/418",
    "/status/500",
    "/cookie?set=a%3Db%3B%20Path%3D%2F",
    "/redirect?to=/customers",
    "/bytes/0",
    "/bytes/100000",
]


def test_what_is_asked_for_comes_the_same(same: Comparing, target: str, version: str) -> None:
    responses = same(target, lambda way: way.fetch_all(PATHS, version))
    assert [each.status for each in responses[:3]] == [200, 200, 404]


def test_heads_come_without_bodies(same: Comparing, target: str, version: str) -> None:
    head = same(target, lambda way: way.fetch("/bytes/12345", version, "--head"))
    assert (head.get("content-length"), head.body) == ("12345", b"")


@pytest.mark.parametrize("asked", ["0-9", "99990-", "-17", "200000-"])
def test_ranges_come(same: Comparing, asked: str) -> None:
    same("old", lambda way: way.fetch("/bytes/100000", "--range", asked))


@pytest.mark.parametrize("path", ["/customers.gz", "/customers.br"])
def test_what_is_compressed_is_unpacked_by_curl_and_stays_as_it_is_without(
    same: Comparing, target: str, version: str, path: str
) -> None:
    unpacked = same(target, lambda way: way.fetch(path, version, "--compressed"))
    assert json.loads(unpacked.body)["customers"] == list(CUSTOMERS)
    packed = same(target, lambda way: way.fetch(path, version))
    assert packed.get("content-encoding") and packed.body != unpacked.body


def test_3_mb_come_down_whole(same: Comparing, target: str, version: str) -> None:
    digest = same(target, lambda way: hashlib.sha256(way.curl(f"/bytes/{3 * MB}", version).out).hexdigest())
    assert digest == digest_of(3 * MB)


@pytest.mark.parametrize("how", ["with a length", "chunked", "expecting 100-continue"])
def test_a_megabyte_goes_up_whole(same: Comparing, target: str, version: str, how: str, large: Path) -> None:
    options = {
        "with a length": ["-H", "Expect:"],
        "chunked": ["-H", "Transfer-Encoding: chunked", "-H", "Expect:"],
        "expecting 100-continue": ["-H", "Expect: 100-continue"],
    }
    said = same(target, lambda way: way.fetch("/upload", version, "-X", "POST", "-T", large, *options[how]))
    with large.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert json.loads(said.body) == {"method": "POST", "bytes": large.stat().st_size, "sha256": digest}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_as_its_status_says(same: Comparing, status: int) -> None:
    path = f"/redirect?status={status}&to=/upload"
    said = same("shop", lambda way: way.fetch(path, "-L", "--data-binary", "twenty bytes of body"))
    kept = status in (307, 308)
    assert json.loads(said.body)["method"] == ("POST" if kept else "GET")
    assert json.loads(said.body)["bytes"] == (20 if kept else 0)


@pytest.mark.parametrize("method", ["OPTIONS", "DELETE", "PATCH", "PROPFIND"])
@pytest.mark.parametrize("target", ["shop", "plain"])
def test_a_method_arrives(same: Comparing, target: str, method: str) -> None:
    said = same(target, lambda way: way.fetch("/upload", "-X", method))
    assert json.loads(said.body)["method"] == method


def test_fields_and_targets_arrive(same: Comparing, target: str, version: str) -> None:
    """Save what each way adds of its own."""
    fields = ["X-Twice: one", "X-Twice: two", 'X-Odd: \xfc; ,;="', "Accept-Language: de, en;q=0.5"]
    words = [word for field in fields for word in ("-H", field)]

    def echoed(way: Way) -> tuple[str, list[list[str]]]:
        said = json.loads(way.fetch("/echo?a=%2F..%2f&b=+;c", version, *words).body)
        return said["target"], [field for field in said["fields"] if field[0].startswith(("x-", "accept"))]

    path, arrived = same(target, echoed)
    assert path == "/echo?a=%2F..%2f&b=+;c"
    assert [value for name, value in arrived if name == "x-twice"] == ["one", "two"]


def test_trailers_come(same: Comparing, target: str, version: str) -> None:
    def last(way: Way) -> bytes:
        return way.curl("/trailers", version, "-D", "-", "-o", "/dev/null").out.lower().splitlines()[-1]

    assert same(target, last).startswith(b"x-digest: ")


def test_many_requests_share_a_connection(stand: HttpStand, target: str, version: str) -> None:
    """curl says of each how many connections it made for it. Of a proxy in the clear each may want another target."""
    for way in stand.ways(target):
        more = [word for n in range(6) for word in (f"{way.base}/customers/{n}", "-o", "/dev/null")]
        ran = way.curl("/customers", version, "-w", "%{num_connects}\n", "-o", "/dev/null", *more)
        is_one = not (way.proxy and way.base.startswith("http:"))
        assert ran.out.split() == [b"1", *([b"0"] if is_one else [b"1"]) * 6], way.name
