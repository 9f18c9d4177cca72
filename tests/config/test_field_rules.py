"""Masks over fields of JSON in policy.toml: the values that they become, and each kind of mistake."""

import tomllib

import pytest

from hoopproxy.access.policy import FieldRule, RegulatedRule, Reveal
from hoopproxy.addons.request_rules import RequestRules
from hoopproxy.masks import Partial, Redact

from .conftest import CONF, Copy

GOOD = """
[[mask]]
target = "crm"
endpoint = "/v1/customers/{id}"
field = "$.cards[*].number"
mask = {partial = {last = 4}}
reveal = [{roles = ["analyst"], client_zones = ["EU"]}]

[[mask]]
target = "prod"
endpoint = "apps/deployments"
field = '$.metadata.annotations["example.com/owner"]'
mask = "redact"

[[mask]]
target = "crm"
field = "$..iban"
mask = "redact"

[[regulated]]
target = "crm"
endpoint = "/v1/customers"
fields = ["$[*].id", "$[*].name"]
reveal = [{roles = ["analyst"], client_zones = ["EU"]}]
"""


@pytest.fixture
def copy(copy: Copy) -> Copy:
    """The same, without rules of this kind."""
    policy = copy.directory / "policy.toml"
    policy.write_text(policy.read_text().partition("# A field of JSON")[0])
    return copy


def test_they_become_values(copy: Copy) -> None:
    columns = copy.load().policy.masks
    copy.append("policy.toml", GOOD)
    policy = copy.load().policy
    seen = (Reveal(frozenset({"analyst"}), frozenset({"EU"})),)
    assert policy.masks == columns
    assert policy.fields[-3:] == (
        FieldRule("crm", "/v1/customers/{id}", "$.cards[*].number", Partial(0, 4), seen),
        FieldRule("prod", "apps/deployments", '$.metadata.annotations["example.com/owner"]', Redact(), ()),
        FieldRule("crm", "", "$..iban", Redact(), ()),
    )
    assert policy.regulated[-1:] == (RegulatedRule("crm", "/v1/customers", ("$[*].id", "$[*].name"), seen),)
    everybody = policy.fields_for("crm", frozenset({"support"}), frozenset({"EU"}))
    analysts = policy.fields_for("crm", frozenset({"analyst"}), frozenset({"EU"}))
    assert [each for each in everybody[0] if each not in analysts[0]] and everybody[1] and not analysts[1]


ONE = "wanted is exactly one of column, which is a database's, and field, which is of JSON."
FIELD = 'field = "$..iban"'
REGULATED = 'endpoint = "/v1/customers"\nfields = ["$[*].id", "$[*].name"]'


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (FIELD, "", f": {ONE}"),
        (FIELD, f'{FIELD}\ncolumn = "a.b.c"', f": {ONE}"),
        (FIELD, 'column = "a.b.c"\nendpoint = "/v1/customers"', ": endpoint belongs to field; a column has none."),
        (FIELD, f'{FIELD}\ndatabases = ["x"]', ": databases belong to column; a field is in none."),
        (
            FIELD,
            'field = "$.cards[0]"',
            '.field is "$.cards[0]"; wanted is a path such as "$.cards[*].number" or "$..iban".',
        ),
        (
            FIELD,
            'column = "a.b.c"',
            '.column is "a.b.c", and crm speaks http; wanted is field, a path in its JSON such',
        ),
        (
            'target = "crm"\nfield = "$..iban"',
            'target = "ledger"\nfield = "$..iban"',
            '.target names "ledger", which speaks postgres, where there are no fields of JSON; wanted is a target that '
            "speaks http or kubernetes.",
        ),
        (
            FIELD,
            f'{FIELD}\nendpoint = "/v1/customer"',
            '.endpoint names "/v1/customer", which is not one of the endpoints of crm; did you mean /v1/customers?',
        ),
        (
            REGULATED,
            REGULATED.replace("customers", "orders"),
            'names "/v1/orders", which is not one of the endpoints of',
        ),
        (REGULATED, REGULATED.replace("$[*].id", "id"), '.fields[0] is "id"; wanted is a path such as'),
        (f'{REGULATED}\nreveal = [{{roles = ["analyst"]', f'{REGULATED}\nreveal = [{{roles = ["analist"]', "analyst?"),
        (
            'target = "crm"\nendpoint = "/v1/customers"\n',
            'target = "crn"\nendpoint = "/v1/customers"\n',
            "did you mean crm?",
        ),
    ],
)
def test_a_mistake_is_said_with_its_place(copy: Copy, old: str, new: str, sentence: str) -> None:
    assert GOOD.count(old) == 1
    copy.append("policy.toml", GOOD.replace(old, new))
    (problem,) = copy.problems()
    assert problem.startswith("policy.toml: ") and sentence in problem, problem


def test_a_field_and_an_endpoint_have_one_rule_each(copy: Copy) -> None:
    copy.append("policy.toml", GOOD + GOOD[GOOD.index('[[mask]]\ntarget = "crm"\nfield') :])
    twice, regulated = copy.problems()
    assert "masks $..iban of crm, which mask[" in twice and twice.endswith("wanted is one mask for each field.")
    assert "regulates /v1/customers of crm, which regulated[" in regulated


def test_the_examples_of_the_manual_are_good(copy: Copy) -> None:
    page = (CONF.parent / "docs" / "masking-wire.md").read_text()
    policy, main = (block.partition("```")[0] for block in page.split("```toml\n")[1:])
    copy.append("policy.toml", policy)
    loaded = copy.load().policy
    assert [each.field for each in loaded.fields[-2:]] == ["$.cards[*].number", "$..iban"]
    assert loaded.regulated[-1].fields == ("$[*].id", "$[*].name")
    settings = tomllib.loads(main)["addon"]["requests"]
    assert settings.pop("use") == "request-rules"
    assert len(RequestRules.settings.model_validate(settings).rule) == 2
