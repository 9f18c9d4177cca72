"""asyncssh and paramiko as clients: the same through the gateway as past it."""

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import paramiko

from .conftest import Comparing, SshStand
from .ways import S_MAX, Way

DATA = bytes(range(256)) * 20_000
RESIZED = "trap 'stty size; kill $!; exit 4' WINCH; stty size; sleep 600 & wait"


# asyncssh -------------------------------------------------------------------------------------------------------------


def spoken[T](client: Callable[[asyncssh.SSHClientConnection], Awaitable[T]], **options: object) -> Callable[[Way], T]:
    """One connection by asyncssh, on any way."""

    async def connected(way: Way) -> T:
        async with asyncssh.connect(
            way.host,
            way.port,
            username=way.user,
            client_keys=[str(way.key_file)],
            known_hosts=str(way.known_hosts),
            config=None,
            agent_path=None,
            **options,
        ) as connection:
            return await client(connection)

    return lambda way: asyncio.run(asyncio.wait_for(connected(way), S_MAX))


def test_asyncssh_runs_commands(same: Comparing) -> None:
    async def client(connection: asyncssh.SSHClientConnection) -> list[object]:
        done = await connection.run("cat; echo err >&2; exit 7", input="in")
        killed = await connection.run("ulimit -c 0; kill -KILL $$")
        return [done.stdout, done.stderr, done.exit_status, killed.exit_status, killed.exit_signal]

    out, err, code, no_code, signal = same(spoken(client))
    assert (out, err, code, no_code) == ("in", "err\n", 7, -1)
    assert isinstance(signal, tuple)
    assert signal[0] == "KILL"


def test_asyncssh_sends_signals(stand: SshStand) -> None:
    """A server of its own make, since OpenSSH's passes no signals on where it runs without privilege separation."""

    async def client(connection: asyncssh.SSHClientConnection) -> list[object]:
        async with connection.create_process("listen", term_type="xterm", term_size=(80, 24)) as process:
            said = [await process.stdout.readline()]
            for act in (
                lambda: process.send_signal("USR1"),
                lambda: process.send_break(500),
                lambda: process.change_terminal_size(90, 30),
                lambda: process.send_signal("INT"),
                lambda: process.stdin.write("word\n"),
            ):
                act()
                said.append(await process.stdout.readline())
            process.stdin.write_eof()
            return [*said, (await process.wait()).exit_status]

    lines = ["ready", "signal USR1", "break 500", "size 90x30", "signal INT", "line word"]
    assert spoken(client)(stand.way("python")) == [*(f"{line}\n" for line in lines), 5]


def test_asyncssh_resizes_its_terminal(same: Comparing) -> None:
    async def client(connection: asyncssh.SSHClientConnection) -> list[object]:
        async with connection.create_process(RESIZED, term_type="vt220", term_size=(90, 30)) as process:
            first = await process.stdout.readline()
            process.change_terminal_size(91, 31)
            return [first, await process.stdout.readline(), (await process.wait()).exit_status]

    assert same(spoken(client)) == ["30 90\r\n", "31 91\r\n", 4]


def test_asyncssh_has_a_shell(same: Comparing) -> None:
    async def client(connection: asyncssh.SSHClientConnection) -> object:
        async with connection.create_process(term_type="dumb") as process:
            process.stdin.write("echo $((6 * 7))\nexit 3\n")
            await process.stdout.readuntil("\n42\r\n")
            return (await process.wait()).exit_status

    assert same(spoken(client)) == 3


def test_asyncssh_moves_files(same: Comparing, tmp_path: Path) -> None:
    async def client(connection: asyncssh.SSHClientConnection) -> list[object]:
        (tmp_path / "here").write_bytes(DATA)
        async with connection.start_sftp_client() as sftp:
            await sftp.put(str(tmp_path / "here"), str(tmp_path / "there"))
            await sftp.rename(str(tmp_path / "there"), str(tmp_path / "renamed"))
            await sftp.get(str(tmp_path / "renamed"), str(tmp_path / "back"))
            names = sorted(map(str, await sftp.listdir(str(tmp_path))))
            await sftp.remove(str(tmp_path / "renamed"))
        return [(tmp_path / "back").read_bytes() == DATA, names]

    assert same(spoken(client)) == [True, [".", "..", "back", "here", "renamed"]]


