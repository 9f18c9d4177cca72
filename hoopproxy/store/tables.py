"""The tables of the store, as SQLAlchemy knows them; `migrations` make them.

Holds no rows and decides nothing.
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, String, Table, UniqueConstraint

METADATA = MetaData()

KEY_CHARACTERS_MAX = 1024
"""An issuer and a subject (255, OpenID Connect Core 1.0 §2) fit."""

# SQLite counts a rowid by itself for INTEGER alone.
_POSITION = BigInteger().with_variant(Integer(), "sqlite")

ENTRY = Table(
    "entry",
    METADATA,
    Column("position", _POSITION, primary_key=True, autoincrement=True),
    Column("key", String(KEY_CHARACTERS_MAX), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("gateway", String(255), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("is_noted", Boolean, nullable=False),
    UniqueConstraint("key", "number"),
)

ROW = Table(
    "history",
    METADATA,
    Column("key", String(KEY_CHARACTERS_MAX), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("state", String(40), nullable=False),
    Column("is_open", Boolean, nullable=False, index=True),
    Column("person", String(KEY_CHARACTERS_MAX), nullable=False),
    Column("target_name", String(255), nullable=False),
    Column("not_after_ms", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False, index=True),
)

WEBHOOK = Table(
    "webhook",
    METADATA,
    Column("name", String(63), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_at_ms", BigInteger, nullable=False),
    Column("holder", String(255), nullable=False),
    Column("held_until_ms", BigInteger, nullable=False),
    Column("told_at_ms", BigInteger, nullable=False),
    Column("given_up", Integer, nullable=False),
    Column("error", String(500), nullable=False),
)
"""How far each webhook was told: what stands behind `position` in the journal is still to be told."""
