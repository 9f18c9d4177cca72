"""What in a database would break masks, or is not for masks to hold: each with a name and a full sentence.

`closure` tells what is withheld; here is what can't be: what triggers tell, what the catalog itself shows, whom a
role's rights do not bind. Knows no query.
"""

from collections.abc import Iterable, Iterator

from hoopproxy.masking.shadows import catalog_values, copies
from hoopproxy.masking.shadows.closure import close
from hoopproxy.masking.shadows.fates import Closure, Fate
from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.inventory import PUBLIC, Inventory, Relation, Trigger
from hoopproxy.masking.shadows.naming import is_ours
from hoopproxy.masking.shadows.protection import Protected, protected
from hoopproxy.masking.shadows.texts import Texts
from hoopproxy.masking.shadows.triggers import EXPRESSION, finding_name, is_quiet_everywhere, loud
from hoopproxy.masks import MaskSet

_WRITES = frozenset({"INSERT", "UPDATE", "DELETE"})


def findings(inventory: Inventory, sets: Iterable[MaskSet], texts: Texts | None = None) -> tuple[Finding, ...]:
    """All that is found for these sets, each once, the worst first. `texts` are the inventory's, if read already."""
    texts = texts or Texts.of(inventory)
    found: dict[Finding, None] = dict.fromkeys(_surrounding(inventory))
    for mask_set in sets:
        columns, _ = protected(inventory, mask_set.masks)
        closure = close(inventory, mask_set, columns, texts)
        found |= dict.fromkeys((*closure.findings, *_of_set(inventory, mask_set, columns, closure)))
    return tuple(sorted(found, key=Finding.order))


def _amber(name: str, sentence: str) -> Finding:
    return Finding(Severity.AMBER, name, sentence)


def _red(name: str, sentence: str) -> Finding:
    return Finding(Severity.RED, name, sentence)


# Of one mask set -----------------------------------------------------------------------------------------------------


def _of_set(inventory: Inventory, mask_set: MaskSet, columns: Protected, closure: Closure) -> Iterator[Finding]:
    role = inventory.roles.get(mask_set.role)
    if role is not None and role.is_superuser:
        yield _amber(
            f"account-superuser {mask_set.role}",
            f"The account's role {mask_set.role} is a superuser, so its rights bound nothing: masked sessions may "
            f"read and change all in {inventory.database} that is not protected or withheld; name a role that may "
            "less.",
        )
    for oid, relation in inventory.relations.items():
        numbers = frozenset(columns.get(oid, ()))
        if closure.relations[oid].fate is not Fate.WITHHELD and _may_write(inventory, mask_set.role, relation):
            name = f"{relation.schema}.{relation.name}"
            for trigger in loud(inventory, closure, relation, columns):
                yield Finding(
                    Severity.AMBER,
                    finding_name(relation, trigger),
                    f"Masked sessions can't change rows of {name}, because {_named(trigger)} can't be proved to keep "
                    "masked values to itself: it gets whole rows or its owner's rights, and may tell them to the "
                    "client or write them where nothing is masked; accepted, it lets them.",
                    withheld=True,
                )
        yield from (_amber(*each) for each in copies.known(inventory, relation, columns))
        if numbers:
            yield from (_amber(*each) for each in catalog_values.shown(inventory, relation, numbers))
    for trigger_name, function in inventory.surroundings.event_triggers.items():
        if not is_quiet_everywhere(inventory, closure, function):
            yield _amber(
                f"event-trigger {trigger_name}",
                f"The event trigger {trigger_name} fires when a masked session makes a temporary table, with its "
                "owner's rights, and can't be proved to tell nothing of what is masked.",
            )


def _named(trigger: Trigger) -> str:
    return f"what a {trigger.what} of it calls" if trigger.function == EXPRESSION else f"its trigger {trigger.what}"


def _may_write(inventory: Inventory, role: str, relation: Relation) -> bool:
    rights = inventory.rights.get(role)
    if rights is None:
        return True
    held = rights.relations.get(relation.oid)
    return held is not None and bool(held.insert or held.update or held.whole & _WRITES)


# Of the database -----------------------------------------------------------------------------------------------------


