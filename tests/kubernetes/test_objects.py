"""Objects of a cluster by kubectl: asked for, applied, watched, past the gateway and through it."""

import json
from textwrap import dedent

from .conftest import Comparing, KubernetesStand
from .ways import Way


def config_map(name: str, value: str) -> str:
    return dedent(
        f"""\
        apiVersion: v1
        kind: ConfigMap
        metadata: {{name: {name}}}
        data: {{colour: {value}}}
        """
    )


def test_a_table_is_shown(same: Comparing) -> None:
    shown = same(lambda way: way.run("get", "pods").out)
    assert [line.split() for line in shown.splitlines()] == [["NAME", "PHASE"], ["web", "Running"]]


def test_people_come_under_their_own_names(same: Comparing) -> None:
    shown = same(lambda way: way.run("auth", "whoami", "-o", "json").out)
    assert json.loads(shown)["status"]["userInfo"] == {
        "username": "ada",
        "groups": ["analysts", "system:authenticated"],
    }


def test_objects_are_applied_changed_and_deleted(same: Comparing) -> None:
    def goes(way: Way) -> list[str]:
        steps = [
            way.run("apply", "--validate=false", "-f", "-", given=config_map("paint", value))
            for value in ("red", "blue")
        ]
        server_side = ("apply", "--server-side", "--force-conflicts", "--validate=false", "-f", "-")
        steps.append(way.run(*server_side, given=config_map("paint", "green")))
        steps.append(way.run("get", "configmap", "paint", "-o", "jsonpath={.data}"))
        steps.append(way.run("delete", "configmap", "paint"))
        steps.append(way.run("get", "configmap", "paint", code=1))
        return [step.out + step.err for step in steps]

    assert same(goes)[-3:] == [
        '{"colour":"green"}',
        'configmap "paint" deleted\n',
        'Error from server (NotFound): configmaps "paint" not found\n',
    ]


def test_what_happens_is_watched_as_it_happens(same: Comparing) -> None:
    def watches(way: Way) -> list[str]:
        with way.start("get", "configmaps", "--watch", "--output-watch-events") as watching:
            try:
                way.run("apply", "--validate=false", "-f", "-", given=config_map("seen", "red"))
                assert watching.stdout is not None
                lines = [watching.stdout.readline() for _ in range(2)]
                way.run("delete", "configmap", "seen")
                return [*lines, watching.stdout.readline()]
            finally:
                watching.kill()

    assert [line.split() for line in same(watches)] == [["EVENT", "NAME"], ["ADDED", "seen"], ["DELETED", "seen"]]


def test_to_speak_for_somebody_else_changes_nothing(stand: KubernetesStand) -> None:
    words = ("--as", "root", "--as-group", "system:masters", "--as-uid", "0")
    shown = stand.way("prod").run("auth", "whoami", "-o", "json", *words).out
    assert json.loads(shown)["status"]["userInfo"] == {
        "username": "ada",
        "groups": ["analysts", "system:authenticated"],
    }


def test_each_person_comes_as_themselves(stand: KubernetesStand) -> None:
    shown = stand.way("prod", "franz").run("auth", "whoami", "-o", "json").out
    assert json.loads(shown)["status"]["userInfo"] == {"username": "franz", "groups": ["fraud", "system:authenticated"]}


def test_who_is_not_among_the_users_of_a_cluster_is_told(stand: KubernetesStand) -> None:
    said = stand.way("closed").run("get", "pods", code=1).err
    assert "You are not among the users whom this gateway may bring to the cluster" in said


def test_who_may_not_reach_it_is_told(stand: KubernetesStand) -> None:
    said = stand.way("prod", "nobody").run("get", "pods", code=1).err
    assert "(session " in said


def test_a_rule_says_no_with_its_own_sentence(stand: KubernetesStand) -> None:
    way = stand.way("strict")
    assert "delete configmaps is not allowed on strict" in way.run("delete", "configmap", "x", code=1).err
    assert "Nobody enters pods of strict." in way.run("exec", "web", "--", "true", code=1).err
    way.run("get", "pods")
