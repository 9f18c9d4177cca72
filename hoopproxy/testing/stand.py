"""A whole stand around a gateway: keys, credentials, people, three configuration files, and the gateway itself.

For demonstrations and tests. The gateway runs as a process of its own; PostgreSQL is given. Knows no test.
"""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from hoopproxy.disk.keys import make_keys
from hoopproxy.testing import masks as mask_making
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.forwarder import Forwarder
from hoopproxy.testing.issuer import Issuer
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.process import GatewayProcess, environment
from hoopproxy.testing.three_files import ISSUER_URL, MASKS, NO_MORE, More, Site, credential, provisioner, write

PEOPLE: Mapping[str, tuple[str, ...]] = MappingProxyType({"ada": ("analysts",), "franz": ("fraud",), "nobody": ()})
"""Who there is, and in which groups."""

ACCOUNT = "reader"
"""The account of every target: reads everything, changes nothing."""

PROVISIONER = "provisioner"
"""Who makes masks in databases that keep them themselves."""

READER = f"""\
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ACCOUNT};
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {ACCOUNT};
"""


MASKS_S_MAX = 60.0


class MasksFailed(Exception):
    """What makes masks in a database ended with an error; the text ends with what it said."""


@dataclass(frozen=True, slots=True)
class Door:
    """A way into a database: a libpq connection string, whole with its secret."""

    dsn: str
    path: str = os.defpath
    """`PATH` for client programs."""


