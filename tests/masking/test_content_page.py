"""docs/detectors.md says what the code does: the table of entities, and the configuration."""

import re
import tomllib
from pathlib import Path

from hoopproxy.addons.content_masks import ContentMasks
from hoopproxy.masking.content.detector import Detector
from hoopproxy.masking.content.entities import ENTITIES
from hoopproxy.masking.content.entity import Entity
from hoopproxy.masking.content.marks import Style
from hoopproxy.testing.conformance import a_passage, answered

PAGE = Path(__file__).parents[2] / "docs/detectors.md"

HEAD = ("entity", "what it is", "how it is validated", "context needed", "by default", "example")


def context(entity: Entity) -> str:
    words = ", ".join(f"`{word}`" for word in entity.words)
    if not entity.strong:
        return f"always: {words}"
    needed = f"in other forms than the example's: {words}" if entity.weak else "none"
    return f"{needed}; not right behind {', '.join(f'`{word}`' for word in entity.unless)}" if entity.unless else needed


def table() -> str:
    rows = [HEAD, ("---",) * len(HEAD)]
    for name, each in ENTITIES.items():
        example = each.example.replace("\n", " ").replace("|", "\\|")
        usual = "yes" if each.is_default else "no"
        rows.append((f"`{name}`", each.what, each.proof, context(each), usual, f"`{example}`"))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def test_the_table_is_that_of_the_code() -> None:
    _, _, shown = PAGE.read_text().partition("-->\n")
    assert shown.strip() == table().strip()


def test_the_configuration_is_one() -> None:
    example, own = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), flags=re.S | re.M)
    read = tomllib.loads(example)
    assert "content" in read["roles"]["maskers"]
    line, frame = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7EXAMPLEexamp", b"-----BEGIN PRIVATE KEY-----"
    (pattern,) = ContentMasks.settings.model_validate(tomllib.loads(own)["addon"]["content"]).pattern
    assert Detector([pattern.entity()]).find(line) and not Detector([pattern.entity()]).find(frame)
    keys = read["addon"]["content"]
    assert keys.pop("use") == "content-masks"
    settings = ContentMasks.settings.model_validate(keys)
    assert [rule.mask for rule in settings.rule] == [Style.PARTIAL, Style.REDACT]
    everywhere = settings.model_copy(update={"rule": settings.rule[:1]})
    assert answered(ContentMasks.build("content", everywhere, None).protects(a_passage().permit)) == {"*"}  # type: ignore[arg-type] # it names no target
