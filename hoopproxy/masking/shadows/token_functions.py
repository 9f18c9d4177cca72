"""The functions that make tokens in the database: `masking.tokens` and `masking.ff1` once more, in PL/pgSQL.

They know no key: who calls them must bring one. In each text `{schema}` is where they lie and `{encrypt}` the function
of pgcrypto. They are the owner's (SECURITY DEFINER) so that masked sessions need no right in pgcrypto's schema.
"""

from collections.abc import Mapping
from types import MappingProxyType

from hoopproxy.masking.ff1 import DIGITS_MIN
from hoopproxy.masking.tokens import BYTES_MAX, DIGITS_MAX

_HEAD = """\
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$"""

# Halves have up to 18 digits, so that each is an int8, NUM takes up to 8 bytes (`width`), and with no tweak each round
# encrypts two blocks: P and Q. Of the last, `y` is the first 8 bytes, or 12 where `width` is above 4.
_FF1 = f"""\
CREATE FUNCTION {{schema}}.ff1(digits text, key bytea) RETURNS text {_HEAD}
DECLARE
    total constant int4 := length(digits);
    short constant int4 := total / 2;
    long constant int4 := total - short;
    width constant int4 := ceil(ceil(long * 3.321928094887362) / 8);
    head constant bytea := '\\x01020100000a0a'::bytea || substr(int4send(short), 4) || int4send(total) || int4send(0)
        || substr('\\x000000000000000000000000000000'::bytea, 1, 15 - width);
    modulus numeric := 10::numeric ^ short;
    other numeric := 10::numeric ^ long;
    a numeric := substr(digits, 1, short);
    b numeric := substr(digits, short + 1);
    c numeric;
    block bytea;
    y numeric;
BEGIN
    FOR i IN 0..9 LOOP
        block := substr({{encrypt}}(head || substr(int4send(i), 4) || substr(int8send(b::int8), 9 - width),
            key, 'aes-cbc/pad:none'::text), 17);
        y := (('x' || encode(substr(block, 1, 4), 'hex'))::bit(32)::int8) * 4294967296::numeric
            + ('x' || encode(substr(block, 5, 4), 'hex'))::bit(32)::int8;
        IF width > 4 THEN
            y := y * 4294967296::numeric + ('x' || encode(substr(block, 9, 4), 'hex'))::bit(32)::int8;
        END IF;
        c := mod(a + y, modulus);
        a := b;
        b := c;
        c := modulus;
        modulus := other;
        other := c;
    END LOOP;
    RETURN lpad(a::int8::text, short, '0') || lpad(b::int8::text, long, '0');
END
$function$"""

_TEXT = f"""\
CREATE FUNCTION {{schema}}.token(value text, key bytea) RETURNS text {_HEAD}
DECLARE
    digits text;
    rest text[];
    made text := '';
BEGIN
    IF octet_length(value) > {BYTES_MAX} THEN
        RETURN NULL;
    END IF;
    digits := regexp_replace(value, '[^0-9]', '', 'g');
    IF length(digits) NOT BETWEEN {DIGITS_MIN} AND {DIGITS_MAX} THEN
        RETURN NULL;
    END IF;
    digits := {{schema}}.ff1(digits, key);
    rest := regexp_split_to_array(value, '[0-9]');
    FOR i IN 1..length(digits) LOOP
        made := made || rest[i] || substr(digits, i, 1);
    END LOOP;
    RETURN made || rest[length(digits) + 1];
END
$function$"""

_INTEGER = f"""\
CREATE FUNCTION {{schema}}.token(value int8, bits int4, key bytea) RETURNS int8 {_HEAD}
DECLARE
    most constant numeric := 2::numeric ^ (bits - 1) - CASE WHEN value < 0 THEN 0 ELSE 1 END;
    digits text := abs(value::numeric)::text;
BEGIN
    IF length(digits) < {DIGITS_MIN} THEN
        RETURN NULL;
    END IF;
    LOOP
        digits := {{schema}}.ff1(digits, key);
        EXIT WHEN left(digits, 1) <> '0' AND digits::numeric <= most;
    END LOOP;
    RETURN CASE WHEN value < 0 THEN -digits::numeric ELSE digits::numeric END;
END
$function$"""

FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "ff1(pg_catalog.text, pg_catalog.bytea)": _FF1,
        "token(pg_catalog.text, pg_catalog.bytea)": _TEXT,
        "token(pg_catalog.int8, pg_catalog.int4, pg_catalog.bytea)": _INTEGER,
    }
)
"""By their signatures, in the order in which they can be made."""
