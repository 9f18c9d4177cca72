"""httpx, aiohttp, http.client and websockets see one service, past the gateway and through it."""

import asyncio
import hashlib
import http.client
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import aiohttp.abc
import httpx
import pytest
import websockets

from hoopproxy.testing.http_target import CARD, digest_of

from .conftest import Comparing, HttpStand
from .ways import Got, Way, got

MB = 1_000_000


# httpx ----------------------------------------------------------------------------------------------------------------


class Pinned(httpx.AsyncHTTPTransport):
    """Connects to where the way leads, whatever the URL's name means to this machine."""

    def __init__(self, way: Way, **how: Any) -> None:
        proxy = None
        if way.proxy:
            tls = way.proxy_tls if way.proxy.startswith("https:") else None
            proxy = httpx.Proxy(way.proxy, auth=(way.user, way.token), ssl_context=tls)
        super().__init__(verify=way.tls, proxy=proxy, **how)
        self._way = way

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._way.proxy:
            request.extensions = request.extensions | {"sni_hostname": self._way.host}
            request.url = request.url.copy_with(host=self._way.address[0])
        return await super().handle_async_request(request)


def client(way: Way, **how: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=Pinned(way, **how), headers=way.headers, base_url=way.base, trust_env=False)


@pytest.fixture(params=["shop", "old"])
def target(request: pytest.FixtureRequest) -> str:
    """Over HTTP/2 and HTTP/1.1."""
    return str(request.param)


@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
def test_httpx_gets_40_answers_20_at_a_time(same: Comparing, target: str, http2: bool) -> None:
    async def get_all(way: Way) -> list[Got]:
        limits = httpx.Limits(max_connections=20)
        async with client(way, http2=http2, http1=True, limits=limits) as session:
            paths = [f"/customers/{n % 5}?n={n}" for n in range(40)]
            answers = await asyncio.gather(*(session.get(path) for path in paths))
        return [got(each.status_code, each.headers.multi_items(), each.content) for each in answers]

    answers = same(target, lambda way: asyncio.run(get_all(way)), but="-http")
    assert [each.status for each in answers[:5]] == [404, 200, 200, 200, 404]


@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
def test_httpx_streams_up_and_down_at_once(same: Comparing, target: str, http2: bool) -> None:
    async def both(way: Way) -> list[Any]:
        async with client(way, http2=http2) as session:
            return await asyncio.gather(*(task(session) for task in (up, down) * 3))

    async def up(session: httpx.AsyncClient) -> dict[str, Any]:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield bytes(MB // 20)

        said: dict[str, Any] = (await session.post("/upload", content=pieces())).json()
        return said

    async def down(session: httpx.AsyncClient) -> str:
        digest = hashlib.sha256()
        async with session.stream("GET", f"/bytes/{MB}") as answer:
            async for piece in answer.aiter_bytes():
                digest.update(piece)
        return digest.hexdigest()

    sent, came, *_ = same(target, lambda way: asyncio.run(both(way)), but="-http")
    assert sent == {"method": "POST", "bytes": MB, "sha256": hashlib.sha256(bytes(MB)).hexdigest()}
    assert came == digest_of(MB)


# aiohttp --------------------------------------------------------------------------------------------------------------


class Resolver(aiohttp.abc.AbstractResolver):
    """Every name is an address of this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[Any]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


def test_aiohttp_works_with_cookies_forms_and_streams(stand: HttpStand, target: str) -> None:
    """Not through a proxy in TLS, to which it would speak TLS within TLS, which Python's asyncio does not."""

    async def visit(way: Way) -> list[Any]:
        jar = aiohttp.CookieJar(unsafe=True)
        connector = aiohttp.TCPConnector(resolver=Resolver())
        how: dict[str, Any] = {"ssl": way.tls}
        if way.proxy:
            how |= {"proxy": way.proxy, "proxy_headers": {"Proxy-Authorization": f"Bearer {way.token}"}}
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, headers=dict(way.headers)) as session:
            form = {"user": "ada", "password": "correct horse"}
            async with session.post(f"{way.base}/login", data=form, **how) as page:
                said = [page.status, page.url.path, await page.text()]
            async with session.get(f"{way.base}/events?count=40", **how) as events:
                said.append([line async for line in events.content])
            return said

    expected, *through = (asyncio.run(visit(way)) for way in stand.ways(target) if way.name != "forward-https")
    assert expected[:2] == [200, "/app"]
    assert all(said == expected for said in through)


