import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.model import Endpoint
from hoopproxy.residency.addresses import canonical, forbidden, parse_host


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::", "::"),
        ("::1", "::1"),
        ("::ffff:169.254.169.254", "169.254.169.254"),  # mapped
        ("::ffff:a9fe:a9fe%eth0", "169.254.169.254"),
        ("::127.0.0.1", "127.0.0.1"),  # compatible
        ("::2", "0.0.0.2"),
        ("64:ff9b::a9fe:a9fe", "169.254.169.254"),  # NAT64
        ("64:ff9b:1::a9fe:a9fe", "169.254.169.254"),
        ("64:ff9b:1:fffe::10.0.0.1", "10.0.0.1"),
        ("64:ff9b:2::1", "64:ff9b:2::1"),
        ("2002:a9fe:a9fe::1", "169.254.169.254"),  # 6to4
        ("2001:0:4136:e378:8000:63bf:5601:5601", "169.254.169.254"),  # Teredo
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_is_judged_as_what_packets_end_at(written: str, meant: str) -> None:
    assert canonical(ip_address(written)) == ip_address(meant)
    assert str(canonical(ip_address(written))) == meant


@given(st.ip_addresses())
def test_canonical_is_idempotent(address: IPv4Address | IPv6Address) -> None:
    assert canonical(canonical(address)) == canonical(address)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("203.0.113.7", ip_address("203.0.113.7")),
        ("2001:DB8::1", ip_address("2001:db8::1")),
        ("::ffff:10.0.0.1", ip_address("10.0.0.1")),
        ("localhost", "localhost"),
        ("DB-1.Example", "db-1.example"),
        ("3com.example", "3com.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.2.3.4a", "1.2.3.4a"),
        ("1.2.3.4.example", "1.2.3.4.example"),
        ("x0", "x0"),
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
        (f"{'a.' * 126}a", f"{'a.' * 126}a"),
    ],
)
def test_plain_literals_and_names_are_hosts(text: str, host: object) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ".",
            "..",
            "0",
            "1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0X7F000001",
            "0x",
            "0x7f.1",
            "127.0.0.0x1",
        ),
        *("0177.0.0.1", "127.0.0.01", "127.0.0.256", "1.2.3.4.5", "1.2.3", "①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1"),
        *(
            "127.0.0.1 ",
            " 127.0.0.1",
            "127.0.0.1\n",
            "127.0.0.1\0",
            "127.0.0.1:80",
            "127.0.0.1/32",
            "127.0.0.1.",
            "[::1]",
        ),
        *(
            "::1%lo",
            "fe80::1%eth0",
            "::1 ",
            "1::2::3",
            "::g",
            "db example",
            "db_1",
            "-db",
            "db-",
            "db.-x",
            "db..example",
        ),
        *(
            "db.example.",
            ".db",
            "db.example\n",
            "bücher.example",
            "ＤＢ.example",
            "\u212a.example",
            "user@db",
            "db/x",
            "db.123",
        ),
        *("db.0x1f", "a" * 64, f"{'a.' * 126}aa", "٣.example"),
    ],
)
def test_what_readers_could_read_in_two_ways_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'.*\.$") as refused:
        parse_host(text)
    assert len(str(refused.value)) < 250


@given(st.text(alphabet="0123456789abcdefx.-", max_size=16) | st.from_regex(r"(0?x?[0-9a-f]{0,3}\.){0,3}0?x?[0-9a-f]+"))
def test_no_name_is_what_the_c_library_takes_for_an_address(text: str) -> None:
    with suppress(ValueError):
        if isinstance(parse_host(text), str):
            with pytest.raises(OSError, match="illegal"):
                socket.inet_aton(text)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("169.254.169.254", "a cloud metadata service"),
        ("169.254.170.2", "a cloud metadata service"),
        ("fd00:ec2::254", "a cloud metadata service"),
        ("fd20:ce::254", "a cloud metadata service"),
        ("168.63.129.16", "a cloud metadata service"),
        ("100.100.100.200", "a cloud metadata service"),
        ("169.254.0.1", "link-local"),
        ("fe80::1", "link-local"),
        ("febf::1", "link-local"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("240.0.0.1", "reserved"),
        ("fec0::1", "reserved"),
        ("100::1", "reserved"),
        ("::ffff:0:1.2.3.4", "reserved"),
        ("10.0.0.1", None),
        ("100.64.0.1", None),
        ("203.0.113.7", None),
        ("2a02::1", None),
        ("fd00::1", None),
    ],
)
def test_some_addresses_are_never_dialled(address: str, reason: str | None) -> None:
    assert forbidden(ip_address(address), allow_loopback=False) == reason
    allowed = None if reason == "loopback" else reason
    assert forbidden(ip_address(address), allow_loopback=True) == allowed


def carriers(address: IPv4Address) -> list[IPv6Address]:
    bits = int(address)
    return [
        IPv6Address(f"::ffff:{address}"),
        IPv6Address(f"64:ff9b::{address}"),
        IPv6Address(f"64:ff9b:1::{address}"),
        IPv6Address((0x2002 << 112) | (bits << 80) | 1),
        IPv6Address((0x20010000 << 96) | (bits ^ 0xFFFFFFFF)),
        *([IPv6Address(bits)] if bits > 1 else []),
    ]


@given(
    st.ip_addresses(v=4) | st.sampled_from(["169.254.169.254", "127.0.0.1", "0.0.0.0"]).map(IPv4Address), st.booleans()
)
def test_what_is_denied_is_denied_in_every_spelling(address: IPv4Address, allow_loopback: bool) -> None:
    reason = forbidden(address, allow_loopback=allow_loopback)
    for carrier in carriers(address):
        assert forbidden(carrier, allow_loopback=allow_loopback) == reason


OWN = "the gateway's own listener"


@pytest.mark.parametrize(
    ("listener", "address", "port", "reason"),
    [
        ("127.0.0.1", "127.0.0.1", 5432, OWN),
        ("127.0.0.1", "127.0.0.1", 5433, None),
        ("127.0.0.1", "127.0.0.1", None, OWN),
        ("127.0.0.1", "127.0.0.2", 5432, None),
        ("127.0.0.1", "::ffff:127.0.0.1", 5432, OWN),
        ("::ffff:10.0.0.5", "10.0.0.5", 5432, OWN),
        ("10.0.0.5", "10.0.0.5", 5432, OWN),
        ("0.0.0.0", "127.0.0.9", 5432, OWN),
        ("::", "127.0.0.1", 5432, OWN),
        ("::", "::1", 5432, OWN),
        ("::", "::1", 5433, None),
        ("::", "10.0.0.5", 5432, None),
    ],
)
def test_the_gateway_never_dials_itself(listener: str, address: str, port: int | None, reason: str | None) -> None:
    own = frozenset({Endpoint(ip_address(listener), 5432)})
    assert forbidden(ip_address(address), allow_loopback=True, own=own, port=port) == reason
