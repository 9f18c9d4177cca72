import contextlib
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import ClusterError, PostgresCluster, installed

RIGHT = "dbname=postgres user=reader password=right"


def connect(cluster: PostgresCluster, conninfo: str, **options: str) -> psycopg.Connection:
    return psycopg.connect(conninfo, host="localhost", port=cluster.port, **options)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_newest_version_that_is_installed_runs(cluster: PostgresCluster) -> None:
    assert cluster.version == max(installed())
    assert cluster.execute("SELECT current_setting('server_version_num')::int / 10000") == [(cluster.version,)]


def test_the_admin_comes_in_by_the_socket_and_settings_are_in_force(cluster: PostgresCluster) -> None:
    assert cluster.execute("SELECT current_user, inet_server_addr(), current_setting('fsync')") == [
        ("postgres", None, "off")
    ]
    with psycopg.connect(cluster.admin_dsn) as connection:
        assert connection.execute("SHOW password_encryption").fetchall() == [("scram-sha-256",)]
    assert cluster.execute("SHOW work_mem") == [("5MB",)]


def test_statements_run_in_the_database_that_they_name(cluster: PostgresCluster) -> None:
    cluster.create_database('with "quotes"')
    assert cluster.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)", 'with "quotes"') is None
    assert cluster.execute("SELECT n FROM t WHERE n = %s", 'with "quotes"', [7]) == [(7,)]


def test_a_user_comes_in_over_verified_tls_with_the_right_password(
    cluster: PostgresCluster, authority: Authority
) -> None:
    with connect(cluster, RIGHT, sslmode="verify-full", sslrootcert=str(authority.ca_file)) as connection:
        assert connection.execute("SELECT current_user").fetchall() == [("reader",)]
        assert connection.pgconn.ssl_in_use


@pytest.mark.parametrize(
    ("conninfo", "sslmode", "complaint"),
    [
        ("dbname=postgres user=reader password=wrong", "require", "password authentication failed"),
        (RIGHT, "disable", "no encryption"),
        ("dbname=postgres user=postgres password=right", "require", "password authentication failed"),
    ],
)
def test_nobody_comes_in_otherwise(cluster: PostgresCluster, conninfo: str, sslmode: str, complaint: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=complaint):
        connect(cluster, conninfo, sslmode=sslmode)


@pytest.mark.parametrize("version", sorted(installed()))
def test_each_version_starts_keeps_its_data_and_its_port_over_a_restart_and_stops(tmp_path: Path, version: int) -> None:
    with PostgresCluster(tmp_path, version=version) as cluster:
        cluster.execute("CREATE TABLE kept AS SELECT 1 AS n")
        port = cluster.port
        cluster.stop()
        assert not answers(port)
        cluster.start()
        assert cluster.port == port and cluster.execute("SELECT n FROM kept") == [(1,)]
    assert not answers(port)
    cluster.stop()


def test_it_listens_beside_another_server_on_its_own_port(cluster: PostgresCluster, tmp_path: Path) -> None:
    with PostgresCluster(tmp_path) as other:
        other.stop()
        other.port = cluster.port
        other.start()
        assert other.port != cluster.port
        assert other.execute("SELECT 1") == cluster.execute("SELECT 1")


def test_a_failed_start_shows_what_the_server_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    cluster = PostgresCluster(tmp_path, settings={"no_such_setting": "1"})
    with pytest.raises(ClusterError, match="unrecognized configuration parameter"):
        cluster.start()
    assert not answers(cluster.port)


def test_a_version_that_nobody_installed_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no PostgreSQL 9 here: install"):
        PostgresCluster(tmp_path, version=9)


@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_the_server_ends_with_its_process_however_that_ends(tmp_path: Path, end: str) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
from hoopproxy.testing.postgres import PostgresCluster
cluster = PostgresCluster(Path({str(tmp_path)!r}))
cluster.start()
print(cluster.execute("SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)")[0][0], flush=True)
{end}
"""
    ran = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with contextlib.suppress(ProcessLookupError):
        server = os.pidfd_open(int(ran.stdout))
        ended, _, _ = select.select([server], [], [], 30)
        os.close(server)
        assert ended
