"""How long a request may take, and when a second one is sent. In simulated time; the latencies are arguments."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from simulated_session import FakeServer, SimulatedTimeLoop, simulate
from wire import completion

from syphus.endpoints.connections import NoReplyKind, Reply
from syphus.ledger.store import open_for_reading
from syphus.pipeline.budget import Budget
from syphus.pipeline.deadlines import FLOOR, MIN_ANSWERS, Deadlines, Latencies
from syphus.types import State

OK = State.OK
T = TypeVar("T")
HANGS = 65.0


def answered(count: int, seconds: float = 0.2, tokens: int = 200, sent_at: float = 0.0) -> Latencies:
    latencies = Latencies()
    for _ in range(count):
        latencies.record_answer(seconds, tokens, sent_at)
    return latencies


def in_simulated_time(work: Callable[[Deadlines, Latencies], Coroutine[Any, Any, T]], latencies: Latencies) -> T:
    async def main() -> T:
        async with Deadlines(180.0, asyncio.get_running_loop().time) as deadlines:
            return await work(deadlines, latencies)

    with asyncio.Runner(loop_factory=SimulatedTimeLoop) as runner:
        return runner.run(main())


async def hang(deadlines: Deadlines, latencies: Latencies, times_given_up: int = 0) -> tuple[float, NoReplyKind]:
    """Wait for an answer that never comes; return after how many seconds, and why it was given up."""
    attempt = deadlines.limit(latencies, times_given_up)
    began = asyncio.get_running_loop().time()
    try:
        async with attempt:
            await asyncio.sleep(10_000)
    except TimeoutError:
        pass
    return asyncio.get_running_loop().time() - began, attempt.ended_by


def test_before_there_are_enough_answers_the_users_timeout_counts() -> None:
    assert answered(MIN_ANSWERS - 1).deadline() is None
    seconds, reason = in_simulated_time(hang, answered(MIN_ANSWERS - 1, sent_at=1.0))
    assert seconds == pytest.approx(180.0, abs=0.5)
    assert reason is NoReplyKind.TIMEOUT


@pytest.mark.parametrize(("usual", "deadline"), [(0.2, FLOOR), (5.0, 20.0), (30.0, 120.0), (100.0, 180.0)])
def test_the_deadline_follows_the_latencies_between_the_floor_and_the_timeout(usual: float, deadline: float) -> None:
    seconds, _ = in_simulated_time(hang, answered(500, usual, sent_at=1.0))
    assert seconds == pytest.approx(deadline, abs=0.5)


def test_a_run_hears_that_nothing_ends_overdue_requests_any_more() -> None:
    async def fail(deadlines: Deadlines, _: Latencies) -> Exception:
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        deadlines.on_fault = failed.set_result
        deadlines.call_after(1.0, lambda: print(1 / 0))
        return await failed

    assert isinstance(in_simulated_time(fail, Latencies()), ZeroDivisionError)


def test_rare_slow_answers_get_their_time() -> None:
    latencies = answered(980)
    for _ in range(20):
        latencies.record_answer(40.0, 200, 0.0)
    assert latencies.deadline() == 60.0
    assert latencies.usual() == 0.2


def test_an_answer_twice_as_long_as_the_longest_gets_its_time() -> None:
    latencies = Latencies()
    for number in range(1000):
        tokens = 2000 if number % 300 == 0 else 100
        latencies.record_answer(1.0 + 0.02 * tokens, tokens, 0.0)
    deadline = latencies.deadline()
    assert deadline is not None
    assert deadline >= 1.0 + 0.02 * 4000 - 0.1


def test_a_row_that_was_given_up_gets_more_time() -> None:
    async def again(deadlines: Deadlines, latencies: Latencies) -> tuple[float, NoReplyKind]:
        return await hang(deadlines, latencies, times_given_up=2)

    assert in_simulated_time(again, answered(500, sent_at=1.0))[0] == pytest.approx(4 * FLOOR, abs=0.5)


def test_what_nothing_has_overtaken_gets_three_times_as_long() -> None:
    assert in_simulated_time(hang, answered(500, sent_at=-1.0))[0] == pytest.approx(3 * FLOOR, abs=0.5)


def test_only_few_are_given_up_early() -> None:
    latencies = answered(100, sent_at=1.0)

    async def all_hang(deadlines: Deadlines, latencies: Latencies) -> list[tuple[float, NoReplyKind]]:
        return await asyncio.gather(*(hang(deadlines, latencies) for _ in range(50)))

    seconds = Counter(round(seconds / FLOOR) for seconds, _ in in_simulated_time(all_hang, latencies))
    assert seconds == {1: 7, 3: 43}  # five, and 2% of a hundred


def test_a_connection_on_which_bytes_arrive_is_only_ended_by_the_timeout() -> None:
    async def drip(deadlines: Deadlines, latencies: Latencies) -> tuple[float, NoReplyKind]:
        attempt = deadlines.limit(latencies)
        try:
            async with attempt:
                while True:
                    await asyncio.sleep(2.0)
                    attempt.hear()
        except TimeoutError:
            return asyncio.get_running_loop().time(), attempt.ended_by

    seconds, reason = in_simulated_time(drip, answered(500, sent_at=1.0))
    assert seconds == pytest.approx(180.0, abs=0.5)
    assert reason is NoReplyKind.TIMEOUT


class VaryingServer(FakeServer):
    """Takes as long as `latency_of` says, by the number of the request and the time."""

    def __init__(self, latency_of: Callable[[int, float], float]) -> None:
        super().__init__()
        self.latency_of = latency_of
        self.bodies: Counter[bytes] = Counter()

    async def send(self, body: bytes) -> Reply:
        now = asyncio.get_running_loop().time()
        number = len(self.sent_at)
        self.sent_at.append(now)
        self.bodies[body] += 1
        await asyncio.sleep(self.latency_of(number, now))
        self.answered_at.append(asyncio.get_running_loop().time())
        return Reply(200, {}, completion())


def test_hanging_calls_are_given_up_and_their_rows_asked_again(tmp_path: Path) -> None:
    hanging = random.Random(3).sample(range(100, 900), 12)
    server = VaryingServer(lambda number, _: HANGS if number in hanging else 0.2)
    session = simulate(tmp_path, [server], rows=1000, threads=64, hedging=False)
    assert session.states == {OK: 1000}
    assert len(server.sent_at) == 1012
    assert session.seconds < 20.0


def test_a_server_that_becomes_slow_is_not_asked_for_everything_twice(tmp_path: Path) -> None:
    rng = random.Random(4)
    server = VaryingServer(lambda _, now: 0.2 if now < 10 else rng.lognormvariate(2.7, 0.5))
    session = simulate(tmp_path, [server], rows=2000, threads=32)
    assert session.states == {OK: 2000}
    assert len(server.sent_at) <= 2000 * 1.03


def test_a_server_that_stands_still_for_a_minute_gets_nothing_twice(tmp_path: Path) -> None:
    server = VaryingServer(lambda _, now: 0.2 if not 5 < now < 65 else 65.2 - now)
    session = simulate(tmp_path, [server], rows=1500, threads=32, hedging=False)
    assert session.states == {OK: 1500}
    assert len(server.sent_at) == 1500


def test_stragglers_at_the_end_are_asked_twice(tmp_path: Path) -> None:
    server = VaryingServer(lambda number, _: 6.0 if number % 100 == 50 else 0.2)
    session = simulate(tmp_path, [server], rows=2000, threads=64)
    assert session.states == {OK: 2000}
    assert 0 < session.stats.hedges <= 20
    assert len(server.sent_at) == 2000 + session.stats.hedges
    last = sorted(server.sent_at)[1999 - session.stats.hedges]
    assert session.seconds - last <= 0.5


class SlowRows(FakeServer):
    """Takes as long as `latency_of` says, by the body and how often it came before."""

    def __init__(self, latency_of: Callable[[bytes, int], float]) -> None:
        super().__init__()
        self.latency_of = latency_of
        self.bodies: Counter[bytes] = Counter()

    async def send(self, body: bytes) -> Reply:
        self.sent_at.append(asyncio.get_running_loop().time())
        self.bodies[body] += 1
        await asyncio.sleep(self.latency_of(body, self.bodies[body] - 1))
        return Reply(200, {}, completion())


def test_the_first_answer_decides_and_the_later_one_is_kept_as_a_further_sample(tmp_path: Path) -> None:
    def latency_of(body: bytes, before: int) -> float:
        if b"house 290 " in body:  # slow whenever it is asked, so that the run goes on
            return 3.0
        return 1.5 if b"house 280 " in body and not before else 0.2

    server = SlowRows(latency_of)
    session = simulate(tmp_path, [server], rows=300, threads=16)
    assert session.states == {OK: 300}
    assert max(server.bodies.values()) > 1
    with closing(open_for_reading(tmp_path)) as store:
        rows = store.read("SELECT count(*), sample FROM answer GROUP BY sample ORDER BY sample")
        kept = store.read(
            "SELECT first.seconds, later.seconds FROM answer first JOIN answer later USING (key) "
            "WHERE first.sample = 0 AND later.sample = 1"
        )
        used = store.read_value("SELECT count(DISTINCT answer) FROM query")
    assert rows[0] == (300, 0)
    assert used == 300
    assert len(kept) >= 1
    assert all(first < later for first, later in kept)
    assert session.stats.answers == sum(count for count, _ in rows)


def test_a_budget_of_requests_is_never_spent_on_second_requests(tmp_path: Path) -> None:
    server = VaryingServer(lambda number, _: 6.0 if number % 100 == 50 else 0.2)
    budget = Budget(None, None, 500, 0.0, 0)
    session = simulate(tmp_path, [server], rows=500, threads=64, budget=budget)
    assert session.states == {OK: 500}
    assert len(server.sent_at) == 500


def test_no_row_is_asked_twice_unless_it_is_worth_it(tmp_path: Path) -> None:
    (tmp_path / "off").mkdir()
    (tmp_path / "errors").mkdir()
    server = VaryingServer(lambda number, _: 6.0 if number % 100 == 50 else 0.2)
    session = simulate(tmp_path / "off", [server], rows=500, threads=64, hedging=False)
    assert (session.stats.hedges, len(server.sent_at)) == (0, 500)
    script = [None if number % 3 else Reply(500, {}, b"{}") for number in range(2000)]
    failing = FakeServer(script=script)
    session = simulate(tmp_path / "errors", [failing], rows=500, threads=64, max_attempts=40)
    assert session.states == {OK: 500}
    assert session.stats.hedges == 0


def test_with_more_stragglers_than_may_be_asked_twice_the_oldest_are_left(tmp_path: Path) -> None:
    server = VaryingServer(lambda number, _: 6.0 if number % 50 == 25 else 0.2)
    session = simulate(tmp_path, [server], rows=1000, threads=64)
    assert session.states == {OK: 1000}
    assert 0 < session.stats.hedges <= 10
    newest_straggler = server.sent_at[975]
    assert session.seconds < newest_straggler + 4.5


def test_an_overdue_request_that_nothing_can_overtake_is_asked_again_beside_it(tmp_path: Path) -> None:
    def latency_of(number: int, now: float) -> float:  # of the last row: the first request and the second never end
        return HANGS if number in (99, 100) else 0.2

    server = VaryingServer(latency_of)
    session = simulate(tmp_path, [server], rows=100, threads=4)  # so few that one percent is a single request
    assert session.states == {OK: 100}
    assert len(server.sent_at) == 102
    assert session.seconds < 100 / 4 * 0.3 + 2 * FLOOR


def test_a_slow_first_answer_does_not_hold_the_others_back(tmp_path: Path) -> None:
    server = VaryingServer(lambda _, __: 20.0)
    simulate(tmp_path, [server], rows=40, threads=32)
    sent = [sum(at <= second for at in server.sent_at) for second in (2.9, 3.5, 6.5, 9.5, 12.5)]
    assert sent == [1, 2, 4, 8, 16]
