"""The mask over Secrets: which places it covers, for whom, and what stands there instead."""

import json
from base64 import b64decode

import pytest
from zope.interface.verify import verifyClass, verifyObject

from hoopproxy.access.policy import Policy, Role
from hoopproxy.addons.kubernetes_secrets import KubernetesSecrets, Settings
from hoopproxy.events import Call, Field, Format, Keep, Null, Operation, Shape
from hoopproxy.interfaces import IAddonFactory, IMasker
from hoopproxy.masking import plans
from hoopproxy.masks import NO_CATALOG
from hoopproxy.testing.house import LEDGER
from hoopproxy.wire.http.resource_masks import SECRETS_MASKED, SECRETS_SHOWN

from ..wire.http.clusters import answered, passage

REVEALING = Settings.model_validate({"reveal": [{"roles": ["ops"], "client_zones": ["EU"]}]})
ANNOTATION = 'secrets $.metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]'


def addon(settings: Settings = REVEALING) -> KubernetesSecrets:
    class Setting:
        policy = Policy("0", (Role("ops", frozenset()), Role("dev", frozenset())), (), ())

    return KubernetesSecrets.build("secrets", settings, Setting())  # type: ignore[arg-type] # it is asked for nothing else


def operation(path: str, type_oid: int = 25, *roles: str) -> Operation:
    name = path.rpartition(".")[2] if "[" not in path else path.rpartition('["')[2].removesuffix('"]')
    shape = Shape((Field(name, path, 0, 0, type_oid, -1, Format.TEXT),))
    through = passage(*roles or ("dev",))
    masks, protected = answered(addon().plan(through, shape)), answered(addon().protects(through.permit))
    (found,) = plans.compile(shape, [("secrets", masks)], NO_CATALOG, protected).operations
    return found


def test_it_is_an_addon() -> None:
    assert verifyObject(IAddonFactory, KubernetesSecrets) and verifyClass(IMasker, KubernetesSecrets)


def test_secrets_are_judged_in_each_session_with_a_cluster() -> None:
    def protects(*roles: str, zone: str = "EU") -> object:
        return answered(addon().protects(passage(*roles, zones=frozenset({zone})).permit))

    assert protects("dev") == SECRETS_MASKED
    assert protects("ops") == SECRETS_SHOWN
    assert protects("ops", zone="US") == SECRETS_MASKED
    assert answered(addon().protects(passage("dev", target=LEDGER).permit)) == frozenset()


@pytest.mark.parametrize(
    "path",
    [
        "secrets $.data.password",
        'secrets $.data["tls.key"]',
        "secrets $.stringData.x",
        "secrets $.data",
    ],
)
def test_a_value_becomes_stars_that_clients_can_decode(path: str) -> None:
    found = operation(path)
    assert isinstance(found, Call)
    shown = found.function(b"aHVudGVyMg==")
    assert shown is not None and b64decode(shown) == b"***"
    assert isinstance(operation(path, 1700), Null)


@pytest.mark.parametrize(
    "path",
    [
        "secrets $.metadata.name",
        "secrets $.type",
        "secrets $.metadata.labels.data",
        "secrets $.data.password~",
        "secrets $.database.x",
        "configmaps $.data.x",
        "* $.data.x",
    ],
)
def test_all_else_stays(path: str) -> None:
    assert isinstance(operation(path), Keep)


def test_who_may_see_them_does() -> None:
    assert isinstance(operation("secrets $.data.password", 25, "ops"), Keep)


def test_what_was_applied_loses_its_values_and_nothing_else() -> None:
    found = operation(ANNOTATION)
    assert isinstance(found, Call)
    applied = {
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"a": "aHVudGVyMg=="},
        "stringData": {"b": "hunter2"},
    }
    shown = found.function(json.dumps(applied).encode())
    assert shown is not None
    assert json.loads(shown) == applied | {"data": {"a": "Kioq"}, "stringData": {"b": "***"}}


@pytest.mark.parametrize(
    "applied", [b"hunter2", b'{"data": "hunter2"}', b'{"data": ["hunter2"]}', b'["hunter2"]', b"", b'{"data": 7}']
)
def test_whatever_else_stands_there_is_not_shown(applied: bytes) -> None:
    found = operation(ANNOTATION)
    assert isinstance(found, Call)
    shown = found.function(applied)
    assert shown is not None and b"hunter2" not in shown


def test_a_role_that_nobody_has_stops_the_start() -> None:
    settings = Settings.model_validate({"reveal": [{"roles": ["nobody"], "client_zones": ["EU"]}]})
    with pytest.raises(ValueError, match="'nobody'"):
        addon(settings)
