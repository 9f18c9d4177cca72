"""Runs the steps on the connection that `hoopproxy.store.database` gives. Alembic runs this file; nobody imports it."""

from alembic import context

from hoopproxy.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