# http.client ----------------------------------------------------------------------------------------------------------


def test_http_client_keeps_its_connection(stand: HttpStand, target: str) -> None:
    def visit(way: Way) -> list[tuple[int, bytes]]:
        host, port = way.address
        connection = http.client.HTTPSConnection(host, port, context=way.tls, timeout=30)
        connection.sock = way.tls.wrap_socket(socket.create_connection((host, port), 30), server_hostname=way.host)
        first, said = connection.sock, []
        for path in ("/customers", "/status/404", "/customers.chunked", "/bytes/0", "/events"):
            connection.request("GET", path, headers=dict(way.headers) | {"Host": way.netloc})
            answer = connection.getresponse()
            said.append((answer.status, answer.read()))
            assert connection.sock is first
        connection.close()
        return said

    assert visit(stand.reverse(target)) == visit(stand.direct(target))


# websockets -----------------------------------------------------------------------------------------------------------


async def spoken(way: Way) -> list[Any]:
    scheme = way.base.replace("http", "ws", 1)
    how: dict[str, Any] = {"additional_headers": dict(way.headers), "max_size": None, "proxy": None}
    if way.proxy:
        how["proxy"] = way.proxy.replace("://", f"://{way.user}:{way.token}@")
        how["proxy_ssl"] = way.proxy_tls if way.proxy.startswith("https") else None
    else:
        how |= {"host": way.address[0], "port": way.address[1]}
    if scheme.startswith("wss"):
        how["ssl"] = way.tls
    said: list[Any] = []
    async with websockets.connect(f"{scheme}/socket", subprotocols=["other", "echo"], **how) as line:  # type: ignore[list-item]
        said.append(line.subprotocol)
        for message in ("grüß dich", "", b"\0\xff" * 500_000, "x" * 1_000_000, "cards", ["in ", "three ", "pieces"]):
            await line.send(message)
            parts = [part async for part in line.recv_streaming()]
            said.append(b"".join(parts) if isinstance(parts[0], bytes) else "".join(parts))
        await (await line.ping(b"are you there"))
        await line.send("close 4007 that's it")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await line.recv()
        assert closed.value.rcvd is not None
        said += [closed.value.rcvd.code, closed.value.rcvd.reason]
    return said


@pytest.mark.parametrize("target", ["shop", "old", "plain"])
def test_websockets_talk(same: Comparing, target: str) -> None:
    said = same(target, lambda way: asyncio.run(spoken(way)))
    assert said[:3] == ["echo", "grüß dich", ""]
    assert json.loads(said[5]) == {"card": CARD}
    assert said[6:] == ["in three pieces", 4007, "that's it"]


async def left(way: Way) -> tuple[int, str]:
    """Closed by the client: the target answers with what it was told."""
    how = {"host": way.address[0], "port": way.address[1], "ssl": way.tls, "additional_headers": dict(way.headers)}
    async with websockets.connect(f"wss://{way.netloc}/socket", proxy=None, **how) as line:  # type: ignore[arg-type]
        await line.close(4999, "enough")
        assert line.close_code is not None and line.close_reason is not None
        return line.close_code, line.close_reason


def test_a_client_may_close_with_a_code_of_its_own(stand: HttpStand, target: str) -> None:
    assert asyncio.run(left(stand.reverse(target))) == asyncio.run(left(stand.direct(target))) == (4999, "enough")
