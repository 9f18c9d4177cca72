"""What belongs to a session: its notices, its settings, its transactions' flags. Knows no driver."""

from .steps import Step, ask, begin, commit, rollback, run, status

REPORTED = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "is_superuser",
    "session_authorization",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "default_transaction_read_only",
    "in_hot_standby",
    "scram_iterations",
    "search_path",
)
"""What servers report: in 18 two more than in 15."""


def settings() -> list[Step]:
    """Reported, changed, reset."""
    raising = """DO $$ BEGIN
        RAISE NOTICE 'hello %', 'ä' USING DETAIL = 'a detail', HINT = 'a hint';
        RAISE WARNING 'careful' USING ERRCODE = '01P07';
        RAISE INFO 'for your information';
    END $$"""
    flags = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), " \
        "current_setting('transaction_deferrable')"  # fmt: skip
    levels = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
    return [
        Step("what is reported at the start", [status(*REPORTED), ask("SHOW application_name")]),
        Step("notices", [
            run(raising),
            ask(raising),
            run("DROP TABLE IF EXISTS no_such_table"),
            ask("SELECT says(g) FROM generate_series(1, 5) g"),
            run("SELECT says(1); SELECT says(2)"),
            ask("SELECT count(says(g)) FROM generate_series(1, 500) g"),
            run("COMMIT"),
        ]),
        Step("flags of transactions", [
            op
            for level in levels
            for read_only in (False, True)
            for op in (begin(level, read_only=read_only), ask(flags), commit())
        ] + [
            begin("SERIALIZABLE", read_only=True, deferrable=True),
            ask(flags),
            run("UPDATE accounts SET n = n", fails="25006"),
            rollback(),
            ask(flags),
        ]),
        Step("settings", [
            run("SET TimeZone = 'Asia/Kolkata'"),
            run("SET application_name = 'other'"),
            run("SET IntervalStyle = 'iso_8601'"),
            run("SET DateStyle = 'ISO, DMY'"),
            run("SET bytea_output = 'escape'"),
            status(*REPORTED),
            ask("SELECT '2026-11-25 10:00+00'::timestamptz, '1 day 2 hours'::interval"),
            ask("SHOW application_name"),
            run("BEGIN; SET LOCAL TimeZone = 'UTC'; SELECT current_setting('TimeZone'); ROLLBACK"),
            status("TimeZone"),
            run("RESET ALL"),
            status(*REPORTED),
            run("SET no_such_setting = 1", fails="42704"),
            run("SET work_mem = 'much'", fails="22023"),
        ], fresh=True),
    ]  # fmt: skip
