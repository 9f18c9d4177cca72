"""What may be said of a statement to somebody who may not see data."""

import pytest

from hoopproxy.wire.postgres.outline import outline


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("select * from t where ssn = '519-44-1234' and n > 42", "select * from t where ssn = ? and n > ?"),
        ("select E'a\\'b', $$c$$, x'ff', b'1', 1.5e3, null, $1", "select ?, ?, ?, ?, ?, null, $1"),
        ("select 1 -- about Jane\n, /* 4111 */ 2", "select ?  \n,   ?"),
        ("insert into t values ('é', 'x'); select 2", "insert into t values (?, ?); select ?"),
        ("create index i on t (x) where y = 'Jane'", "create index i on t (x) where y = ?"),
        ("", ""),
        ("selec 'Jane'", ""),
        ("select '\ud800'", ""),
        ("select " + "f(" * 300 + "1" + ")" * 300, "select " + "f(" * 300 + "?" + ")" * 300),
        ("select '" + "x" * 20000 + "'", ""),
    ],
)
def test_it_holds_no_literal_and_no_comment(text: str, wanted: str) -> None:
    assert outline(text).text == wanted


@pytest.mark.parametrize(
    "text",
    [
        "alter role jane password 'hunter2'",
        "ALTER USER jane WITH ENCRYPTED PASSWORD 'hunter2'",
        "create role jane login password 'hunter2'",
        "create user jane password 'hunter2'; select 1",
        "create user mapping for jane server s options (user 'u', password 'hunter2')",
        "create subscription s connection 'host=x password=hunter2' publication p",
        "do $$ begin execute 'alter role jane password ''hunter2'''; end $$",
        "alter role jane passwort 'x' password 'hunter2'",
        "select " + "f(" * 300 + "password" + ")" * 300,
        "-- password\n" + "select 1;" * 5000,
    ],
)
def test_a_text_that_carries_a_password_is_secret(text: str) -> None:
    assert outline(text).secret
    assert "hunter2" not in outline(text).text


@pytest.mark.parametrize(
    "text",
    ["select password from users where password = 'x'", "alter role jane createdb", "select 1", "nonsense"],
)
def test_other_texts_are_not(text: str) -> None:
    assert not outline(text).secret
