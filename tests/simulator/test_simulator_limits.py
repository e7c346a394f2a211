"""The limits that the simulated endpoint enforces: how they count, what they say, and how long an answer takes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import aiohttp
import pytest
from processes import Watch

from syphus.simulator import SimulatedServer, Simulation, serve
from syphus.simulator.rate_limiter import RateLimits, reset_duration

Result = TypeVar("Result")
Said = tuple[int, dict[str, str], dict[str, object]]
KEY = {"Authorization": "Bearer any"}


def run(simulation: Simulation, work: Callable[[SimulatedServer, aiohttp.ClientSession], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        async with serve(simulation) as server, aiohttp.ClientSession() as session:
            return await work(server, session)

    return asyncio.run(main())


async def ask(
    server: SimulatedServer, session: aiohttp.ClientSession, path: str = "/v1/chat/completions", **more: object
) -> Said:
    body = {"model": "m", "messages": [{"role": "user", "content": "a dog runs home"}], **more}
    async with session.post(server.host_url + path, json=body, headers=KEY) as answer:
        return answer.status, {name.lower(): text for name, text in answer.headers.items()}, await answer.json()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0ms"),
        (0.12, "120ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (360, "6m0s"),
        (86.4, "1m26.4s"),
        (3600, "1h0m0s"),
        (-1, "0ms"),
    ],
)
def test_a_duration_is_written_as_openai_writes_it(seconds: float, expected: str) -> None:
    assert reset_duration(seconds) == expected


def test_requests_flow_in_evenly_and_a_refused_one_costs_nothing() -> None:
    limits = RateLimits(rpm=60, tpm=0, burst_seconds=2, now=0)
    assert [limits.admit(1, 0) is None for _ in range(3)] == [True, True, False]
    refusal = limits.admit(1, 0.25)
    assert refusal is not None
    assert refusal.kind == "requests"
    assert refusal.wait == pytest.approx(0.75)
    assert limits.admit(1, 1.0) is None
    assert limits.admit(1, 1.5) is not None
    assert [limits.admit(1, 100) is None for _ in range(3)] == [True, True, False]  # never more than the burst


def test_tokens_are_charged_at_admission_and_settled_afterwards() -> None:
    limits = RateLimits(rpm=0, tpm=600, burst_seconds=60, now=0)
    assert limits.admit(500, 0) is None
    limits.settle(200)
    refusal = limits.admit(100, 0)
    assert refusal is not None
    assert refusal.kind == "tokens"
    assert refusal.wait == pytest.approx(20.0)
    assert limits.admit(100, 20.001) is None


def test_a_request_larger_than_the_bucket_passes_when_it_is_full() -> None:
    limits = RateLimits(rpm=0, tpm=600, burst_seconds=10, now=0)
    assert limits.admit(300, 0) is None
    assert limits.admit(300, 10) is not None
    assert limits.admit(300, 30) is None


def test_a_429_of_openai_says_how_long_to_wait_in_every_way() -> None:
    async def work(server: SimulatedServer, session: aiohttp.ClientSession) -> list[Said]:
        return [await ask(server, session) for _ in range(3)]

    first, _, third = run(Simulation(rpm=2), work)
    assert first[0] == 200
    assert first[1]["x-ratelimit-limit-requests"] == "2"
    assert first[1]["x-ratelimit-remaining-requests"] == "1"
    assert "x-ratelimit-limit-tokens" not in first[1]
    status, headers, body = third
    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["type"], error["code"]) == (429, "requests", "rate_limit_exceeded")
    assert "Please try again in" in error["message"]
    assert 0 < int(headers["retry-after-ms"]) <= 30_000
    assert 0 < int(headers["retry-after"]) <= 30
    assert headers["x-ratelimit-reset-requests"].endswith("s")


def test_a_429_of_azure_has_the_words_and_the_code_of_azure() -> None:
    path = "/openai/deployments/d/chat/completions?api-version=2024-10-21"

    async def work(server: SimulatedServer, session: aiohttp.ClientSession) -> Said:
        await ask(server, session, path, max_tokens=900)
        return await ask(server, session, path, max_tokens=900)

    status, headers, body = run(Simulation(tpm=1000), work)
    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["code"]) == (429, "429")
    assert "API version 2024-10-21 have exceeded token rate limit" in error["message"]
    assert f"retry after {headers['retry-after']} seconds" in error["message"]


def test_tokens_count_with_max_tokens_or_as_they_were_used() -> None:
    async def work(server: SimulatedServer, session: aiohttp.ClientSession) -> list[int]:
        return [(await ask(server, session, max_tokens=600))[0] for _ in range(3)]

    assert run(Simulation(tpm=1000, charge="max"), work) == [200, 429, 429]
    assert run(Simulation(tpm=1000, charge="usage"), work) == [200, 200, 200]


def test_used_tokens_are_charged_after_the_answer() -> None:
    async def work(server: SimulatedServer, session: aiohttp.ClientSession) -> tuple[str, int]:
        _, headers, body = await ask(server, session)
        usage = body["usage"]
        assert isinstance(usage, dict)
        return headers["x-ratelimit-remaining-tokens"], usage["total_tokens"]

    # One token flows back in per minute, which is rounded down.
    remaining, used = run(Simulation(tpm=1, burst_seconds=6000 * 60, charge="usage"), work)
    assert int(remaining) == 6000 - used


def test_limits_need_not_be_stated() -> None:
    async def work(server: SimulatedServer, session: aiohttp.ClientSession) -> Said:
        return await ask(server, session)

    assert not any(name.startswith("x-ratelimit") for name in run(Simulation(rpm=5, state_limits=False), work)[1])


def test_above_the_concurrency_there_is_a_429_and_below_none() -> None:
    async def work(server: SimulatedServer, session: aiohttp.ClientSession) -> list[int]:
        busy = [asyncio.create_task(ask(server, session)) for _ in range(4)]
        async with asyncio.timeout(30):
            while server.stats.in_flight < 4:
                await session.get(f"{server.host_url}/stats")
        above = await ask(server, session)
        assert not any(task.done() for task in busy)
        busy.pop().cancel()
        async with asyncio.timeout(30):
            while server.stats.in_flight > 3:
                await session.get(f"{server.host_url}/stats")
        server.configure(latency=0)
        below = await ask(server, session)
        for task in busy:
            task.cancel()
        return [above[0], below[0]]

    assert run(Simulation(max_concurrency=4, latency=600), work) == [429, 200]


def test_with_a_capacity_requests_queue_and_none_is_refused() -> None:
    async def work(server: SimulatedServer, session: aiohttp.ClientSession) -> tuple[list[int], float, int]:
        loop = asyncio.get_running_loop()
        all_arrived = asyncio.Event()
        Watch(server).at("request", 6, all_arrived.set)

        async def body() -> AsyncIterator[bytes]:  # no request is complete before all have arrived
            yield b" "  # the head is sent with the first bytes
            await all_arrived.wait()
            yield json.dumps({"model": "m", "messages": [{"role": "user", "content": "a dog runs home"}]}).encode()

        async def send() -> int:
            async with session.post(f"{server.url}/chat/completions", data=body(), headers=KEY) as answer:
                return answer.status

        sending = [asyncio.create_task(send()) for _ in range(6)]
        async with asyncio.timeout(30):
            await all_arrived.wait()
        start = loop.time()
        return await asyncio.gather(*sending), loop.time() - start, server.stats.peak_in_flight

    statuses, seconds, peak = run(Simulation(capacity=2, latency=0.03), work)
    assert statuses == [200] * 6
    assert seconds >= 3 * 0.03  # a slow machine only makes it longer
    assert peak == 6


def test_an_error_comes_at_once_whatever_the_latency() -> None:
    async def work(server: SimulatedServer, session: aiohttp.ClientSession) -> int:
        async with asyncio.timeout(30):
            return (await ask(server, session))[0]

    assert run(Simulation(latency=60, script=("server_error",)), work) == 500
