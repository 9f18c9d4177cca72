"""A text with labels, made from a seed: entities among words, numbers and identifiers that are none.

Synthetic and regular: what it measures is an upper bound of what real texts would.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from hoopproxy.masking.content.checks import card
from hoopproxy.masking.content.entities import ENTITIES
from hoopproxy.masking.content.entity import Entity
from hoopproxy.masking.content.patterns import Pattern

WORDS = (
    "the of and to in customer asked whether order would arrive before Friday because nobody had told them that it was "
    "late please check again and answer by tomorrow morning thank you we shall see what can be done about this matter "
    "invoice delivery meeting report window garden yellow paper river stone market letter number street house light"
).split()

TRIES_MAX = 150


@dataclass(frozen=True)
class Line:
    """`text[start:end]` is `name` for its label."""

    text: bytes
    label: tuple[int, int, str]


def digits(random: Random, count: int) -> str:
    return "".join(random.choices("0123456789", k=count))


def a_card(random: Random) -> str:
    networks = (("4", 16), ("51", 16), ("2720", 16), ("37", 15), ("6011", 16), ("3530", 16), ("62", 16))
    prefix, length = random.choice(networks)
    number = ""
    while not card(number):
        number = prefix + digits(random, length - len(prefix))
    if length == 16 and random.random() < 0.5:
        return random.choice(" -").join(number[at : at + 4] for at in range(0, 16, 4))
    return number


def an_iban(random: Random) -> str:
    body = digits(random, 18)
    number = f"DE{98 - int(f'{body}131400') % 97:02}{body}"
    return number if random.random() < 0.5 else " ".join(number[at : at + 4] for at in range(0, 22, 4))


def an_email(random: Random) -> str:
    name = ".".join(random.sample(WORDS, random.choice((1, 2)))).lower() + random.choice(("", "7", "+x"))
    return f"{name}@{random.choice(WORDS).lower()}.{random.choice(('com', 'org', 'co.uk', 'de'))}"


def a_ssn(random: Random) -> str:
    area = random.choice([area for area in range(1, 900) if area != 666])
    return f"{area:03}-{random.randint(1, 99):02}-{random.randint(1, 9999):04}"


def a_phone(random: Random) -> str:
    return random.choice(
        (
            f"+1 212 {random.randint(200, 999)} {digits(random, 4)}",
            f"+49 30 {random.randint(20, 89)}{digits(random, 6)}",
            f"+44 20 7{digits(random, 3)} {digits(random, 4)}",
            f"+1-415-{random.randint(200, 999)}-{digits(random, 4)}",
        )
    )


MADE: dict[str, Callable[[Random], str]] = {
    "card": a_card,
    "iban": an_iban,
    "email": an_email,
    "us-ssn": a_ssn,
    "phone": a_phone,
}


@cache
def patterns(entity: Entity, *, strong: bool) -> tuple[Pattern, ...]:
    return tuple(Pattern(text) for text in (entity.strong if strong else (*entity.strong, *entity.weak)))


def fits(entity: Entity, value: str, *, strong: bool) -> bool:
    text = value.encode()
    return any((0, len(text)) in pattern.spans(text, 0, len(text)) for pattern in patterns(entity, strong=strong))


def span(entity: Entity, value: str) -> tuple[int, int]:
    """What of `value` is to be masked: all of it, but for the rest of a URL."""
    text = value.encode()
    return max(
        (each for pattern in patterns(entity, strong=False) for each in pattern.spans(text, 0, len(text))),
        key=lambda each: each[1] - each[0],
    )


def another(entity: Entity, random: Random) -> str:
    """One of the same form whose digits are others, or the example itself where chance finds none."""
    for _ in range(TRIES_MAX):
        value = "".join(
            random.choice("0123456789") if each.isdigit() and random.random() < 0.5 else each for each in entity.example
        )
        if entity.check(value) and fits(entity, value, strong=False):
            return value
    return entity.example


def a_value(name: str, random: Random) -> str:
    return MADE[name](random) if name in MADE else another(ENTITIES[name], random)


def unlucky(random: Random) -> str:
    """What looks like something and is nothing. A random number that passes as a card is one: see `test_content_f1`."""
    number = digits(random, 16)
    while card(number):
        number = digits(random, 16)
    day = f"2026-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
    return random.choice(
        (
            number,
            "-".join(f"{random.getrandbits(4 * size):0{size}x}" for size in (8, 4, 4, 4, 12)),
            f"{random.getrandbits(160):040x}",
            f"{day} {digits(random, 2)}:{digits(random, 2)}:{digits(random, 2)}.{digits(random, 6)}",
            f"part {digits(random, 3)}-{digits(random, 2)}-{digits(random, 4)}",
            str(1_700_000_000_000 + random.getrandbits(36)),
            str(random.randint(1, 99_999)),
            f"order {digits(random, 9)}",
            f"v{random.randint(1, 20)}.{random.randint(0, 40)}.{random.randint(0, 9)}",
            f"{random.randint(1, 999)},{digits(random, 3)}.{digits(random, 2)} EUR",
            f"@{random.choice(WORDS)}",
            f"A{digits(random, 10)}",
        )
    )


def lines(seed: int, names: Sequence[str], count: int) -> Iterator[Line]:
    """Lines with one entity each, behind a word of its context where it needs one, and two things that are none."""
    random = Random(seed)
    for at in range(count):
        name = names[at % len(names)]
        entity, value = ENTITIES[name], a_value(name, random)
        hints = () if fits(entity, value, strong=True) else entity.words
        hint = f"{random.choice(hints)}: " if hints else ""
        pieces = [(hint, value), ("", unlucky(random)), ("", unlucky(random))]
        random.shuffle(pieces)
        text, label = "", (0, 0, name)
        for before, piece in pieces:
            text += " ".join(random.choices(WORDS, k=random.randint(2, 8))) + f", {before}"
            if piece is value:
                start, (begin, end) = len(text.encode()), span(entity, value)
                label = (start + begin, start + end, name)
            text += f"{piece}; "
        yield Line(text.encode(), label)
