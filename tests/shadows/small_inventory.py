"""Inventories of a few relations and functions, as their catalog would tell them."""

from dataclasses import replace

from hoopproxy.masking.shadows.closure import close
from hoopproxy.masking.shadows.fates import Closure, Fate
from hoopproxy.masking.shadows.inventory import (
    PUBLIC,
    AccountRights,
    Column,
    Function,
    Inventory,
    Relation,
    Rights,
    Role,
    Schema,
)
from hoopproxy.masking.shadows.protection import protected
from hoopproxy.masks import MaskSet, Redact

TEXT = 25
SETS = (MaskSet("shop", "app", {"public.customers.ssn": Redact(), "public.customers.email": Redact()}),)
_oids = iter(range(20000, 1 << 31))


def table(name: str, *columns: str, **more: object) -> Relation:
    """A table, in `public` where no schema is said."""
    schema, _, bare = name.rpartition(".")
    made = tuple(Column(number, each, TEXT, -1, "text", TEXT) for number, each in enumerate(columns, 1))
    relation = Relation(next(_oids), schema or "public", bare, "r", "owner", made)
    return replace(relation, **more)  # type: ignore[arg-type] # the fields of a Relation by name


def view(name: str, definition: str, *columns: str, **more: object) -> Relation:
    """A view; its names are qualified as pg_get_viewdef does."""
    return replace(table(name, *(columns or ("id",))), kind="v", definition=definition, **more)  # type: ignore[arg-type] # as above


def function(signature: str, body: str, **more: object) -> Function:
    """A function in `public` that answers text, everybody's; SQL, invoker, without a search path unless said."""
    settings = more.get("settings", ())
    assert isinstance(settings, tuple)
    name = signature.partition("(")[0]
    language = more.get("language", "sql")
    words = " SECURITY DEFINER" if more.get("is_definer") else ""
    path = "".join(f" SET {each.replace('=', ' TO ')}" for each in settings)
    ending = body if body.startswith("BEGIN ATOMIC") else f"AS $function${body}$function$"
    kind = "PROCEDURE" if more.get("kind") == "p" else "FUNCTION"
    returns = "" if kind == "PROCEDURE" else f" RETURNS {'trigger' if more.get('is_trigger') else 'text'}"
    definition = (
        f"CREATE OR REPLACE {kind} public.{signature}\n{returns}\n LANGUAGE {language}{words}{path}\n{ending}\n"
    )
    made = Function(
        oid=next(_oids),
        schema="public",
        name=name,
        signature=signature,
        kind="f",
        owner="owner",
        language="sql",
        is_trusted=True,
        is_definer=False,
        argument_types=(),
        definition=definition,
        body=body,
        grantees=frozenset({PUBLIC}),
    )
    return replace(made, **more)  # type: ignore[arg-type] # the fields of a Function by name


CUSTOMERS = table("customers", "id", "name", "email", "ssn", primary_key=("id",))
COUNTRIES = table("countries", "code", "label")


def inventory(*objects: Relation | Function, **more: object) -> Inventory:
    """A database of these and of the tables `customers` and `countries`; `app` may do everything with all of them."""
    everything = (CUSTOMERS, COUNTRIES, *objects)
    relations = {each.oid: each for each in everything if isinstance(each, Relation)}
    functions = {each.oid: each for each in everything if isinstance(each, Function)}
    names = {each.schema for each in everything}
    everyone = frozenset({PUBLIC})
    rights = {
        oid: Rights(*(frozenset(column.name for column in each.columns),) * 3, frozenset({"DELETE"}))
        for oid, each in relations.items()
    }
    made = Inventory(
        database="shop",
        server_version=170000,
        provisioner="postgres",
        provisioner_roles=frozenset(),
        schemas={name: Schema("owner", everyone, frozenset()) for name in names},
        relations=relations,
        functions=functions,
        roles={name: Role(name, False, False, False, frozenset()) for name in ("app", "owner", "other")},
        rights={"app": AccountRights(rights, frozenset(functions), frozenset(names), True)},
        loopback_trust=False,
        foreign_servers=frozenset(),
        default_acl_public={},
        information_views={},
        installed={},
    )
    return replace(made, **more)  # type: ignore[arg-type] # the fields of an Inventory by name


def closed(found: Inventory) -> Closure:
    """Its closure, with what `SETS` protects."""
    columns, missing = protected(found, SETS[0].masks)
    assert not missing
    return close(found, SETS[0], columns)


def fate(what: Relation | Function, *others: Relation | Function, **more: object) -> Fate:
    """What becomes of `what` in a database that holds `others` too."""
    closure = closed(inventory(what, *others, **more))
    return (closure.relations if isinstance(what, Relation) else closure.functions)[what.oid].fate
