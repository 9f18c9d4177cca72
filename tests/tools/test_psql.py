"""psql's backslash commands, the real ones: under masks they show what they show without."""

import os
import subprocess

import pytest

from hoopproxy.testing.stand import Door

from .database import SECRETS

COMMANDS = r"""
\d
\d+
\dt
\dt+ public.*
\dv
\dv+
\dm+
\di
\di+ public.*
\ds
\d customers
\d+ customers
\d orders
\d+ orders
\d orders_2025
\d+ public.orders_later
\d guards
\d+ people
\d+ germans
\d contacts
\d+ per_country
\d stock.items
\d+ stock.*
\d customers_id_seq
\d customers_pkey
\df stock.*
\df+ stock.label_of
\sf stock.label_of
\sv contacts
\dp
\dp stock.*
\z customers
\ddp
\dn public
\dn+ stock
\l
\du
\dT+
\dD
\dC text
\dd
\do public.*
\dx
\dy
\dRp
\dX
\dP+
\dO
\dL
""".split("\n")


def said(door: Door, command: str) -> str:
    ran = subprocess.run(
        ["psql", "-X", "-A", "-d", door.dsn, "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PATH": door.path, "LC_ALL": "C.UTF-8"},
    )
    return ran.stdout


def script(door: Door) -> list[str]:
    """All commands in one session; each answer behind its command."""
    lines = "".join(f"\\echo ==== {command[1:]}\n{command}\n" for command in COMMANDS if command)
    ran = subprocess.run(
        ["psql", "-X", "-A", "-d", door.dsn, "-f", "-"],
        input=lines,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PATH": door.path, "LC_ALL": "C.UTF-8"},
    )
    return ran.stdout.split("==== ")[1:]


def test_what_psql_describes_is_what_is_there(direct: Door, masked: Door) -> None:
    seen, there = script(masked), script(direct)  # in this order: \du lists the login that the first one makes
    assert len(there) == len([command for command in COMMANDS if command])
    for one, other in zip(there, seen, strict=True):
        assert other == one
    # An old psql asks for columns of locales that the newest servers don't have any more.
    assert {each.split()[0] for each in there if "ERROR" in each} <= {"l", "dO"}


def test_the_rows_are_masked_all_the_same(masked: Door) -> None:
    rows = said(masked, "TABLE customers") + said(masked, "TABLE contacts") + said(masked, "TABLE orders")
    assert "a**************" in rows
    assert [secret for secret in SECRETS if secret in rows] == []


@pytest.mark.parametrize("command", [r"\d nothing", r"\dt none.*", r"\sf nothing"])
def test_what_is_not_there_is_not_there(direct: Door, masked: Door, command: str) -> None:
    assert said(masked, command) == said(direct, command)
