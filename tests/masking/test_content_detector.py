"""What is found in a text, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import NumberParseException, is_valid_number, parse

from hoopproxy.masking.content.detector import Detector, detector_of
from hoopproxy.masking.content.entities import ENTITIES, USUAL
from hoopproxy.masking.content.entity import Certainty, Entity
from hoopproxy.masking.content.patterns import PATTERN_CHARACTERS_MAX, Pattern, Patterns
from hoopproxy.masking.content.phones import phone

EVERYTHING = Detector(list(ENTITIES.values()))


def found(text: str, *names: str, named: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Names and values, as they come."""
    detector = detector_of(tuple(ENTITIES[name] for name in names)) if names else EVERYTHING
    data = text.encode()
    return [(each.entity.name, data[each.start : each.end].decode()) for each in detector.find(data, frozenset(named))]


def test_there_are_more_than_were_asked_for() -> None:
    assert len(ENTITIES) == 88 and len(USUAL) == 40
    assert {"email", "card", "iban", "us-ssn", "phone"} <= set(USUAL)


@pytest.mark.parametrize("name", ENTITIES)
def test_the_example_of_each_is_found_where_it_should(name: str) -> None:
    entity = ENTITIES[name]
    hint = f"{entity.words[0]}: " if entity.words else ""
    (only,) = found(f"x, {hint}{entity.example}", name)
    assert only[0] == name and only[1] in entity.example
    if entity.weak:
        (again,) = found(entity.example, name, named=(name,))
        assert again == only
    bare = found(f"x {entity.example}", name)
    assert bare == ([only] if any(Pattern(each).fits(entity.example.encode()) for each in entity.strong) else [])


@pytest.mark.parametrize("name", [name for name, each in ENTITIES.items() if each.certainty is Certainty.CHECKED])
def test_what_has_a_check_digit_is_none_with_another(name: str) -> None:
    entity = ENTITIES[name]
    hint = f"{entity.words[0]}: " if entity.words else ""
    places = [at for at, each in enumerate(entity.example) if each.isdigit()]
    others = {
        entity.example[:at] + digit + entity.example[at + 1 :]
        for at in places
        for digit in "0123456789"
        if digit != entity.example[at]
    }
    if name not in ("url-credentials", "jwt"):  # whose digits prove nothing
        assert sum(bool(found(f"{hint}{each}", name)) for each in others) < len(others) / 2


@pytest.mark.parametrize("name", ENTITIES)
def test_the_quick_look_takes_nothing_away(name: str) -> None:
    entity = ENTITIES[name]
    assert Detector([entity]).may_hold(entity.example.encode())


@pytest.mark.parametrize(
    "text",
    [
        "4539578763621487",  # another check digit
        "1000000000000008",  # nobody's prefix
        "45395787636214861234567890",  # part of something longer
        "550e8400-e29b-41d4-a716-453957876362",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "2026-01-15 10:00:00.123456+00",
        "1700000000000",
        "part 536-90-4399",
        "Part no. 536-90-4399",
        "SKU: 536-90-4399",
        "536-90-4399-01",
        "1.4539578763621486",
        "logo@2x.png",
        "user@host",
        "@media",
        "a..b@example.org",
        "DE88 3704 0044 0532 0130 00",
        "order 111222333, 1955839661 and 33392005961",  # numbers, and nothing that says whose
        "Version 1.2.3.4",
        "Deutsche Bank Filiale",
        "http://example.org:8080/path@x",
        "born to run 1984-13-45",
        "",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("12 4539 5787 6362 1486 12", ["4539 5787 6362 1486"]),
        ("5105 4539 5787 6362 1486", ["4539 5787 6362 1486"]),
        ("4539578763621486,5168209344177021", ["4539578763621486", "5168209344177021"]),
        ("Zoë4539578763621486Zoë", []),
        ("card_4539578763621486", []),
        ("card=4539578763621486&x=1", ["4539578763621486"]),
        ("card-4539578763621486.pdf", ["4539578763621486"]),
        ("3782 822463 10005", ["3782 822463 10005"]),
    ],
)
def test_a_card_number_is_found_among_its_neighbours(text: str, values: list[str]) -> None:
    assert [value for _, value in found(text, "card")] == values


def test_words_near_a_weak_sign_make_it_a_good_one() -> None:
    for text in (
        "SSN 536904399",
        "customer_ssn=536904399",
        '{"ssn": "536904399"}',
        "Social-Security number is 536904399",
        "536904399 (SSN)",
        "<ssn>536904399</ssn>",
    ):
        assert found(text, "us-ssn") == [("us-ssn", "536904399")], text
    for text in (
        "536904399",
        "lesson 536904399",
        "ssn is what we ask for on the second page of the form that you got; 536904399",
        "ssn: none; account 536904399",
        "account 536904399, which is no ssn",
    ):
        assert found(text, "us-ssn") == [], text
    assert found("егн 7523169263", "bg-egn") == found("ЕГН: 7523169263", "bg-egn") == [("bg-egn", "7523169263")]


