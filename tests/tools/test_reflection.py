"""SQLAlchemy's inspector and reflection, and Django's inspectdb: under masks they find the tables as they are."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, Inspector, MetaData, create_engine, inspect, select
from sqlalchemy.schema import CreateIndex, CreateTable

from hoopproxy.testing.installations import installed
from hoopproxy.testing.stand import Door

from .database import SECRETS

pytestmark = pytest.mark.parametrize("stand", [max(installed())], indirect=True, ids=lambda version: f"pg{version}")
"""Both ask all versions that are supported the same questions."""

SCHEMAS = (None, "stock")


def engine(door: Door) -> Engine:
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(door.dsn))


@pytest.fixture(scope="module")
def engines(direct: Door, masked: Door) -> Iterator[tuple[Engine, Engine]]:
    pair = engine(direct), engine(masked)
    yield pair
    for each in pair:
        each.dispose()


ASKED: dict[str, Callable[[Inspector, str | None], Any]] = {
    "tables": lambda inspector, schema: inspector.get_table_names(schema),
    "views": lambda inspector, schema: inspector.get_view_names(schema),
    "materialised views": lambda inspector, schema: inspector.get_materialized_view_names(schema),
    "sequences": lambda inspector, schema: inspector.get_sequence_names(schema),
    "columns": lambda inspector, schema: inspector.get_multi_columns(schema),
    "primary keys": lambda inspector, schema: inspector.get_multi_pk_constraint(schema),
    "foreign keys": lambda inspector, schema: inspector.get_multi_foreign_keys(schema),
    "indexes": lambda inspector, schema: inspector.get_multi_indexes(schema),
    "uniques": lambda inspector, schema: inspector.get_multi_unique_constraints(schema),
    "checks": lambda inspector, schema: inspector.get_multi_check_constraints(schema),
    "comments": lambda inspector, schema: inspector.get_multi_table_comment(schema),
    "options": lambda inspector, schema: inspector.get_multi_table_options(schema),
    "definition": lambda inspector, schema: [
        inspector.get_view_definition(view, schema) for view in inspector.get_view_names(schema)
    ],
    "default schema": lambda inspector, schema: inspector.default_schema_name,
}


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("asked", ASKED)
def test_the_inspector_finds_the_same(engines: tuple[Engine, Engine], asked: str, schema: str | None) -> None:
    there, seen = (repr(ASKED[asked](inspect(each), schema)) for each in engines)
    assert seen == there


def reflected(engine: Engine, schema: str | None) -> list[str]:
    data = MetaData()
    data.reflect(engine, schema, views=True)
    return [
        str(made.compile(engine))
        for table in data.sorted_tables
        for made in (CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=lambda index: str(index.name))))
    ]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_reflection_makes_the_same_tables(engines: tuple[Engine, Engine], schema: str | None) -> None:
    there, seen = (reflected(each, schema) for each in engines)
    assert there
    assert seen == there


def test_reflected_tables_are_read_with_masks(engines: tuple[Engine, Engine]) -> None:
    data = MetaData()
    data.reflect(engines[1], only=["customers"])
    with engines[1].connect() as connection:
        rows = str(connection.execute(select(data.tables["customers"])).all())
    assert "a**************" in rows
    assert [secret for secret in SECRETS if secret in rows] == []


def inspected(door: Door) -> str:
    """What `inspectdb` prints, in a process of its own: Django's settings are one process's."""
    program = Path(__file__).parent / "perform" / "with_django.py"
    ran = subprocess.run(
        [sys.executable, program],
        input=json.dumps(conninfo_to_dict(door.dsn)),
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": door.path},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_inspectdb_writes_the_same_models(direct: Door, masked: Door) -> None:
    there, seen = inspected(direct), inspected(masked)
    assert "class Customers(models.Model)" in there
    assert "class Contacts(models.Model)" in there
    assert seen == there
