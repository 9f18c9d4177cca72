"""What holds for all texts: changes are at names alone, and a second rewriting finds nothing to do."""

import re
from random import Random
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from hoopproxy.errors import Refused
from hoopproxy.events import Edit
from hoopproxy.masking.shadows.places import Places
from hoopproxy.masking.shadows.rewriting import Rewritten, rewritten
from hoopproxy.masking.syntax import Unreadable, parsed
from tests.shadows import marked_cases as marked
from tests.shadows.masked_sample import SHADOW
from tests.shadows.scripts import Scripts

FRESH = Places.of(SHADOW)

ODD = st.sampled_from(["", " ", "\n", "--ü people\n", "/* € /* people */ */", "\t/**/"])

cases = st.tuples(ODD, st.sampled_from(marked.ALL).map(marked.original), ODD).map("".join)


@st.composite
def scripts(draw: st.DrawFn) -> str:
    """Statements of the grammar, sent as one."""
    random: Random = draw(st.randoms(use_true_random=False))
    return ";".join(Scripts(random).script())


texts = st.one_of(cases, st.lists(cases, max_size=3).map(";".join), scripts())


def sent(text: str) -> Rewritten:
    try:
        return rewritten(text, SHADOW, FRESH)
    except Refused:
        return Rewritten(text, (), FRESH)


@given(texts)
def test_all_bytes_outside_of_edits_stay(text: str) -> None:
    found = sent(text)
    kept, at, shift = [], 0, 0
    for edit in found.edits:
        assert at <= edit.at
        assert edit.put
        start = edit.at + shift
        assert found.text[at + shift : start] == text[at : edit.at]
        assert found.text[start : start + len(edit.put)] == edit.put
        kept.append(text[at : edit.at])
        at, shift = edit.at + edit.removed, shift + len(edit.put) - edit.removed
    assert found.text[at + shift :] == text[at:]


@given(texts)
def test_what_was_rewritten_stays_as_it_is(text: str) -> None:
    again = sent(sent(text).text)
    assert again.edits == ()
    assert again.places == sent(text).places


@given(texts)
@example("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT name FROM public./* a /* b */ */people'")
def test_a_tree_is_the_same_but_for_the_names(text: str) -> None:
    assert _tree(sent(text).text) == _tree(text)


@given(st.text())
def test_any_text_is_read_or_left(text: str) -> None:
    assert sent(text) == Rewritten(text, (), FRESH)


PUT = ("", "'", '"', "$$", "ü", "(", ".", "\\", "people", "--", "*/", " SELECT ", " 0x1FFFFFFFFF ")


@given(cases, st.booleans(), st.randoms(use_true_random=False))
def test_mutilated_statements_are_read_or_left(text: str, is_by_word: bool, random: Random) -> None:
    for _ in range(random.randrange(1, 4)):
        parts = re.findall(r"\w+|.", text, re.DOTALL) if is_by_word else list(text)
        start = random.randrange(len(parts) + 1)
        end = start + random.randrange(4)
        put = random.choice(PUT)
        text = "".join((*parts[:start], put, *parts[end:]))
    found = sent(text)
    assert all(isinstance(edit, Edit) and text[edit.at : edit.at + edit.removed] != edit.put for edit in found.edits)
    assert sent(found.text).edits == ()


@given(texts)
def test_without_protected_names_nothing_changes(text: str) -> None:
    other = re.sub("people|orders|contacts|mail_of|columns|vault", "things", text, flags=re.IGNORECASE)
    assert sent(other).edits == ()


def _tree(text: str) -> Any:
    """Without places, with protected names as they are however they are qualified, and without what changes: COPY, and
    GROUP BY, which may have to name more."""
    try:
        return [_plain(raw) for raw in parsed(text) if "CopyStmt" not in raw["stmt"]]
    except Unreadable:
        return None


_SCHEMAS = {"public", "app", "hp_7a_0", "hp_7a_1", "hp_7a_is", "information_schema"}
_COMMENT = r"(?:\s*/\*.*?\*/(?:\s*\*/)?)?\s*"  # one within another at most
_PREFIX = re.compile(rf'"?\b({"|".join(sorted(_SCHEMAS))})\b"?{_COMMENT}\.{_COMMENT}', re.IGNORECASE)


def _plain(node: Any) -> Any:
    match node:
        case list():
            return [_plain(each) for each in node if not (isinstance(each, dict) and _schema(each))]
        case {"sval": str(text)}:
            return _PREFIX.sub("", text).replace('"', "").lower()
        case dict():
            return {key: _plain(value) for key, value in node.items() if key not in _CHANGING}
        case _:
            return node


_CHANGING = {"location", "stmt_location", "stmt_len", "schemaname", "list_start", "list_end", "groupClause"}


def _schema(node: dict[str, Any]) -> bool:
    """A schema's name as a part of a longer one."""
    return node.get("String", {}).get("sval") in _SCHEMAS
