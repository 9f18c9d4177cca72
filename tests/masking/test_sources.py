"""The lists of built-ins against real servers: nothing that they hold is missing from a review."""

import re

import psycopg
import pytest

from hoopproxy.masking import sources

# Volatile built-ins that show no column's value and run no text: read through, one by one.
REVIEWED = re.compile(
    r"""pg_(try_)?advisory_\w+ | pg_stat_\w+ | pg_wal_replay_\w+ | pg_backup_\w+ | brin_\w+ | gin_\w+
    | pg_(current|last)_\w+ | pg_control_\w+ | pg_\w*_size | pg_sleep\w* | pg_partition_\w+ | pg_xact_\w+
    | pg_is_\w+ | pg_get_(backend_memory_contexts|multixact_\w+|shmem_allocations)
    | array_(sample|shuffle) | pg_get_wait_events | dsnowball_\w+
    | \w+handler | plpgsql_\w+ | amvalidate | bernoulli | system | heap_tableam_handler
    | clock_timestamp | timeofday | random\w* | setseed | gen_random_uuid | uuidv\d | txid_status
    | currval | lastval | nextval | setval | set_config | current_query | currtid2?
    | pg_(cancel|terminate)_backend | pg_(reload_conf|rotate_logfile\w*|promote|switch_wal|create_restore_point)
    | pg_(blocking_pids|safe_snapshot_blocking_pids|isolation_test_session_is_blocked|lock_status|prepared_xact)
    | pg_(collation|database_collation)_actual_version | pg_(export_snapshot|extension_config_dump|nextoid|notify)
    | pg_(import_system_collations|jit_available|log_\w+|notification_queue_usage|sequence_last_value)
    | pg_(show_replication_origin_status|stop_making_pinned_objects|available_wal_summaries|sync_replication_slots)
    """,
    re.VERBOSE,
)


def test_every_volatile_built_in_is_refused_or_reviewed(connection: psycopg.Connection) -> None:
    found = connection.execute(
        """SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
           AND provolatile = 'v' AND prokind IN ('f', 'p') AND prorettype <> 'trigger'::regtype"""
    ).fetchall()
    open_ones = {name for (name,) in found if not sources.function_does(name) and not REVIEWED.fullmatch(name)}
    assert not open_ones


def test_every_built_in_that_reads_tables_by_name_is_refused(connection: psycopg.Connection) -> None:
    """Stable ones; by what their arguments are called, which is how the manual tells them."""
    found = connection.execute(
        """SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
           AND proargnames && ARRAY['query', 'sqlquery', 'tbl', 'cursor', 'filename', 'loid', 'tableforest']"""
    ).fetchall()
    harmless = {"ts_headline", "websearch_to_tsquery", "pg_stat_get_wal_senders", "pg_prepared_statement"}
    assert len(found) > 10
    assert {name for (name,) in found if not sources.function_does(name)} <= harmless


def test_every_function_of_a_whole_row_is_known(connection: psycopg.Connection) -> None:
    found = connection.execute(
        """SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
           AND pronargs >= 1 AND pronargs - pronargdefaults <= 1
           AND proargtypes[0] IN ('record'::regtype, 'anyelement'::regtype, 'anynonarray'::regtype, '"any"'::regtype,
                                  'anycompatible'::regtype, 'anycompatiblenonarray'::regtype)"""
    ).fetchall()
    assert {name for (name,) in found} <= sources.ROW_FUNCTIONS


def test_every_catalog_that_holds_columns_values_is_refused(connection: psycopg.Connection) -> None:
    """Columns of type anyarray or pg_mcv_list are where values of any type can stand."""
    found = connection.execute(
        """SELECT DISTINCT relname FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
           WHERE atttypid IN ('anyarray'::regtype, 'pg_mcv_list'::regtype) AND attnum > 0"""
    ).fetchall()
    # pg_attribute keeps the default of a column that was added later: the owner's text, not a row's value
    assert {name for (name,) in found} - sources.RELATIONS == {"pg_attribute"}


@pytest.mark.parametrize("name", ["UTF8", "utf-8", "UNICODE", "latin1", "SQL_ASCII", "WIN1252", "windows-1252"])
def test_an_encoding_that_can_be_read_in_one_way(name: str) -> None:
    assert not sources.setting_refused("client_encoding", name)
    assert not sources.setting_refused("search_path", name)


@pytest.mark.parametrize("name", ["SJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB", "SHIFT_JIS_2004", "", "?"])
def test_an_encoding_that_can_be_read_in_two(name: str) -> None:
    assert "client_encoding" in sources.setting_refused("Client_Encoding", name)
