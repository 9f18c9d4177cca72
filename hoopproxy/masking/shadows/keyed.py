"""Keyed masks in the database: keys in a table that only the owner of the twins may read, and SQL that uses them.

A view reads tables by the right of its owner, so a twin reads a key by itself, once a query: no function could be
called with a value of one's choice, and its text, which everybody may read, says no more than where the key is. A hash
is two built-in `sha256()` over both halves of HMAC's key (RFC 2104). Tokens need rounds (FF1, `masking.ff1`), so a
function; the twin gives it the key, which nobody else could. Knows no policy.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from hoopproxy.masking.hashing import HASHED
from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.inventory import PUBLIC, Column, Function, Inventory
from hoopproxy.masking.shadows.naming import key_schema
from hoopproxy.masking.shadows.protection import Protected
from hoopproxy.masking.shadows.quoting import dotted, literal, quoted
from hoopproxy.masking.shadows.token_functions import FUNCTIONS
from hoopproxy.masking.tokens import TOKENISED, cipher_key
from hoopproxy.masking.types import BYTEA, INTEGERS, TEXT, TEXTS, UUID
from hoopproxy.masks import ColumnMask, KeyedHash, Token, described

BLOCK = 64
"""Of SHA-256, in bytes (FIPS 180-4)."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one mask set. `schema` is "" where it needs none. `statements` make all of it, run as the owner of
    twins in the schema that is his; in them each text of `secrets` stands for what only the server may see."""

    schema: str = ""
    statements: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    findings: tuple[Finding, ...] = ()
    numbers: Mapping[ColumnMask, int] = field(default_factory=dict, repr=False)

    def of(self, column: Column, mask: ColumnMask, row: str) -> str:
        """What `expressions.expression` takes as `keyed`: of a value that is not NULL what the mask leaves; "" for
        nothing."""
        if mask not in self.numbers or not is_keyed(column, mask):
            return ""
        value = dotted(row, column.name)
        if isinstance(mask, Token):
            return self._token(column, value, self._key(self.numbers[mask]))
        inner, outer = (self._key(self.numbers[mask] + half) for half in (0, 1))
        return _hash(column.base_oid, value, inner, outer)

    def _key(self, number: int) -> str:
        return (
            f"(SELECT k.bytes FROM {dotted(self.schema, 'keys')} AS k WHERE k.number OPERATOR(pg_catalog.=) {number})"
        )

    def _token(self, column: Column, value: str, key: str) -> str:
        if column.base_oid in TEXTS:
            # The order of a collation has no say in what is a digit.
            text = f'CAST({value} AS pg_catalog.text) COLLATE pg_catalog."C"'
            return f"COALESCE({dotted(self.schema, 'token')}({text}, {key}), CAST('***' AS pg_catalog.text))"
        bits = INTEGERS[column.base_oid] * 8
        made = f"{dotted(self.schema, 'token')}(CAST({value} AS pg_catalog.int8), {bits}, {key})"
        return f"COALESCE({made}, CAST('0' AS pg_catalog.int8))"


def keys(inventory: Inventory, mask_set: str, protected: Protected) -> Keys:
    """What the keyed masks of a set need, and what they lack."""
    wanted = sorted({mask for mask, _ in _keyed(inventory, protected)}, key=described)
    tokens = [mask for mask in wanted if isinstance(mask, Token)]
    blocks = _encrypt(inventory) if tokens else None
    findings: tuple[Finding, ...] = ()
    if tokens and blocks is None:
        wanted = [mask for mask in wanted if not isinstance(mask, Token)]
        findings = (_lacking(sorted({path for mask, path in _keyed(inventory, protected) if mask in tokens})),)
    if not wanted:
        return Keys(findings=findings)
    schema = key_schema(mask_set)
    held = dotted(schema, "keys")
    statements = [f"CREATE TABLE {held} (number pg_catalog.int4 PRIMARY KEY, bytes pg_catalog.bytea NOT NULL)"]
    secrets: dict[str, str] = {}
    numbers: dict[ColumnMask, int] = {}
    count = 0
    for mask in wanted:
        numbers[mask] = count + 1
        for secret in _secrets(mask):
            count += 1
            placeholder = f"<key {count} of {mask_set}, by digest {sha256(secret).hexdigest()[:16]}>"
            secrets[placeholder] = secret.hex()
            statements.append(f"INSERT INTO {held} VALUES ({count}, pg_catalog.decode({literal(placeholder)}, 'hex'))")
    if blocks is not None:
        for signature, text in FUNCTIONS.items():
            name = f"{quoted(schema)}.{signature}"
            statements += [
                text.format(schema=quoted(schema), encrypt=dotted(blocks.schema, blocks.name)),
                f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC",
                f"GRANT EXECUTE ON FUNCTION {name} TO {quoted(mask_set)}",
            ]
    return Keys(schema, tuple(statements), secrets, findings, numbers)


def is_keyed(column: Column, mask: ColumnMask) -> bool:
    """Whether the mask of that column needs a key. Nobody who sees the column masked may write to it: what one writes
    there oneself would come back as its token."""
    match mask:
        case KeyedHash():
            return column.base_oid in HASHED and not column.is_domain
        case Token():
            return column.base_oid in TOKENISED and not column.is_domain
    return False


def _keyed(inventory: Inventory, protected: Protected) -> Iterator[tuple[ColumnMask, str]]:
    for oid, masks in protected.items():
        relation = inventory.relations[oid]
        for column in relation.columns:
            mask = masks.get(column.number)
            if mask is not None and is_keyed(column, mask):
                yield mask, f"{relation.schema}.{relation.name}.{column.name}"


def _encrypt(inventory: Inventory) -> Function | None:
    """pgcrypto's function, where everybody may call it: the owner of twins is nobody in particular."""
    for each in inventory.functions.values():
        named = each.name == "encrypt" and each.argument_types == (BYTEA, BYTEA, TEXT)
        if named and each.extension == "pgcrypto" and PUBLIC in each.grantees:
            schema = inventory.schemas.get(each.schema)
            if schema is not None and PUBLIC in schema.usage:
                return each
    return None


