"""What is measured over HTTP: the client that measures, and how its figures are shown. nginx is not needed for that."""

import pytest

from bench.client import ClientError
from bench.lines import Leg, web_lines
from bench.rounds import Measurement, Results
from bench.tables import tables
from bench.web_client import WebDoor
from bench.workloads import Figures, Kind
from hoopproxy.testing.http_target import CustomerService


def test_the_client_counts_what_comes_request_after_request_and_says_who_it_is() -> None:
    with CustomerService(token="let-me-in") as service:
        door = WebDoor(service.port, "localhost", token="let-me-in")
        with door.connect() as client:
            assert [client.get("/bytes/56"), client.get("/bytes/1000000"), client.get("/bytes/0")] == [56, 1_000_000, 0]
        assert {arrived.get("authorization") for arrived in service.arrived} == {"Bearer let-me-in"}
        assert {arrived.get("host") for arrived in service.arrived} == {f"localhost:{service.port}"}
        assert service.connection_count == 1


def test_what_is_refused_or_ends_is_a_failure() -> None:
    with CustomerService(token="let-me-in") as service, pytest.raises(ClientError, match="401"):
        WebDoor(service.port, "localhost").get("/bytes/56")


def test_requests_are_told_per_second_of_the_cpu_within_each_leg() -> None:
    measurements = [
        Measurement(1, "many", Kind.REQUESTS, line, Figures(1000, 2.0, None if line.contender == "direct" else 0.5))
        for line in web_lines()
    ]
    (table,) = tables(Results({}, measurements))
    assert len(table.sections) == len({Leg.HTTP, Leg.HTTPS})
    for section in table.sections:
        shown = {row[0]: row[3:6] for row in section}
        assert shown["direct"] == ("-", "-", "-")
        assert shown["hoopproxy"] == shown["mitmdump"] == ("2000", "500", "1.00")
