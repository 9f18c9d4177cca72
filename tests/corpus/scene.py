"""Where a corpus is played: a PostgreSQL that trusts its own machine, the corpus's schema in it, a gateway before it.

Knows no case and no mask's meaning.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.process import environment
from hoopproxy.testing.stand import ACCOUNT, Stand
from hoopproxy.testing.three_files import More

from .folder import Corpus, NoCorpus
from .policy import masks

DATABASE, PERSON = "corpus", "ada"

DEBIAN = Path("/usr/share/postgresql")
"""Where Debian has what belongs to a server's version."""

SETTINGS = {"wal_level": "logical", "max_prepared_transactions": "10", "synchronous_commit": "on"}
"""Some attacks read the write-ahead log, some prepare transactions."""

ACCESS = """\
local all all trust
host all postgres samehost trust
host replication postgres samehost trust
hostssl all all samehost scram-sha-256
"""
"""Over TCP the superuser needs no password, so that dblink and foreign tables lead back into the server; others do, as
the gateway shows a password to nobody who does not prove to know it."""

WIDE = f"""\
DO $$ DECLARE room text; BEGIN
    FOR room IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO {ACCOUNT}', room);
        EXECUTE format('GRANT ALL ON ALL TABLES IN SCHEMA %I TO {ACCOUNT}', room);
        EXECUTE format('GRANT ALL ON ALL SEQUENCES IN SCHEMA %I TO {ACCOUNT}', room);
        EXECUTE format('GRANT ALL ON ALL ROUTINES IN SCHEMA %I TO {ACCOUNT}', room);
    END LOOP;
END $$;
GRANT TEMPORARY ON DATABASE {DATABASE} TO {ACCOUNT};
"""
"""The account may do all that can be granted except to make things, so that its answers are a superuser's."""

_THERE = re.compile(r'role "[^"]+" already exists')

LISTENER = """
[[listen]]
name = "plain"
protocol = "postgres"
addresses = ["127.0.0.1"]
port = 0
certificate = "{secrets}/gateway.crt"
key = "{secrets}/gateway.key"
plaintext = "loopback"
"""


class Mode(StrEnum):
    """Who keeps the masks: the database, the gateway, or nobody: then nearly every attack must succeed."""

    SERVER = "server"
    WIRE = "wire"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Scene:
    """DSNs as the runner takes them: of who is attacked, and of a superuser past the gateway."""

    attacked: str
    admin: str
    version: int


def version_for(corpus: Corpus) -> int:
    """The PostgreSQL here that lacks the fewest extensions of the schema; of several the oldest, as cases are found on
    the oldest."""
    return min(installed(), key=lambda version: (len(_lacking(corpus, version)), version))


def _lacking(corpus: Corpus, version: int) -> frozenset[str]:
    share = installed()[version].parent.glob("share/**/extension")
    there = {path.stem for folder in (DEBIAN / str(version) / "extension", *share) for path in folder.glob("*.control")}
    return corpus.extensions - there


@contextmanager
def playing(corpus: Corpus, mode: Mode, version: int, directory: Path, say: Callable[[str], None]) -> Iterator[Scene]:
    """All of it, in `directory`, as long as the block runs."""
    authority = Authority(directory / "ca", "corpus")
    leaf = authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    if lacking := _lacking(corpus, version):
        say(f"PostgreSQL {version} has no {', '.join(sorted(lacking))} here: what needs it will not be there")
    with PostgresCluster(directory / "pg", version=version, certificate=certificate, settings=SETTINGS) as cluster:
        _open(cluster)
        admin = f"postgresql://postgres@127.0.0.1:{cluster.port}/{DATABASE}"
        if mode is Mode.DIRECT:
            cluster.create_database(DATABASE)
            _load(corpus.schema, admin, is_whole=not lacking)
            yield Scene(admin, admin, version)
            return
        key = directory / "hash.key"
        key.write_bytes(bytes(range(64)))
        key.chmod(0o600)
        kept = (DATABASE,) if mode is Mode.SERVER else ()
        with Stand(
            directory / "stand",
            cluster,
            authority,
            {DATABASE: ""},
            masks=masks(corpus.policy, DATABASE, str(key), say),
            more=More(main=LISTENER.format(secrets=directory / "stand" / "secrets")),
            kept=kept,
            masked=False,
        ) as stand:
            _load(corpus.schema, admin, is_whole=not lacking)
            cluster.execute(WIDE, DATABASE)
            if mode is Mode.SERVER:
                _accept(stand, say)
                stand.mask()
            host, port = stand.endpoint("plain")
            token = quote(stand.tokens[PERSON], safe="")
            yield Scene(f"postgresql://{ACCOUNT}:{token}@{host}:{port}/{DATABASE}", admin, version)


def _accept(stand: Stand, say: Callable[[str], None]) -> None:
    """Takes responsibility for what would keep everybody out, as the steward of an unknown schema would have to."""
    audit = [Path(sys.executable).with_name("hoopproxy"), "masks", "audit", "--config", stand.config]
    done = subprocess.run([*audit, "--target", DATABASE, "--json"], stdout=subprocess.PIPE, env=environment())
    (answer,) = json.loads(done.stdout)
    for each in answer["findings"]:
        say(f"{each['severity']}: {each['sentence']}")
    amber = {each["name"]: 1 for each in answer["findings"] if each["severity"] == "amber" and not each["withheld"]}
    if amber:
        accepted = ", ".join(f'{{ finding = {json.dumps(name)}, reason = "a corpus" }}' for name in amber)
        targets = stand.config.with_name("targets.toml")
        targets.write_text(targets.read_text().replace("[target.masks]", f"[target.masks]\naccept = [{accepted}]"))
        stand.gateway.stop()
        stand.start()


def _open(cluster: PostgresCluster) -> None:
    rows = cluster.execute("SHOW hba_file")
    assert rows is not None
    Path(rows[0][0]).write_text(ACCESS)
    cluster.execute("SELECT pg_reload_conf()")


def _load(schema: Path, admin: str, *, is_whole: bool) -> None:
    """By psql, whose file it is; a role that is there already will do. @raise NoCorpus: a statement failed, and the
    schema is to be whole."""
    psql = ["psql", "-X", "-q", "-v", "VERBOSITY=terse", "-d", admin, "-f", schema.name]
    done = subprocess.run(psql, stdout=sys.stderr, stderr=subprocess.PIPE, cwd=schema.parent, text=True)
    sys.stderr.write(done.stderr)
    failed = [line for line in done.stderr.splitlines() if "ERROR: " in line and not _THERE.search(line)]
    if is_whole and (failed or done.returncode):
        why = failed[0].partition("ERROR: ")[2].strip() if failed else f"psql ends with {done.returncode}"
        raise NoCorpus(f"{schema} can't be loaded into an empty database by a superuser: {why}")
