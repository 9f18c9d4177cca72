"""`[[webhook]]` tables and the portal's key of links: as they stand in the example, and what is wrong with others."""

import base64
import re
from pathlib import Path

import pytest

from hoopproxy.access.delivery import KINDS, USUAL
from hoopproxy.config.webhook_tables import WebhookTable

from .conftest import Copy

KEY = bytes(range(32))


@pytest.fixture
def chat(copy: Copy) -> Copy:
    """The example with its webhook and its key of links."""
    path = copy.main
    text = path.read_text()
    head, table = text.split("#[[webhook]]\n")
    table, rest = table.split("\n\n", 1)
    lines = [line[1:] if re.match(r"#([a-z_]+ = |    )", line) else line for line in table.splitlines()]
    whole = head.replace("#link_key", "link_key") + "[[webhook]]\n" + "\n".join(lines) + "\n\n" + rest
    path.write_text(whole)
    for name in ("chat.key", "link.key", "chat-ca.pem"):
        (copy.directory / "secrets" / name).write_bytes(KEY)
        (copy.directory / "secrets" / name).chmod(0o600)
    return copy


def test_the_example_says_all_there_is_and_its_defaults(chat: Copy) -> None:
    config = chat.load()
    (webhook,) = config.webhooks
    assert (webhook.name, webhook.url, webhook.secret) == ("chat", "https://chat.example.com/hooks/7", KEY)
    assert webhook.events == USUAL
    defaults = WebhookTable(name="x", url="https://x.test", secret_file="x")  # type: ignore[arg-type] # as TOML has it
    assert (webhook.tries_max, webhook.timeout_s) == (defaults.tries_max, defaults.timeout_s)
    assert webhook.ca_file == str(chat.directory / "secrets" / "chat-ca.pem")
    assert config.portal and config.portal.link_key_file == chat.directory / "secrets" / "link.key"
    assert repr(KEY) not in repr(config)


def test_a_secret_may_be_as_receivers_hand_it_out(chat: Copy) -> None:
    path = chat.directory / "secrets" / "chat.key"
    path.write_bytes(b"whsec_" + base64.b64encode(KEY) + b"\n")
    assert chat.load().webhooks[0].secret == KEY
    path.write_bytes(b"whsec_" + b"%" * 40)
    (problem,) = chat.problems()
    assert "webhook[0].secret_file" in problem and "what follows whsec_ is no Base64" in problem and "%" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "http://chat.example.com/hooks/7",
        "ftp://127.0.0.1/",
        "https://",
        "https://user:password@chat.example.com/",
        "https://chat.example.com:99999/",
        "https://chat.example.com/a b",
        "https://chat.example.com/#x",
        "http://localhost/",
        "https://ch\\u00e4t.example.com/",
    ],
)
def test_steps_are_told_over_tls_or_to_this_machine(chat: Copy, url: str) -> None:
    chat.change("hoopproxy.toml", "https://chat.example.com/hooks/7", url)
    (problem,) = chat.problems()
    assert "webhook[0].url is " in problem and "wanted is an address with https://" in problem


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x", "http://[::1]/", "https://10.0.0.1:8443"])
def test_these_are(chat: Copy, url: str) -> None:
    chat.change("hoopproxy.toml", "https://chat.example.com/hooks/7", url)
    assert chat.load().webhooks[0].url == url


def test_mistakes_are_named(chat: Copy) -> None:
    chat.append(
        "hoopproxy.toml", '\n[[webhook]]\nname = "chat"\nurl = "https://x.test"\nsecret_file = "secrets/none"\n'
    )
    chat.change("hoopproxy.toml", '"requested", ', '"requestd", ')
    (chat.directory / "secrets" / "link.key").chmod(0o644)
    said = "\n".join(chat.problems())
    assert 'webhook[0].events[0] is "requestd"; wanted is a kind of step: ' in said
    assert all(f'"{kind}"' in said for kind in KINDS)
    assert "webhook[1].secret_file is " in said and "can't be read" in said
    assert "portal.link_key is " in said and "which others may read" in said


def test_two_of_one_name_are_not_told_apart(chat: Copy) -> None:
    chat.append(
        "hoopproxy.toml", '\n[[webhook]]\nname = "chat"\nurl = "https://x.test"\nsecret_file = "secrets/chat.key"\n'
    )
    assert any("another webhook has; wanted is a name of its own" in problem for problem in chat.problems())


def test_the_example_of_the_page_is_one(copy: Copy) -> None:
    page = (Path(__file__).parents[2] / "docs/access.md").read_text()
    (example,) = [each for block in page.split("```toml\n")[1:] if "[[webhook]]" in (each := block.split("```")[0])]
    (copy.directory / "secrets" / "chat.key").write_bytes(KEY)
    (copy.directory / "secrets" / "chat.key").chmod(0o600)
    copy.append("hoopproxy.toml", "\n" + example)
    assert [each.name for each in copy.load().webhooks] == ["chat"]
