"""What shows data without naming it: built-in functions and relations that a masked session must do without.

Names only; `lineage` asks them. What stands here was read off the catalogs of PostgreSQL 15 and 17, and a test compares
it with both: a volatile built-in is either refused here or on that test's list of reviewed ones.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

# Pattern of a folded name to what such a function does. None of them can be made safe by an operator's list.
FUNCTIONS: Mapping[re.Pattern[str], str] = MappingProxyType(
    {
        re.compile(pattern): does
        for pattern, does in {
            r"(query|table|schema|database|cursor)_to_xml\w*": "reads tables by name",
            r"ts_stat|ts_rewrite|crosstab\w*|connectby|dblink\w*|xpath_table": "runs SQL from a text",
            r"pg_read_\w+|pg_ls_\w+|pg_stat_file|pg_file_\w+|pg_logdir_ls": "reads the server's files",
            r"pg_hba_file_rules|pg_ident_file_mappings|pg_show_all_file_settings": "reads the server's files",
            r"lo_\w+|loread|lowrite": "reads and writes large objects",
            r"pg_logical_\w+|pg_(create|copy|drop)_\w*replication_slot|pg_replication_\w+": "reads the write-ahead log",
            r"pg_get_wal_\w+|pg_wal_summary_contents|get_raw_page|heap_page_\w+|bt_page_\w+": "reads raw storage",
            r"pg_stat_get_(backend_)?activity|pg_mcv_list_items|pg_stat_statements\w*": "shows other people's values",
            r"binary_upgrade_\w+|pg_(restore|clear)_\w+_stats": "changes the catalog",
        }.items()
    }
)

# Relations that hold columns' values, or the statements of others with their literals.
RELATIONS = frozenset(
    {
        "pg_statistic",
        "pg_statistic_ext_data",
        "pg_stats",
        "pg_stats_ext",
        "pg_stats_ext_exprs",
        "pg_largeobject",
        "pg_stat_activity",
        "pg_stat_statements",
    }
)

# Schemas whose relations nobody names for a good reason, by prefix: out-of-line values, temporary tables.
SCHEMAS = ("pg_toast", "pg_temp")

# Built-ins that take a whole row as their one argument: `c.to_jsonb` means `to_jsonb(c)` (manual, "Using Composite
# Types in Queries"), so behind a dot they are no columns.
ROW_FUNCTIONS = frozenset(
    """
    any_out any_value anycompatible_out anycompatiblenonarray_out anyelement_out anynonarray_out array_agg concat count
    cume_dist dense_rank first_value hash_record json_agg json_agg_strict json_build_array json_build_object jsonb_agg
    jsonb_agg_strict jsonb_build_array jsonb_build_object lag last_value lead max min mode num_nonnulls num_nulls
    percent_rank pg_collation_for pg_column_compression pg_column_size pg_column_toast_chunk_id pg_typeof quote_literal
    quote_nullable rank record_out record_send row_to_json to_json to_jsonb
    """.split()
)

# Settings that a masked session can't change: who it is, and how the server reads a text.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "role": "it says whose rights the session has",
        "session_authorization": "it says whose rights the session has",
        "standard_conforming_strings": "the gateway and the server must read a statement alike",
        "backslash_quote": "the gateway and the server must read a statement alike",
    }
)

# Encodings in which no byte below 0x80 is part of another character, as clients use them.
ENCODINGS = re.compile(r"utf8|unicode|latin1|iso88591|sqlascii|win125\d|windows125\d|default")


def function_does(name: str) -> str:
    """What the built-in of this folded name does that can't be masked; "" when nothing is known against it."""
    return next((does for pattern, does in FUNCTIONS.items() if pattern.fullmatch(name)), "")


def setting_refused(name: str, value: str | None) -> str:
    """Why a masked session can't set this; "" when it can. `value` None: back to the value of the session's start."""
    name = name.lower()
    if name in SETTINGS:
        return f"The setting {name} can't be changed in a session with masked columns: {SETTINGS[name]}."
    if name == "client_encoding" and value is not None:
        if not ENCODINGS.fullmatch(re.sub(r"[^a-z0-9]", "", value.lower())):
            return (
                "This client_encoding can't be used in a session with masked columns, because its bytes can be read "
                "in two ways: use UTF8, LATIN1 or a WIN125x."
            )
    return ""
