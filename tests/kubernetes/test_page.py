"""docs/kubernetes.md does what it says."""

import tomllib

from ruamel.yaml import YAML
from twisted.internet.task import Clock

from hoopproxy.addons.kubernetes_rules import KubernetesRules
from hoopproxy.addons.kubernetes_secrets import KubernetesSecrets
from hoopproxy.dial.http import KubernetesDialer
from hoopproxy.scheduler import TwistedScheduler

from ..config.conftest import Copy, copy  # noqa: F401 # a copy of conf/
from ..test_docs import blocks

PAGE = "docs/kubernetes.md"


def example(text: str) -> str:
    """The example with that text in it."""
    (found,) = [block for block in blocks(PAGE, "toml") if text in block]
    return found


def test_the_listener_and_the_cluster_make_a_gateway(copy: Copy) -> None:  # noqa: F811 # the fixture
    copy.append("hoopproxy.toml", example('name = "kube"'))
    copy.append("targets.toml", example('name = "staging"'))
    copy.append("policy.toml", example('endpoint = "configmaps"'))
    loaded = copy.load()
    assert next(each for each in loaded.listeners if each.name == "kube").protocol == "kubernetes"
    clock = Clock()
    assert KubernetesDialer(clock, loaded.limits, TwistedScheduler(clock)).unfit(loaded.targets["staging"]) == ""
    assert any(rule.endpoint == "configmaps" for rule in loaded.policy.fields)


def test_the_addons_are_some() -> None:
    for use, kind in (("kubernetes-rules", KubernetesRules), ("kubernetes-secrets", KubernetesSecrets)):
        (table,) = tomllib.loads(example(f'use = "{use}"'))["addon"].values()
        table.pop("use")
        assert kind.settings.model_validate(table)


def test_the_role_of_the_gateway_is_one() -> None:
    (role,) = (YAML(typ="safe").load(block) for block in blocks(PAGE, "yaml"))
    assert {rule["resources"][0] for rule in role["rules"]} == {"users", "groups"}
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"impersonate"}
