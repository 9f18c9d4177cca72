"""What is replaced in a text, by where the parser found it: a name, a COPY's relation, what a constant says.

Knows how each is written (`spelling`), not why it is replaced.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

from hoopproxy.events import Edit
from hoopproxy.masking.shadows.quoting import dotted
from hoopproxy.masking.shadows.spelling import literal, part, parts, past_blank, word
from hoopproxy.masks import Named


@dataclass(frozen=True, slots=True)
class Renamed:
    """The dotted name at byte `at`: of its parts `names` the two or one behind the first `kept` become `twin`."""

    at: int
    names: tuple[str, ...]
    twin: Named
    kept: int = 0

    def edits(self, text: str, at: int) -> Iterator[Edit]:
        """What changes in `text`, where the name stands at character `at`. @raise Astray"""
        found = parts(text, at, self.names)
        yield _replaced(found[self.kept].start, found[-1].end, dotted(*self.twin))


@dataclass(frozen=True, slots=True)
class Copied:
    """The relation of a COPY … TO and its list of columns, which become a query of `twin`; without a list `all` are."""

    at: int
    names: tuple[str, ...]
    columns: tuple[str, ...]
    twin: Named
    all: tuple[str, ...]

    def edits(self, text: str, at: int) -> Iterator[Edit]:
        """@raise Astray: a form that COPY of a query doesn't have (BINARY before the name, DELIMITERS)."""
        found = parts(text, at, self.names)
        end, source = found[-1].end, dotted(*self.twin)
        if not self.columns:
            columns = ", ".join(dotted(name) for name in self.all) or "*"
            yield _replaced(found[0].start, end, f"(SELECT {columns} FROM {source})")
        else:
            yield _replaced(found[0].start, end, "(SELECT")
            opened = word(text, end, "(")
            yield _replaced(opened - 1, opened, " ")
            end = opened
            for name in self.columns:
                end = part(text, end, name).end
                closed = end = word(text, end, ",", ")")
            yield _replaced(closed - 1, closed, f" FROM {source})")
        word(text, end, "to")


@dataclass(frozen=True, slots=True)
class Said:
    """The constant at byte `at`, behind the keyword `after`, which says `says`: `inner` are the changes within."""

    at: int
    says: str
    inner: tuple[Edit, ...]
    after: str = ""

    def edits(self, text: str, at: int) -> Iterator[Edit]:
        """@raise Astray: it is written in a way that isn't handled."""
        found = literal(text, word(text, at, self.after) if self.after else at, self.says)
        for edit in self.inner:
            yield _replaced(found.places[edit.at], found.places[edit.at + edit.removed], found.written(edit.put))


@dataclass(frozen=True, slots=True)
class Sampled:
    """A relation with TABLESAMPLE, which views don't have: it becomes a query of `twin` that takes each row with the
    probability `percent`, a number as written. `alias` and its columns are the statement's own, "" for none."""

    at: int
    names: tuple[str, ...]
    twin: Named
    method: str
    percent: str
    alias: str = ""
    columns: tuple[str, ...] = ()

    def edits(self, text: str, at: int) -> Iterator[Edit]:
        """What changes in `text`, where the relation stands at character `at`. @raise Astray"""
        found = parts(text, at, self.names)
        end = found[-1].end
        query = (
            f"(SELECT * FROM {dotted(*self.twin)} WHERE pg_catalog.random() OPERATOR(pg_catalog.*) 100 "
            f"OPERATOR(pg_catalog.<) {self.percent})"
        )
        if not self.alias:
            yield _replaced(found[0].start, end, f"{query} AS {dotted(self.names[-1])}")
        else:
            yield _replaced(found[0].start, end, query)
            end = self._past_alias(text, end)
        start = past_blank(text, end)
        end = part(text, word(text, end, "tablesample"), self.method).end
        end = word(text, word(text, word(text, end, "("), self.percent), ")")
        yield _replaced(start, end, "")

    def _past_alias(self, text: str, end: int) -> int:
        if text[past_blank(text, end) :][:2].lower() == "as" and self.alias != "as":
            end = word(text, end, "as")
        end = part(text, end, self.alias).end
        if self.columns:
            end = word(text, end, "(")
            for name in self.columns:
                end = word(text, part(text, end, name).end, ",", ")")
        return end


@dataclass(frozen=True, slots=True)
class Put:
    """A text that is put in at byte `at`."""

    at: int
    put: str

    def edits(self, text: str, at: int) -> Iterator[Edit]:
        """What changes in `text`, where it comes to stand at character `at`."""
        yield _replaced(at, at, self.put)


type Site = Renamed | Copied | Sampled | Said | Put


def edits(sites: list[Site], text: str) -> tuple[Edit, ...]:
    """All changes in their order. @raise Astray: what stands in `text` is not what the parser told."""
    found: list[Edit] = []
    octets = text.encode() if sites and not text.isascii() else b""
    byte = character = 0
    # The parser tells some twice: `SET (a, b) = (SELECT …)` has its query under a and under b.
    unique = {(site.at, not isinstance(site, Put)): site for site in sites}  # what is put in comes first
    for _, site in sorted(unique.items(), key=itemgetter(0)):
        character += len(octets[byte : site.at].decode()) if octets else site.at - byte
        byte = site.at
        found.extend(site.edits(text, past_blank(text, character)))
    return tuple(found)


def applied(text: str, edits: tuple[Edit, ...]) -> str:
    """The text with its changes made."""
    pieces: list[str] = []
    at = 0
    for edit in edits:
        pieces += text[at : edit.at], edit.put
        at = edit.at + edit.removed
    return "".join((*pieces, text[at:]))


def _replaced(start: int, end: int, put: str) -> Edit:
    return Edit(start, end - start, put)