class Stand:
    """Makes everything in `directory`, the databases in `cluster`, and starts the gateway; a context manager.

    `databases` maps each target's name, which is its database's too, to the SQL that fills it. A cluster takes one
    stand, since its login role is the cluster's. The server's certificate must be `authority`'s, for `localhost`.
    `limits` and `recorder` are lines of TOML for these tables, `masks` is TOML for policy.toml. `more` may name files
    in `secrets` that its maker has put there. The databases in `kept` keep their masks themselves, and have them
    before the gateway starts (unless not `masked`); `accepted` and `enforcement` are as in `Site`.

    @raise GatewayFailed, SqlFailed, Leaking
    """

    def __init__(
        self,
        directory: Path,
        cluster: PostgresCluster,
        authority: Authority,
        databases: Mapping[str, str],
        *,
        port: int = 0,
        masks: str = MASKS,
        limits: str = "",
        recorder: str = "",
        addresses: tuple[str, ...] = ("127.0.0.1",),
        token_lifetime_s: float = 12 * 3600,
        more: More = NO_MORE,
        kept: tuple[str, ...] = (),
        masked: bool = True,
        accepted: str = "",
        enforcement: str = "",
    ) -> None:
        self.kept = kept
        self.directory, self.cluster, self.authority = directory, cluster, authority
        self.targets = tuple(databases)
        self.secrets, self.state = directory / "secrets", directory / "state"
        self.zone_key, self.sealed_key = self.secrets / "zone.key", self.secrets / "sealed.key"
        self.control_socket = self.state / "control.sock"
        self.log_directory, self.recordings = self.state / "log", self.state / "recordings"
        self.ca_file = Path(authority.ca_file)
        self._password = secrets.token_urlsafe(24)
        self._forwarders: dict[tuple[str, str], Forwarder] = {}
        self.issuer = Issuer(directory / "issuer", ISSUER_URL)
        self.tokens = {
            name: self.issuer.issue(name, groups, lifetime_s=token_lifetime_s, name=name.title())
            for name, groups in PEOPLE.items()
        }
        self._make_secrets()
        self._fill(databases)
        self.config = write(
            Site(
                directory=directory / "conf",
                state=self.state,
                secrets=self.secrets,
                port=port,
                addresses=addresses,
                issuer_url=ISSUER_URL,
                jwks_file=self.issuer.jwks_file,
                targets={name: (ACCOUNT,) for name in databases},
                database_host=cluster.host,
                database_port=cluster.port,
                database_ca=self.ca_file,
                server_name="localhost",
                masks=masks,
                limits=limits,
                recorder=recorder,
                more=more,
                kept=frozenset(kept),
                accepted=accepted,
                enforcement=enforcement,
            )
        )
        if masked:
            self.mask()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the gateway; needed again only after its `stop` or `kill`. @raise GatewayFailed."""
        self._close_forwarders()  # they lead to where the last one listened
        self.gateway = GatewayProcess(self.config)
        self.host, self.port = self.endpoint("front")

    def close(self) -> None:
        """End all that was started here. The cluster is its owner's."""
        self._close_forwarders()
        self.gateway.stop()

    def mask(self, *targets: str) -> None:
        """Make, or make anew, the masks in these databases, or in all that keep them themselves.

        @raise SqlFailed, Leaking
        """
        for target in targets or self.kept:
            mask_making.make(self.config, target, self._direct(target, PROVISIONER), ACCOUNT)

    def unmask(self, target: str) -> None:
        """Take the masks away. @raise SqlFailed"""
        mask_making.take_away(self._direct(target, PROVISIONER))

    def masks_command(self, verb: str, target: str, *words: str) -> str:
        """What `hoopproxy masks VERB` says of a target. @raise MasksFailed"""
        program, config = Path(sys.executable).with_name("hoopproxy"), str(self.config)
        done = subprocess.run(
            [str(program), "masks", verb, "--config", config, "--target", target, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MASKS_S_MAX,
            env=environment(),
            check=False,
        )
        if done.returncode:
            raise MasksFailed(f"hoopproxy masks {verb} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def token_file(self, person: str) -> Path:
        """Where the person's token lies, for commands that people copy."""
        return self.directory / "people" / f"{person}.token"

    def endpoint(self, listener: str) -> tuple[str, int]:
        """Address and port of the first socket of a listener; the one for PostgreSQL is `front`."""
        host, _, port = self.gateway.endpoints[listener][0].rpartition(":")
        return host.strip("[]"), int(port)

    def port_from(self, source: str | None, listener: str = "front") -> int:
        """The port on this machine that leads to a listener and, through a forwarder, comes from `source`."""
        if source is None:
            return self.endpoint(listener)[1]
        if (source, listener) not in self._forwarders:
            self._forwarders[source, listener] = Forwarder(self.endpoint(listener), source)
        return self._forwarders[source, listener].port

    def dsn(
        self,
        person: str | None,
        target: str,
        account: str = ACCOUNT,
        *,
        source: str | None = None,
        token: str | None = None,
    ) -> str:
        """A connection string through the gateway, `token` in the place of the person's own. Without both it holds
        no password."""
        password = token or (self.tokens[person] if person else "")
        return _dsn(
            host="localhost",
            hostaddr=self.host if source is None else "127.0.0.1",
            port=self.port_from(source),
            dbname=target,
            user=account,
            password=password,
            sslmode="verify-full",
            sslrootcert=self.ca_file,
        )

    def through(self, person: str, target: str, account: str = ACCOUNT, *, source: str | None = None) -> Door:
        """In through the gateway, as this person, sitting at the address `source` (default: 127.0.0.1)."""
        return Door(self.dsn(person, target, account, source=source), _path())

    def direct(self, target: str) -> Door:
        """In past the gateway, with the secret that nobody but the gateway has."""
        return Door(self._direct(target, ACCOUNT), _path())

    def _direct(self, target: str, user: str) -> str:
        return _dsn(
            host="localhost",
            hostaddr=self.cluster.host,
            port=self.cluster.port,
            dbname=target,
            user=user,
            password=self._password,
            sslmode="verify-full",
            sslrootcert=self.ca_file,
        )

    def _close_forwarders(self) -> None:
        while self._forwarders:
            self._forwarders.popitem()[1].close()

    def _make_secrets(self) -> None:
        credentials, people = self.secrets / "credentials", self.directory / "people"
        for directory in (self.secrets, credentials, people, self.state, self.recordings):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_keys(self.secrets)
        _write(self.secrets / "pseudonym.key", secrets.token_bytes(32))
        leaf = self.authority.issue("gateway", dns=("localhost",), ips=("127.0.0.1", "::1"))
        shutil.copyfile(leaf.certificate_file, self.secrets / "gateway.crt")
        _write(self.secrets / "gateway.key", Path(leaf.key_file).read_bytes())
        for name in self.targets:
            text = f'username = "{ACCOUNT}"\npassword = "{self._password}"\n'
            _write(credentials / f"{credential(name, ACCOUNT)}.toml", text.encode())
        for name in self.kept:
            text = f'username = "{PROVISIONER}"\npassword = "{self._password}"\n'
            _write(credentials / f"{provisioner(name)}.toml", text.encode())
        _write(self.secrets / "login.key", secrets.token_bytes(32))
        for person, token in self.tokens.items():
            _write(self.token_file(person), token.encode())

    def _fill(self, databases: Mapping[str, str]) -> None:
        self.cluster.execute(f"CREATE ROLE {ACCOUNT} LOGIN PASSWORD '{self._password}'")
        if self.kept:
            self.cluster.execute(f"CREATE ROLE {PROVISIONER} LOGIN SUPERUSER PASSWORD '{self._password}'")
        for name, sql in databases.items():
            self.cluster.create_database(name)
            self.cluster.execute(sql + READER, database=name)


def _dsn(**words: object) -> str:
    """libpq's keyword/value form, "" left out (PostgreSQL manual, 34.1.1.1)."""
    quoted = {name: str(value).replace("\\", r"\\").replace("'", r"\'") for name, value in words.items()}
    return " ".join(f"{name}='{text}'" for name, text in quoted.items() if text)


def _path() -> str:
    return os.environ.get("PATH", os.defpath)


def _write(path: Path, data: bytes) -> None:
    """A new file for its owner alone."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