def test_asyncssh_runs_much_at_once(same: Comparing) -> None:
    async def client(connection: asyncssh.SSHClientConnection) -> list[object]:
        running = [connection.run(f"cat; exit {code}", input=f"{code}" * 50_000) for code in range(20)]
        return [(done.stdout, done.exit_status) for done in await asyncio.gather(*running)]

    assert same(spoken(client)) == [(f"{code}" * 50_000, code) for code in range(20)]


def test_asyncssh_changes_keys_and_keeps_alive(same: Comparing) -> None:
    async def client(connection: asyncssh.SSHClientConnection) -> object:
        echoed = await connection.run("cat", input=DATA, encoding=None)
        assert isinstance(echoed.stdout, bytes)
        return hashlib.sha256(echoed.stdout).hexdigest()

    chatty = spoken(client, rekey_bytes="500K", keepalive_interval=0.05, keepalive_count_max=100)
    assert same(chatty) == hashlib.sha256(DATA).hexdigest()


# paramiko -------------------------------------------------------------------------------------------------------------


@contextmanager
def connected(way: Way) -> Iterator[paramiko.SSHClient]:
    """One connection by paramiko."""
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(way.known_hosts))
        client.connect(
            way.host,
            way.port,
            way.user,
            key_filename=str(way.key_file),
            allow_agent=False,
            look_for_keys=False,
            timeout=S_MAX,
            channel_timeout=S_MAX,
        )
        yield client


def test_paramiko_runs_commands(same: Comparing) -> None:
    def runs(way: Way) -> tuple[bytes, bytes, int]:
        with connected(way) as client:
            stdin, stdout, stderr = client.exec_command("cat; echo err >&2; exit 7", timeout=S_MAX)
            stdin.write(b"in")
            stdin.channel.shutdown_write()
            return stdout.read(), stderr.read(), stdout.channel.recv_exit_status()

    assert same(runs) == (b"in", b"err\n", 7)


def test_paramiko_resizes_its_terminal(same: Comparing) -> None:
    def resizes(way: Way) -> tuple[bytes, bytes, int]:
        with connected(way) as client, client.get_transport().open_session(timeout=S_MAX) as channel:
            channel.settimeout(S_MAX)
            channel.get_pty("xterm", 90, 30)
            channel.exec_command(RESIZED)
            lines = channel.makefile("rb")
            first = lines.readline()
            channel.resize_pty(91, 31)
            return first, lines.readline(), channel.recv_exit_status()

    assert same(resizes) == (b"30 90\r\n", b"31 91\r\n", 4)


def test_paramiko_has_a_shell(same: Comparing) -> None:
    def types(way: Way) -> int:
        with connected(way) as client, client.invoke_shell("dumb") as channel:
            channel.settimeout(S_MAX)
            channel.sendall(b"echo $((6 * 7))\nexit 3\n")
            assert b"\n42\r\n" in channel.makefile("rb").read()
            return channel.recv_exit_status()

    assert same(types) == 3


def test_paramiko_moves_files(same: Comparing, tmp_path: Path) -> None:
    def moves(way: Way) -> tuple[bytes, list[str]]:
        with connected(way) as client, client.open_sftp() as sftp:
            sftp.putfo(io.BytesIO(DATA), str(tmp_path / "there"))
            sftp.posix_rename(str(tmp_path / "there"), str(tmp_path / "renamed"))
            names = sftp.listdir(str(tmp_path))
            with sftp.open(str(tmp_path / "renamed"), "rb") as file:
                file.prefetch()
                data = file.read()
            sftp.remove(str(tmp_path / "renamed"))
        return data, names

    assert same(moves) == (DATA, ["renamed"])


def test_paramiko_asks_whether_anybody_is_there_and_for_new_keys(same: Comparing) -> None:
    def asks(way: Way) -> list[bytes]:
        said = []
        with connected(way) as client:
            transport = client.get_transport()
            assert transport is not None
            # One channel that stays: paramiko waits for itself when a channel is closed amid new keys.
            stdin, stdout, _ = client.exec_command("cat", timeout=S_MAX)
            for number in range(3):
                transport.global_request("keepalive@openssh.com", wait=True)
                transport.renegotiate_keys()
                stdin.write(f"{number}\n")
                stdin.flush()
                said.append(stdout.channel.recv(2))
            assert transport.is_active()
        return said

    assert same(asks) == [b"0\n", b"1\n", b"2\n"]
