"""pgjdbc's DatabaseMetaData, and what results say of their columns: under masks the same as without."""

import subprocess
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from hoopproxy.testing.installations import installed
from hoopproxy.testing.stand import Door

pytestmark = pytest.mark.parametrize("stand", [max(installed())], indirect=True, ids=lambda version: f"pg{version}")
"""It asks all versions that are supported the same questions."""

JAR = "/usr/share/java/postgresql.jar"
"""Debian's; .ci/system-packages sees to it."""


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("classes")
    source = Path(__file__).parent / "perform" / "Metadata.java"
    subprocess.run(["javac", "-cp", JAR, "-d", directory, source], check=True)
    return directory


def metadata(classes: Path, door: Door) -> list[str]:
    words = conninfo_to_dict(door.dsn)
    where = f"jdbc:postgresql://{words['host']}:{words['port']}/{words['dbname']}"
    url = f"{where}?sslmode=verify-full&sslrootcert={words['sslrootcert']}"
    ran = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JAR}:{classes}", "Metadata", url],
        input=f"{words['user']}\n{words['password']}\n",
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_jdbc_finds_the_same(classes: Path, direct: Door, masked: Door) -> None:
    seen, there = metadata(classes, masked), metadata(classes, direct)
    assert len(there) > 300
    assert seen == there
