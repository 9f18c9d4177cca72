"""Harness: a client's SQL, before PostgreSQL's own grammar and before the rules of `wire` mode."""

from fuzz.choices import Choices
from fuzz.endings import is_unicode
from hoopproxy.masking.kinds import kinds
from hoopproxy.masking.names import Names
from hoopproxy.masking.statements import Allowed, Denied, Rules, judge
from hoopproxy.masking.syntax import Unreadable, statements
from hoopproxy.masks import Catalog, Relation
from hoopproxy.wire.postgres.outline import outline

CARD = "public.customers.card"
NAMES = Names.of(
    Catalog(
        {16401: Relation(16401, "public", "customers", {2: CARD})},
        {16500: Relation(16500, "public", "all_customers", {})},
        frozenset({16401, 16402, 16500}),
        frozenset({"f"}),
    )
)
RULES = Rules()
WORDS = tuple(
    """SELECT * , ( ) ; FROM customers AS c card c.card name id products all_customers WHERE = 1 'x' || f upper count
    JOIN ON USING NATURAL LEFT LATERAL WITH w RECURSIVE UNION ALL EXCEPT VALUES ORDER BY GROUP HAVING LIMIT DISTINCT IN
    EXISTS ANY CASE WHEN THEN ELSE END NULL IS NOT AND OR BETWEEN CAST :: text [ ] ARRAY ROW . $1 $a$ U& E' " -- /* */
    INSERT INTO UPDATE SET DELETE RETURNING MERGE MATCHED DO NOTHING CONFLICT COPY TO STDOUT STDIN EXPLAIN ANALYZE
    CREATE TABLE VIEW FUNCTION TEMP DROP ALTER ROLE PASSWORD GRANT TRUNCATE DECLARE CURSOR FOR FETCH PREPARE EXECUTE
    DEALLOCATE BEGIN COMMIT SAVEPOINT SHOW LISTEN LOCK CALL OVER PARTITION WINDOW FILTER search_path pg_stats
    TABLESAMPLE ONLY json xmlforest query_to_xml( row_to_json ü 😀 \x01 \ufeff -1 +""".split()
)
TEMPLATES = (
    "SELECT {} FROM customers {}",
    "SELECT id, {} FROM (SELECT {} FROM customers) AS c",
    "WITH w AS (SELECT {} FROM customers) SELECT {} FROM w",
    "INSERT INTO products SELECT {} FROM customers RETURNING {}",
    "UPDATE products SET name = {} FROM customers {}",
    "EXPLAIN {} SELECT {}",
    "ALTER ROLE ana {} PASSWORD {}",
    "COPY customers ({}) TO {}",
    "{} {}",
    "SELECT {}{}",
)
REPEATS = (1, 1, 1, 2, 40, 400, 3000)


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    text = choices.pick(TEMPLATES).format(_some(choices), _some(choices))
    assert is_unicode(outline(text).text)
    try:
        found = {kind for tree in statements(text) for kind in kinds(tree)}
    except Unreadable:
        found = None
    verdict = judge(text, NAMES, RULES)
    assert isinstance(verdict, Allowed | Denied)
    assert found is not None or isinstance(verdict, Denied), "what nobody can read was let through"
    if isinstance(verdict, Denied):
        assert is_unicode(verdict.sentence) and is_unicode(verdict.detail)


def _some(choices: Choices) -> str:
    made: str = choices.call(_words, _words, _words, _repeated, _raw)
    return made


def _words(choices: Choices) -> str:
    return choices.pick((" ", " ", "")).join(choices.pick(WORDS) for _ in range(choices.below(12)))


def _repeated(choices: Choices) -> str:
    return choices.pick(("", " ")).join([_words(choices)] * choices.pick(REPEATS))[:16000]


def _raw(choices: Choices) -> str:
    return choices.some(60).decode("utf-8", "surrogateescape")
