"""XML of SAML 2.0, read without all that makes XML dangerous: no entities, no network, nothing beside the text.

Knows elements and their texts, and what SAML calls its namespaces and algorithms. Knows no message and no key.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from lxml import etree

type Element = Any
"""An element of lxml, which has no annotations."""

PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
ASSERTION = "urn:oasis:names:tc:SAML:2.0:assertion"
METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"

REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
"""The one format of a NameID that stays with a person and is given to nobody else (SAML Core §8.3.7)."""

SHOWN_CHARACTERS_MAX = 80

_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_ID_ATTRIBUTES = ("ID", "Id", "id", "{http://www.w3.org/XML/1998/namespace}id")
"""What one or the other reader of XML takes for an element's identifier."""


class Invalid(Exception):
    """It is not what is wanted; the text is for the operator and is cut short."""


class Stale(Invalid):
    """It was right once, or will be."""


def parse(data: bytes) -> Element:
    """The root of a document in UTF-8 that consists of elements, attributes and text alone. @raise Invalid

    Comments, processing instructions, CDATA sections, and with DTDs all entities, are refused as they stand: without
    them there is one way only to read a text. Depth and lengths are bounded by libxml2.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as why:
        raise Invalid("it is no UTF-8") from why
    # In well-formed XML neither occurs in a text or an attribute: there, "<" is written as "&lt;".
    if "<!" in text or "<?" in text.removeprefix("<?xml "):
        raise Invalid("it holds a DTD, a comment, a CDATA section or a processing instruction")
    return tree(data)


def tree(data: bytes) -> Element:
    """The root of a document; comments and processing instructions are left out. @raise Invalid"""
    # The encoding is ours, whatever a document says of itself.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as why:
        raise Invalid(f"it is no XML: {shown(str(why))}") from why
    if root.getroottree().docinfo.doctype:
        raise Invalid("it holds a DTD")
    return root


def name(namespace: str, *path: str) -> str:
    """The path of element names below one another, as lxml writes it."""
    return "/".join(f"{{{namespace}}}{each}" for each in path)


def children(element: Element, *names: str, what: str) -> tuple[Element, ...]:
    """Its children, which have these names in this order. @raise Invalid"""
    found = tuple(element)
    if tuple(each.tag for each in found) != names:
        raise Invalid(f"{what} holds {shown(', '.join(local(each) for each in found)) if found else 'nothing'}")
    return found


def one(element: Element, path: str) -> Element:
    """The only element there. @raise Invalid: there is none, or there are several."""
    found = element.findall(path)
    if len(found) != 1:
        raise Invalid(f"{local(element)} holds {len(found)} times {path.rpartition('}')[2]}; wanted is 1")
    return found[0]


def text(element: Element) -> str:
    """All its text, which no other element may interrupt. @raise Invalid"""
    if len(element):
        raise Invalid(f"{local(element)} holds elements; wanted is a text")
    return element.text or ""


def local(element: Element) -> str:
    """Its name without its namespace."""
    return str(etree.QName(element).localname)


def identifier(element: Element) -> str:
    """Its `ID`. @raise Invalid: there is none of up to 128 characters."""
    value = element.get("ID", "")
    if not _ID.fullmatch(value):
        raise Invalid(f"the ID of {local(element)} is {shown(value)}")
    return str(value)


def identifiers(root: Element) -> Sequence[str]:
    """All that any reader of XML could take for the identifier of an element in it."""
    return [value for each in root.iter() for key in _ID_ATTRIBUTES if (value := each.get(key)) is not None]


def at_s(element: Element, attribute: str) -> float | None:
    """The moment that an attribute tells (xs:dateTime with a time zone; SAML Core §1.3.3); None without it.

    @raise Invalid
    """
    value = element.get(attribute)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except ValueError:
        pass
    raise Invalid(f"{attribute} is {shown(value)}; wanted is a moment in UTC")


def shown(value: str) -> str:
    """What a stranger wrote, for the operator's eyes: quoted and cut short."""
    return f"{value!r:.{SHOWN_CHARACTERS_MAX}}"
