"""The grammar of JSON as regular expressions (RFC 8259), stricter in one thing: a lone surrogate is no character.

Possessive throughout: a text is matched in one pass or not at all. Knows no document.
"""

SPACE = r"[ \t\n\r]*+"

_HEX = "[0-9a-fA-F]"
_UNICODE = rf"(?:[0-9a-ce-fA-CE-F]{_HEX}{{3}}|[dD][0-7]{_HEX}{{2}}|[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}})"
"""Four digits that are a character, or a pair of surrogates."""

_PLAIN = r'[^"\\\x00-\x1f]*+'

STRING = rf'"{_PLAIN}(?:\\(?:["\\/bfnrt]|u{_UNICODE}){_PLAIN})*+"'

NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"

BOOLEAN, NULL = "true|false", "null"

SCALAR = rf"(?:{STRING}|{NUMBER}|{BOOLEAN}|{NULL})"

FORMS = {'"': STRING, "t": BOOLEAN, "f": BOOLEAN, "n": NULL} | dict.fromkeys("-0123456789", NUMBER)
"""What a scalar is, by its first character."""
