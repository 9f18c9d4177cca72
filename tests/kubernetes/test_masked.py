"""What kubectl is not shown: values of Secrets, and card numbers wherever they stand."""

import json
from base64 import b64encode
from collections.abc import Iterator
from textwrap import dedent

import pytest

from .conftest import Apis, KubernetesStand
from .ways import Way

VALUE, CARD = "hunter2", "4111111111111111"
ENCODED = b64encode(VALUE.encode()).decode()

SECRET = dedent(
    f"""\
    apiVersion: v1
    kind: Secret
    metadata: {{name: door, labels: {{kept: "yes"}}}}
    stringData: {{password: {VALUE}, "tls.key": {VALUE}}}
    """
)


@pytest.fixture
def secret(past: Way) -> Iterator[None]:
    """One that was applied past the gateway."""
    past.run("apply", "--validate=false", "-f", "-", given=SECRET)
    yield
    past.run("delete", "secret", "door")


@pytest.fixture
def way(stand: KubernetesStand) -> Way:
    """Ada's: she sees no Secret."""
    return stand.way("prod")


FORMS = (
    ("get", "secret", "door", "-o", "yaml"),
    ("get", "secret", "door", "-o", "json"),
    ("get", "secrets", "-o", "json"),
    ("get", "secrets", "-A", "-o", "yaml"),
    ("get", "secrets,pods", "-o", "json"),
    ("get", "secrets", "--sort-by=.metadata.name", "-v", "8"),
    ("get", "secrets", "-v", "9"),
    ("get", "--raw", "/clusters/prod/api/v1/secrets"),
    ("get", "--raw", "/clusters/prod/api/v1/namespaces/default/secrets/door"),
    ("get", "secret", "door", "-o", "jsonpath={.data.password}"),
    ("get", "secret", "door", "-o", 'go-template={{index .data "tls.key" | base64decode}}'),
    ("describe", "secret", "door"),
    ("label", "secret", "door", "more=yes", "--overwrite", "-o", "yaml"),
    ("apply", "--server-side", "--dry-run=server", "--validate=false", "--force-conflicts", "-f", "-", "-o", "json"),
)


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("words", FORMS, ids=lambda words: " ".join(words)[:40])
def test_no_form_shows_the_value_of_a_secret(way: Way, words: tuple[str, ...]) -> None:
    ran = way.run(*words, given=SECRET)
    shown = ran.out + ran.err
    # With -f - kubectl's own log may repeat what it was given; what it got is on its standard output.
    looked_at = ran.out if words[0] == "apply" else shown
    assert VALUE not in looked_at and ENCODED not in looked_at


@pytest.mark.usefixtures("secret")
def test_what_is_masked_is_still_a_secret(way: Way) -> None:
    shown = json.loads(way.run("get", "secret", "door", "-o", "json").out)
    assert shown["data"] == {"password": "Kioq", "tls.key": "Kioq"}
    assert shown["metadata"]["labels"] == {"kept": "yes"}
    applied = json.loads(shown["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"])
    assert applied["stringData"] == {"password": "***", "tls.key": "***"}
    assert "password:  3 bytes" in way.run("describe", "secret", "door").out


@pytest.mark.usefixtures("secret")
def test_a_watch_shows_no_value(way: Way, past: Way) -> None:
    with way.start("get", "secrets", "--watch", "-o", "json") as watching:
        try:
            assert watching.stdout is not None
            shown = watching.stdout.readline()
            past.run("label", "secret", "door", "again=yes", "--overwrite")
            while "again" not in shown:
                shown += watching.stdout.readline()
        finally:
            watching.kill()
            shown += watching.communicate()[0]
    assert "Kioq" in shown and VALUE not in shown and ENCODED not in shown


@pytest.mark.usefixtures("secret")
def test_applying_it_again_changes_it_and_shows_nothing(way: Way, past: Way) -> None:
    ran = way.run("apply", "--validate=false", "-f", "-", "-o", "json", given=SECRET.replace(VALUE, "other"))
    assert b64encode(b"other").decode() not in ran.out
    shown = past.run("get", "secret", "door", "-o", "jsonpath={.data.password}").out
    assert shown == b64encode(b"other").decode()


@pytest.mark.usefixtures("secret")
def test_who_may_see_secrets_does(stand: KubernetesStand) -> None:
    shown = stand.way("prod", "franz").run("get", "secret", "door", "-o", "jsonpath={.data.password}").out
    assert shown == ENCODED


def test_cards_are_masked_in_objects_logs_and_output(stand: KubernetesStand, past: Way, apis: Apis) -> None:
    way = stand.way("cards")
    past.run(
        "create",
        "--validate=false",
        "-f",
        "-",
        given=f'{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"card"}},"data":{{"n":"{CARD}"}}}}',
    )
    try:
        masked = "************1111"
        assert way.run("get", "configmap", "card", "-o", "jsonpath={.data.n}").out == masked
        with apis.new.log_file.open("a") as log:
            log.write(f"paid with {CARD}\n")
        assert f"paid with {masked}\n" in way.run("logs", "web").out
        assert way.run("exec", "web", "--", "sh", "-c", f"echo {CARD}; echo {CARD} >&2").out == f"{masked}\n"
        shown = way.run("exec", "web", "--", "sh", "-c", "printf 4111111111; sleep 0.01; echo 111111; exit 3", code=3)
        assert shown.out == f"{masked}\n"
    finally:
        past.run("delete", "configmap", "card")