def _surrounding(inventory: Inventory) -> Iterator[Finding]:
    around, database = inventory.surroundings, inventory.database
    open_schemas = sorted(name for name, schema in inventory.schemas.items() if PUBLIC in schema.create)
    for name in open_schemas:
        yield _amber(
            f"schema-create {name}",
            f"Everybody may make objects in the schema {name}, masked sessions too: what they leave there others may "
            f"run with other rights; REVOKE CREATE ON SCHEMA {name} FROM PUBLIC would mend that.",
        )
    if "CREATE" in inventory.public:
        yield _amber(
            f"database-create {database}",
            f"Everybody may make schemas in {database}, masked sessions too; REVOKE CREATE ON DATABASE {database} "
            "FROM PUBLIC would mend that.",
        )
    for name in sorted(inventory.foreign_servers):
        yield _amber(
            f"foreign-server {name}",
            f"Everybody may use the foreign server {name} with the rights of a user mapping for PUBLIC, and masked "
            "sessions may make temporary foreign tables of all that it shows; REVOKE USAGE ON FOREIGN SERVER "
            f"{name} FROM PUBLIC would mend that.",
        )
    for name in sorted(around.public_tables):
        yield _amber(
            f"default-privileges-tables {name}",
            f"Everybody may read the next table that {name} makes, masked sessions too, until the gateway has looked "
            f"at the catalog again; ALTER DEFAULT PRIVILEGES FOR ROLE {name} REVOKE SELECT ON TABLES FROM PUBLIC would "
            "mend that (IN SCHEMA, where it was said for one).",
        )
    for name in sorted(around.languages):
        yield _red(
            f"language {name}",
            f"The language {name} can do all that the server's own account can, and others than superusers may write "
            "in it, so nothing is kept from them.",
        )
    for name in sorted(around.file_readers):
        yield _red(
            f"file-reader {name}",
            f"Everybody may execute {name}, which reads the server's files, and with them every table; REVOKE "
            f"EXECUTE ON FUNCTION {name} FROM PUBLIC would mend that.",
        )
    for name in sorted(around.value_readers):
        yield _red(
            f"value-reader {name}",
            f"Everybody may read {name}, where values of all columns stand; REVOKE SELECT ON {name} FROM PUBLIC "
            "would mend that.",
        )
    yield from _loopback(inventory, bool(around.languages) or bool(inventory.foreign_servers and open_schemas))
    yield from _large_objects(inventory)
    yield from _our_roles(inventory)


def _loopback(inventory: Inventory, is_reachable: bool) -> Iterator[Finding]:
    """Functions of dblink are withheld always, and COPY PROGRAM needs a membership that group roles do not have."""
    if is_reachable and inventory.loopback_trust:
        yield _red(
            "loopback-trust",
            "pg_hba.conf lets the server's own machine in without a password, and masked sessions may open "
            "connections from there: they could come back as anybody.",
        )
    elif is_reachable and inventory.loopback_trust is None:
        yield _amber(
            "loopback-unknown",
            "Masked sessions may open connections from the server's own machine, and the provisioner may not read "
            "pg_hba.conf, so nobody knows whether that is let in without a password.",
        )


def _large_objects(inventory: Inventory) -> Iterator[Finding]:
    around = inventory.surroundings
    if around.ignores_large_object_rights:
        yield _amber(
            "large-objects lo_compat_privileges",
            "lo_compat_privileges is on, so everybody may read and write every large object, and no mask covers those.",
        )
    elif around.public_large_objects:
        yield _amber(
            "large-objects PUBLIC",
            f"Everybody may read {around.public_large_objects} large objects, and no mask covers those.",
        )


def _our_roles(inventory: Inventory) -> Iterator[Finding]:
    for name in sorted(inventory.surroundings.spoiled_roles):
        yield _red(
            f"mask-role {name}",
            f"The role {name} of masked sessions has attributes, memberships or objects that were not made for it, "
            "so its rights are not those of its masks; take them away.",
        )
    owners = {each.owner for each in inventory.relations.values()}
    owners |= {each.owner for each in inventory.functions.values()}
    for name in sorted(owners - inventory.surroundings.spoiled_roles):
        if is_ours(name):
            yield _red(
                f"mask-role {name}",
                f"The role {name}, which was made for masks, owns objects outside of its own schemas; give them to "
                "somebody else.",
            )
