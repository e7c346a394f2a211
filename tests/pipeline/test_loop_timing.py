"""When the loop sends its requests: order, limits, pauses, outages. In simulated time, so no machine is too slow."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_session import FakeServer, simulate

from syphus.endpoints.connections import Reply
from syphus.errors import ProviderError
from syphus.types import State

OK, PENDING = State.OK, State.PENDING


def test_the_first_request_is_alone_and_then_there_are_as_many_as_asked_for(tmp_path: Path) -> None:
    server = FakeServer()
    session = simulate(tmp_path, [server], rows=40, threads=8)
    assert session.states == {OK: 40}
    assert server.sent_at[1] >= server.answered_at[0]
    assert server.peak == 8


def test_a_hint_pauses_the_whole_endpoint(tmp_path: Path) -> None:
    refusal = Reply(429, {"retry-after": "40"}, b"{}")
    server = FakeServer(script=[None, refusal])
    session = simulate(tmp_path, [server], rows=30, threads=4)
    assert session.states == {OK: 30}
    refused_at = server.sent_at[1]
    assert not [at for at in server.sent_at if refused_at + 0.01 < at < refused_at + 40]
    assert any(refused_at + 40 <= at <= refused_at + 50.1 for at in server.sent_at)


@pytest.mark.parametrize("status", [403, 408, 409, 423, 425, 500, 502, 504, 520])
def test_a_hint_of_any_status_is_waited_for_from_the_first_request_on(status: int, tmp_path: Path) -> None:
    server = FakeServer(script=[Reply(status, {"retry-after": "40"}, b"{}")] * 6)
    session = simulate(tmp_path, [server], rows=10, threads=4)
    assert session.states == {OK: 10}
    waits = [later - sooner for sooner, later in zip(server.sent_at, server.sent_at[1:7], strict=False)]
    assert all(40 <= wait <= 50.1 for wait in waits)


def test_an_endpoint_that_asks_to_wait_is_not_down_but_may_not_put_us_off_for_ever(tmp_path: Path) -> None:
    busy = Reply(408, {"retry-after": "3"}, b"{}")
    session = simulate(tmp_path / "a", [FakeServer(script=[busy] * 5)], rows=4, threads=4, max_outage=12.0)
    assert session.states == {OK: 4}
    endless = FakeServer(script=[busy] * 1000)
    session = simulate(tmp_path / "b", [endless], rows=4, threads=4, max_outage=12.0)
    assert session.states == {PENDING: 4}
    assert len(endless.sent_at) < 12


def test_a_row_that_always_makes_the_endpoint_ask_for_a_pause_fails_by_itself(tmp_path: Path) -> None:
    server = FakeServer(refuse=lambda body: Reply(502, {"retry-after": "1"}, b"{}") if b"house 3 " in body else None)
    session = simulate(tmp_path, [server], rows=12, threads=4)
    assert session.states == {OK: 11, State.FAILED: 1}


@pytest.mark.parametrize(
    ("per_minute", "rows"), [({"requests": 1200.0}, 2000), ({"tokens": 600_000.0}, 400)], ids=["requests", "tokens"]
)
def test_a_stated_limit_is_learnt_used_up_and_hardly_ever_hit(
    per_minute: dict[str, float], rows: int, tmp_path: Path
) -> None:
    server = FakeServer(per_minute=per_minute)
    session = simulate(tmp_path, [server], rows, threads=32)
    assert session.states == {OK: rows}
    assert server.refused <= 2
    per_second = 1200 / 60 if "requests" in per_minute else 600_000 / 60 / server.charge
    assert rows / session.seconds >= 0.9 * per_second


def test_a_server_that_refuses_without_stating_a_limit_is_approached_from_below(tmp_path: Path) -> None:
    server = FakeServer(max_concurrency=6)
    session = simulate(tmp_path, [server], rows=600, threads=64)
    assert session.states == {OK: 600}
    assert server.refused < 40
    assert server.peak <= 17  # where the first limit is 16


def test_an_outage_leaves_every_row_pending_and_costs_few_requests(tmp_path: Path) -> None:
    failures = [Reply(500, {}, b"{}")] * 1000
    server = FakeServer(script=[*[None] * 5, *failures], latency=0.01)
    session = simulate(tmp_path, [server], rows=60, threads=8, max_attempts=6, max_outage=600.0)
    assert isinstance(session.stopped_by, ProviderError)
    assert "No usable answer from api.example.com for" in str(session.stopped_by)
    assert session.states == {OK: 5, PENDING: 55}
    assert 600 <= session.seconds <= 700
    assert len(server.sent_at) < 50


def test_a_run_continues_when_the_endpoint_comes_back(tmp_path: Path) -> None:
    server = FakeServer(down_until=2.0)
    session = simulate(tmp_path, [server], rows=20, threads=4, max_attempts=2)
    assert session.states == {OK: 20}
    assert server.answered_at[0] < 10


def test_several_endpoints_share_the_work_by_their_limits(tmp_path: Path) -> None:
    servers = [FakeServer(f"{rpm}.example.com", per_minute={"requests": float(rpm)}) for rpm in (600, 1200, 2400)]
    session = simulate(tmp_path, servers, rows=2800, threads=128)
    assert session.states == {OK: 2800}
    for server, share in zip(servers, (1 / 7, 2 / 7, 4 / 7), strict=True):
        assert len(server.answered_at) == pytest.approx(2800 * share, rel=0.1)
