"""Entries of the journal, and what each history has come to."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    position = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "entry",
        sa.Column("position", position, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(1024), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("gateway", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("is_noted", sa.Boolean(), nullable=False),
        sa.UniqueConstraint("key", "number"),
    )
    op.create_table(
        "history",
        sa.Column("key", sa.String(1024), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(40), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("person", sa.String(1024), nullable=False),
        sa.Column("target_name", sa.String(255), nullable=False),
        sa.Column("not_after_ms", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_history_is_open", "history", ["is_open"])
    op.create_index("ix_history_position", "history", ["position"])


def downgrade() -> None:
    """Take them away, with all that is in them."""
    op.drop_table("history")
    op.drop_table("entry")
