"""The smallest SSH proxy that one writes with asyncssh, to be measured against: a program of its own.

It lets everybody in, runs each command on the target through a connection of its own with a key of its own, and joins
the streams: no verdict, no guards, no recording. Its channels' pausing is asyncssh's own.
"""

import asyncio
from collections.abc import Sequence

import asyncssh
import click


class Everybody(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--host-key", required=True)
@click.option("--target-port", type=int, required=True)
@click.option("--target-user", required=True)
@click.option("--target-key", required=True)
@click.option("--target-hosts", required=True, help="Its known_hosts file.")
@click.option("--ciphers", default="", help="In order of preference, with commas; default: asyncssh's.")
def main(
    port: int, host_key: str, target_port: int, target_user: str, target_key: str, target_hosts: str, ciphers: str
) -> None:
    """Serve until it is ended."""
    algorithms: Sequence[str] | tuple[()] = tuple(filter(None, ciphers.split(",")))

    async def serve() -> None:
        async def join(process: asyncssh.SSHServerProcess[bytes]) -> None:
            async with asyncssh.connect(
                "127.0.0.1",
                target_port,
                username=target_user,
                client_keys=[target_key],
                known_hosts=target_hosts,
                encryption_algs=algorithms,
                config=None,
            ) as target:
                streams = {"stdin": process.stdin, "stdout": process.stdout, "stderr": process.stderr}
                async with target.create_process(process.command or (), encoding=None, **streams) as running:
                    ended = await running.wait()
            process.exit(ended.exit_status or 0)

        await asyncssh.create_server(
            Everybody,
            "127.0.0.1",
            port,
            server_host_keys=[host_key],
            process_factory=join,
            encryption_algs=algorithms,
            encoding=None,
            config=None,
        )
        await asyncio.Future()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