def test_a_name_stands_for_words() -> None:
    detector = Detector([ENTITIES[name] for name in ("us-ssn", "pl-pesel")])
    for name in (b"ssn", b"customer_ssn", b"customerSsn", b"SSN_2", b"social_security_no"):
        assert detector.named(name) == {"us-ssn"}, name
    for name in (b"lesson", b"ssnx", b"id", b""):
        assert not detector.named(name), name
    assert found("44051401359", "pl-pesel", named=("pl-pesel",)) == [("pl-pesel", "44051401359")]


def test_of_two_that_overlap_the_more_certain_gives_the_name_and_all_is_covered() -> None:
    sure = Entity("sure", "", "", "", strong=(r"\bb+c+\b",), certainty=Certainty.CHECKED)
    shape = Entity("shape", "", "", "", strong=(r"\ba+ b+",), certainty=Certainty.SHAPE)
    wide = Entity("wide", "", "", "", strong=(r"\bb+c+ d+",), certainty=Certainty.SHAPE)
    detector = Detector([shape, sure, wide])
    (only,) = detector.find(b"x aa bbcc dd y")
    assert (only.start, only.end, only.entity.name, only.is_whole) == (2, 12, "sure", False)
    assert [(each.entity.name, each.is_whole) for each in detector.find(b"bbcc, aa b")] == [
        ("sure", True),
        ("shape", True),
    ]


def test_what_several_patterns_find_comes_in_the_order_of_the_text() -> None:
    text = "4539578763621486 a@b.de, 4539 5787 6362 1486, c@d.de"
    assert [name for name, _ in found(text, "email", "card")] == ["card", "email", "card", "email"]


@given(st.text("0123456789 -./+@abcdefXYZ:;_", max_size=200))
def test_answers_lie_apart_and_in_order(text: str) -> None:
    ends = [0]
    for each in EVERYTHING.find(text.encode()):
        assert ends[-1] <= each.start < each.end
        ends += [each.end]


@given(st.binary(max_size=300))
def test_any_bytes_can_be_looked_at(data: bytes) -> None:
    EVERYTHING.find(data, frozenset(ENTITIES))


@given(st.sampled_from(sorted(ENTITIES)), st.data())
def test_checks_answer_for_whatever_fits_their_patterns(name: str, data: st.DataObject) -> None:
    entity = ENTITIES[name]
    changed = list(entity.example)
    for at in data.draw(st.sets(st.integers(0, len(changed) - 1), max_size=4)):
        if changed[at].isalnum():
            changed[at] = data.draw(st.sampled_from("0123456789" if changed[at].isdigit() else "ABCDEFGXYZ"))
    detector_of((entity,)).find("".join(changed).encode(), frozenset([name]))


# Telephone numbers ---------------------------------------------------------------------------------------------------


@given(st.sampled_from(["1", "44", "49", "33", "91", "61", "55", "48"]), st.text("0123456789", min_size=6, max_size=11))
def test_plans_say_what_libphonenumber_says(code: str, digits: str) -> None:
    """But for numbers that begin like a trunk or carrier prefix: those it cuts in ways of its own."""
    text = f"+{code}{digits}"
    try:
        valid = is_valid_number(parse(text, None))
    except NumberParseException:
        valid = False
    if digits[0] not in "01":
        assert phone(text) == valid


def test_a_pager_is_called_like_a_telephone() -> None:
    assert phone("+48640000")


def test_numbers_in_a_national_form_need_a_word() -> None:
    assert found("call 030 901820 today", "phone") == [("phone", "030 901820")]
    assert found("tel. (212) 555-0123", "phone") == [("phone", "(212) 555-0123")]
    assert found("take 030 901820 today", "phone") == []


# Patterns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("(", "RE2 can't read the pattern"),
        (r"(?<=a)b", "RE2 can't read the pattern"),
        (r"(a)\1", "RE2 can't read the pattern"),
        ("a*", "fits where nothing is"),
        ("(?:(?:a{1,30}){1,30}){1,30}", "RE2 can't read|too large"),
        ("x" * (PATTERN_CHARACTERS_MAX + 1), "may have 1000 characters"),
    ],
)
def test_bad_patterns_are_told_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Pattern(text)


def test_a_group_says_what_is_found() -> None:
    pattern = Pattern(r"emp-(\d+)|\d{3}")
    assert list(pattern.spans(b"emp-17, emp-18 555", 0, 18)) == [(4, 6), (12, 14)]
    assert Pattern(r"b\b").at(b"abc ab", 1) is None
    assert Pattern(r"\bb").at(b"ab", 1) is None and Pattern(r"b").at(b"ab", 1) == (1, 2)


def test_hostile_texts_take_linear_time() -> None:
    """What would take a backtracking engine for ever."""
    assert not Pattern(r"(?:a+)+b").fits(b"a" * 200_000)


def test_none_of_many_patterns_fits_where_nothing_is() -> None:
    patterns = Patterns(["a", "b$"])
    assert [*patterns.which(b"")] == [*patterns.which(b"c")] == [*Patterns([]).which(b"a")] == []
    assert [*patterns.which(b"b")] == [1] and sorted(patterns.which(b"ab")) == [0, 1]


def test_many_patterns_answer_which_fit() -> None:
    many = Patterns(["a", "b+", r"\d"])
    assert sorted(many.which(b"bb 1")) == [1, 2]
    assert many.which(b"xyz") == () == Patterns([]).which(b"a")
