"""How a session ended early, as a value to compare; and that its words can be told to people and logs.

Knows no parser.
"""

from hoopproxy.errors import SessionError

type Ending = tuple[str, str, str]
"""Kind, sentence, detail."""


def ending(why: SessionError) -> Ending:
    """@raise AssertionError: it has no sentence, or one that is not Unicode. (The operator's log escapes a detail.)"""
    assert why.sentence and is_unicode(why.sentence), f"its words can't be told: {why.sentence!r}"
    return type(why).__name__, why.sentence, why.detail


def is_unicode(text: str) -> bool:
    """Whether it can be written down: a peer's bytes read by surrogate escapes can't."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
