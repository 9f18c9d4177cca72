"""Names and texts as SQL writes them. Knows no statement."""


def quoted(name: str) -> str:
    """An identifier, in double quotes whatever it is (manual, "Lexical Structure")."""
    return '"' + name.replace('"', '""') + '"'


def dotted(*parts: str) -> str:
    """A qualified name: `"public"."customers"`."""
    return ".".join(map(quoted, parts))


def literal(text: str) -> str:
    """A text as a constant that means the same whatever standard_conforming_strings says, in ASCII where it is."""
    if "\\" in text:
        return " E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    return "'" + text.replace("'", "''") + "'"
