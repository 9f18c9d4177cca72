"""The bodies of functions and DO blocks: the statements in them, and the names, as far as they can be read.

Bodies in SQL are read whole. Of PL/pgSQL the statements are cut out by its keywords and read one by one, and of its
expressions the names are taken; SQL that is made while it runs (EXECUTE), and other languages, nobody reads. Knows no
rule.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # it ships no types
from postgast import pg_query_pb2

from hoopproxy.masking.syntax import Node, Unreadable, fold, nodes, statements, strings
from hoopproxy.masks import Named

_SQL, _PLPGSQL = "sql", "plpgsql"

_BEFORE = frozenset("; begin then else loop declare in query for".split())
"""What a statement may follow in PL/pgSQL (manual, "PL/pgSQL": control structures, cursors)."""

_VERBS = frozenset(
    """
    alter analyze call checkpoint cluster comment copy create deallocate delete discard do drop explain grant import
    insert listen load lock merge notify perform prepare reassign refresh reindex reset revoke security select set show
    table truncate unlisten update vacuum values with
    """.split()
)

_WITH_TARGETS = frozenset("select with insert update delete merge values".split())
"""Statements of PL/pgSQL that may say INTO which variables their row goes."""

_ASSIGNS = frozenset((":=", "=", ".", "["))
"""What follows a word that is a variable here."""

_NO_WORDS = frozenset(
    getattr(pg_query_pb2, kind) for kind in ("SCONST", "USCONST", "BCONST", "XCONST", "ICONST", "FCONST", "PARAM")
)
_COMMENTS = frozenset((pg_query_pb2.SQL_COMMENT, pg_query_pb2.C_COMMENT))


@dataclass(frozen=True, slots=True)
class Body:
    """What stands in one body. `calls` are names with a parenthesis behind them, `names` all of them, each alone and
    with what stands before its dot; folded."""

    statements: tuple[Node, ...]
    calls: frozenset[Named] = frozenset()
    names: frozenset[Named] = frozenset()


def bodies(statement: Node) -> Iterator[Body]:
    """The bodies within a statement that are texts; those of BEGIN ATOMIC are nodes of it. @raise Unreadable."""
    for kind, inside in nodes(statement):
        if kind in ("DoStmt", "CreateFunctionStmt"):
            options = {
                each["DefElem"]["defname"]: each["DefElem"]
                for each in inside.get("args" if kind == "DoStmt" else "options", [])
            }
            if "as" in options:
                language = "".join(strings([options["language"]["arg"]])) if "language" in options else _PLPGSQL
                yield _read(_text(options["as"]), fold(language))


def _text(option: Node) -> str:
    """A function in C has two: its file and its name there."""
    arg = option["arg"]
    return "\n".join(strings(arg["List"]["items"] if "List" in arg else [arg]))


def _read(text: str, language: str) -> Body:
    if language == _SQL:
        return Body(statements(text))
    if language != _PLPGSQL:
        raise Unreadable(f"a body in {language}")
    return _Procedural(text).body()


@dataclass(frozen=True, slots=True)
class _Token:
    """One token: its place in bytes, and its word as SQL folds it ("" for a literal)."""

    start: int
    end: int
    word: str
    is_name: bool


class _Procedural:
    def __init__(self, text: str) -> None:
        self._raw = text.encode("utf-8", "replace")
        try:
            tokens = postgast.scan(text).tokens
        except (postgast.PgQueryError, DecodeError, UnicodeError) as why:
            raise Unreadable("a body that is no PL/pgSQL") from why
        self._tokens = [_token(self._raw, each) for each in tokens if each.token not in _COMMENTS]

    def body(self) -> Body:
        return Body(tuple(self._statements()), frozenset(self._calls()), frozenset(self._names()))

    def _word(self, at: int) -> str:
        return self._tokens[at].word if 0 <= at < len(self._tokens) else ""

    def _names(self) -> Iterator[Named]:
        for at, token in enumerate(self._tokens):
            if token.is_name:
                yield "", fold(token.word)
                if self._word(at - 1) == ".":
                    yield fold(self._word(at - 2)), fold(token.word)

    def _calls(self) -> Iterator[Named]:
        for at, token in enumerate(self._tokens):
            if token.is_name and self._word(at + 1) == "(":
                schema = self._word(at - 2) if self._word(at - 1) == "." else ""
                yield fold(schema), fold(token.word)

    def _statements(self) -> Iterator[Node]:
        at = depth = 0
        while at < len(self._tokens):
            word = self._word(at)
            depth += (word == "(") - (word == ")")
            if depth == 0 and (at == 0 or self._word(at - 1) in _BEFORE) and self._word(at + 1) not in _ASSIGNS:
                if word == "execute":
                    raise Unreadable("SQL that is made while it runs (EXECUTE)")
                if word in _VERBS:
                    end = self._end(at, self._word(at - 1) == "in")
                    yield from statements(self._sql(at, end))
                    at = end
                    continue
            at += 1

    def _end(self, at: int, is_loop: bool) -> int:
        """Where the statement at `at` ends: before a semicolon, or the LOOP that goes through its rows."""
        depth = 0
        while at < len(self._tokens):
            word = self._word(at)
            depth += (word == "(") - (word == ")")
            if depth == 0 and (word == ";" or (is_loop and word == "loop")):
                break
            at += 1
        return at

    def _sql(self, at: int, end: int) -> str:
        """A statement as SQL has it: PERFORM is SELECT there, and it knows no variables to put a row INTO."""
        first, last = self._tokens[at], self._tokens[end - 1]
        begin, raw = first.start, b""
        if first.word == "perform":
            begin, raw = first.end, b"SELECT"
        if first.word in _WITH_TARGETS and (into := self._into(at, end)) is not None:
            stop = self._targets_end(into + 1, end)
            raw += self._raw[begin : self._tokens[into].start]
            begin = self._tokens[stop - 1].end
        return (raw + self._raw[begin : last.end]).decode()

    def _into(self, at: int, end: int) -> int | None:
        depth = 0
        for each in range(at, end):
            word = self._word(each)
            depth += (word == "(") - (word == ")")
            if depth == 0 and word == "into" and self._word(each - 1) not in ("insert", "merge"):
                return each
        return None

    def _targets_end(self, at: int, end: int) -> int:
        at += self._word(at) == "strict"
        while at < end:
            at += 1
            while self._word(at) == ".":
                at += 2
            if self._word(at) == "[":
                while at < end and self._word(at - 1) != "]":
                    at += 1
            if self._word(at) != ",":
                break
            at += 1
        return min(at, end)


def _token(raw: bytes, token: pg_query_pb2.ScanToken) -> _Token:
    if token.token in _NO_WORDS:
        return _Token(token.start, token.end, "", False)
    text = raw[token.start : token.end].decode()
    if text.startswith('"'):
        return _Token(token.start, token.end, text[1:-1].replace('""', '"'), True)
    return _Token(token.start, token.end, text.lower(), text[:1].isalpha() or text[:1] == "_")
