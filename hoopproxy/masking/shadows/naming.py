"""How everything that masks need in a server is called, and whether a name is one of ours. Knows no server."""

import re
from hashlib import sha256

GROUP = "hp_[0-9a-f]{12}"
"""The form of a group role's name, as a regular expression: PostgreSQL's and Python's read it alike."""

GROUP_CHARACTERS = 15

LOGIN = f"{GROUP}_[0-9a-f]{{16}}"
"""That of a login role's name, which begins with its group's."""

STAMP = "hoopproxy "
"""How comments of ours begin."""

_ROLE = re.compile(f"hp_owner_[0-9a-f]{{8}}|{GROUP}|{LOGIN}")
_LOGIN = re.compile(LOGIN)
_SCHEMA = re.compile(rf"({GROUP})_([0-9]{{1,5}}|is|k)")


def owner_role(database: str) -> str:
    """The role that owns all of it in one database; nobody can log in as it."""
    return f"hp_owner_{sha256(database.encode()).hexdigest()[:8]}"


def twin_schema(mask_set: str, number: int) -> str:
    """Where the twins of what lies in one original schema are."""
    return f"{mask_set}_{number}"


def information_schema(mask_set: str) -> str:
    """Where the copies of `information_schema` are."""
    return f"{mask_set}_is"


def key_schema(mask_set: str) -> str:
    """Where keys and the functions that use them are."""
    return f"{mask_set}_k"


def is_ours(role: str) -> bool:
    """Whether it is a role that was made for masks: an owner, a group or a login."""
    return _ROLE.fullmatch(role) is not None


def set_of_schema(schema: str) -> str:
    """The mask set whose schema this is, "" for others."""
    found = _SCHEMA.fullmatch(schema)
    return found[1] if found else ""


def set_of_login(role: str) -> str:
    """The mask set whose login role this is, "" for others."""
    return role[:GROUP_CHARACTERS] if _LOGIN.fullmatch(role) else ""