def _lacking(paths: list[str]) -> Finding:
    return Finding(
        Severity.AMBER,
        "no-pgcrypto",
        f"{', '.join(paths)} should be shown as tokens, for which the database needs the extension pgcrypto, and its "
        "function encrypt open to everybody; until then they are redacted. CREATE EXTENSION pgcrypto would mend that.",
    )


def _secrets(mask: ColumnMask) -> tuple[bytes, ...]:
    assert isinstance(mask, KeyedHash | Token)
    if isinstance(mask, Token):
        return (cipher_key(mask.key),)
    key = sha256(mask.key).digest() if len(mask.key) > BLOCK else mask.key
    key = key.ljust(BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in key), bytes(byte ^ 0x5C for byte in key)  # ipad, opad


def _hash(oid: int, value: str, inner: str, outer: str) -> str:
    """As `masking.hashing` does it."""
    if oid == BYTEA:
        message = value
    else:
        text = f"CAST({value} AS pg_catalog.text)"
        message = f"pg_catalog.convert_to({text}, pg_catalog.getdatabaseencoding())"
    once = f"pg_catalog.sha256({inner} OPERATOR(pg_catalog.||) {message})"
    digest = f"pg_catalog.sha256({outer} OPERATOR(pg_catalog.||) {once})"
    if oid == BYTEA:
        return digest
    if oid in TEXTS:
        return f"pg_catalog.encode({digest}, 'hex')"
    if oid == UUID:
        variant = "pg_catalog.translate(pg_catalog.substr(h.x, 17, 1), '0123456789abcdef', '89ab89ab89ab89ab')"
        return (
            "(SELECT CAST(pg_catalog.overlay(pg_catalog.overlay(h.x, '8', 13), "
            f"{variant}, 17) AS pg_catalog.uuid) FROM (SELECT pg_catalog.encode(pg_catalog.substr({digest}, 1, 16), "
            "'hex') AS x OFFSET 0) AS h)"
        )
    first = f"CAST('x' OPERATOR(pg_catalog.||) pg_catalog.encode(pg_catalog.substr({digest}, 1, 8), 'hex')"
    bits = 64 - INTEGERS[oid] * 8 + 1
    return f"CAST({first} AS pg_catalog.bit(64)) OPERATOR(pg_catalog.>>) {bits} AS pg_catalog.int8)"
