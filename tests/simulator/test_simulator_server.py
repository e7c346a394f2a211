"""The simulated endpoint as a server: which request meets which fault, counters and the bill, settings, its life."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import openai
import pytest
from harness import HERE
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from processes import start

from syphus.errors import ConfigError
from syphus.simulator import (
    CLIENT_LEFT,
    SimulatedServer,
    Simulation,
    run_simulated,
    serve,
    serve_in_thread,
    with_options,
)

Result = TypeVar("Result")


def turns(text: str = "the blue car has moved") -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": "Write questions and answers."}, {"role": "user", "content": text}]


def run(work: Callable[[SimulatedServer], Awaitable[Result]], simulation: Simulation | None = None) -> Result:
    async def main() -> Result:
        async with serve(simulation) as server:
            return await work(server)

    return asyncio.run(main())


async def ask(server: SimulatedServer, text: str = "the blue car has moved") -> ChatCompletion:
    async with AsyncOpenAI(base_url=server.url, api_key="any", max_retries=0, timeout=30) as client:
        return await client.chat.completions.create(model="gpt-4o-mini", messages=turns(text))


async def send(server: SimulatedServer, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    async with (
        aiohttp.ClientSession() as session,
        session.request("POST" if body else "GET", server.host_url + path, json=body) as answer,
    ):
        return answer.status, await answer.json()


# Which request meets which fault


async def outcomes(server: SimulatedServer, texts: list[str]) -> list[str]:
    """The faults that requests with these texts meet, one after the other."""
    async with AsyncOpenAI(base_url=server.url, api_key="any", max_retries=0, timeout=30) as client:
        for text in texts:
            with contextlib.suppress(openai.APIError):
                await client.chat.completions.create(model="gpt-4o-mini", messages=turns(text))
    return [record.fault for record in server.requests]


def test_a_script_is_played_in_order_and_then_no_more() -> None:
    script = ("reset", "ok", "server_error", "refusal")
    assert run(lambda server: outcomes(server, ["a"] * 5), Simulation(script=script)) == [
        "reset",
        "",
        "server_error",
        "refusal",
        "",
    ]


def test_poison_hits_its_text_every_time_and_poison_once_only_at_first() -> None:
    simulation = Simulation(poison={"bad": "server_error"}, poison_once={"odd": "reset"})
    texts = ["bad", "odd 1", "bad", "odd 1", "odd 2", "fine"]
    expected = ["server_error", "reset", "server_error", "", "reset", ""]
    assert run(lambda server: outcomes(server, texts), simulation) == expected


def test_shares_are_drawn_by_seed_and_number() -> None:
    def drawn(seed: int) -> list[str]:
        simulation = Simulation(seed=seed, faults={"server_error": 0.3, "empty": 0.3})
        return run(lambda server: outcomes(server, ["a"] * 40), simulation)

    assert drawn(1) == drawn(1) != drawn(2)
    assert {"", "server_error", "empty"} == set(drawn(1))


def test_an_endpoint_that_is_down_resets_every_connection_until_it_is_up_again() -> None:
    async def work(server: SimulatedServer) -> None:
        server.configure(down=True)
        with pytest.raises(openai.APIConnectionError):
            await ask(server)
        server.configure(down=False)
        assert (await ask(server)).choices
        assert server.stats.by_fault == {"down": 1}

    run(work)


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    wrongs: list[dict[str, object]] = [
        {"script": ("nonsense",)},
        {"poison": {"a": "nonsense"}},
        {"faults": {"nonsense": 0.1}},
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"nonsense.*content_filter.*rate_limit"):
            with_options(Simulation(), wrong)


@pytest.mark.parametrize(
    "wrong", [{"rpm": -1}, {"latency": float("nan")}, {"charge": "twice"}, {"faults": {"reset": 0.7, "empty": 0.7}}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        with_options(Simulation(), wrong)


# Counters, the bill, settings at run time


def test_the_counters_and_the_bill_tell_what_was_seen() -> None:
    async def work(server: SimulatedServer) -> tuple[dict[str, object], SimulatedServer]:
        await outcomes(server, ["one", "one", "two", "one"])
        return (await send(server, "/stats"))[1], server

    stats, server = run(work, Simulation(script=("server_error", "truncated", "ok", "ok")))
    assert {name: stats[name] for name in ("requests", "ok", "billed", "unique", "dup_requests", "dup_after_ok")} == {
        "requests": 4,
        "ok": 3,
        "billed": 3,
        "unique": 2,
        "dup_requests": 2,
        "dup_after_ok": 1,  # "one" was answered at its second attempt, truncated, and asked a third time
    }
    assert (stats["by_status"], stats["by_fault"]) == ({"200": 3, "500": 1}, {"server_error": 1, "truncated": 1})
    assert (stats["in_flight"], stats["peak_in_flight"]) == (0, 1)
    bill = list(server.requests)
    assert [(record.number, record.status, record.last_user) for record in bill] == [
        (1, 500, "one"),
        (2, 200, "one"),
        (3, 200, "two"),
        (4, 200, "one"),
    ]
    assert bill[0].key == bill[1].key != bill[2].key
    assert not bill[0].billed
    assert sum(record.prompt_tokens for record in bill) == stats["tokens_in"]
    assert sum(record.completion_tokens for record in bill) == stats["tokens_out"]
    assert len({record.request_id for record in bill}) == 4


def test_the_bill_holds_what_the_replies_say_that_it_costs() -> None:
    async def work(server: SimulatedServer) -> None:
        completion = await ask(server)
        assert completion.usage is not None
        record = server.requests[-1]
        told = (completion.usage.prompt_tokens, completion.usage.completion_tokens)
        assert (record.prompt_tokens, record.completion_tokens) == told

    run(work)


def test_a_client_that_leaves_before_its_answer_is_billed() -> None:
    async def work(server: SimulatedServer) -> None:
        leaving = asyncio.create_task(ask(server))
        await until(server, lambda: server.stats.in_flight == 1)
        leaving.cancel()
        await until(server, lambda: not server.stats.in_flight)
        record = server.requests[-1]
        assert (record.status, record.billed, server.stats.ok) == (CLIENT_LEFT, True, 0)

    run(work, Simulation(latency=600))


def test_the_bill_is_bounded() -> None:
    assert run(lambda server: outcomes(server, ["a"] * 5), Simulation(keep_requests=3)) == ["", "", ""]


def test_settings_change_at_run_time_by_query_and_by_body() -> None:
    async def work(server: SimulatedServer) -> None:
        status, now = await send(server, "/config?rpm=60&down=true&script=ok,reset")
        assert (status, now["rpm"], now["down"], now["script"]) == (200, 60, True, ["ok", "reset"])
        _, now = await send(server, "/config", {"faults": {"reset": 0.1}, "down": False})
        assert (now["rpm"], now["down"], now["faults"]) == (60, False, {"reset": 0.1})
        _, now = await send(server, "/config?all=1&latency=0.5")
        assert (now["rpm"], now["latency"], now["faults"]) == (0, 0.5, {})
        assert "key" not in now

    run(work)


@pytest.mark.parametrize("query", ["colour=red", "rpm=many", "down=perhaps", "script=nonsense"])
def test_a_setting_that_can_not_be_read_is_refused_and_changes_nothing(query: str) -> None:
    async def work(server: SimulatedServer) -> None:
        status, said = await send(server, f"/config?latency=3&{query}")
        assert status == 400
        assert query.split("=")[1] in str(said) or query.split("=")[0] in str(said)
        assert server.endpoint.simulation.latency == 0

    run(work)


def test_changing_one_setting_does_not_start_the_script_again() -> None:
    async def work(server: SimulatedServer) -> list[str]:
        await outcomes(server, ["a"])
        server.configure(latency=0.001)
        return await outcomes(server, ["a"])

    assert run(work, Simulation(script=("empty",))) == ["empty", ""]


def test_a_reset_forgets_what_was_seen() -> None:
    async def work(server: SimulatedServer) -> None:
        before = await ask(server)
        assert (await send(server, "/reset"))[0] == 200
        assert (server.stats.requests, len(server.requests)) == (0, 0)
        after = await ask(server)
        assert (server.stats.unique, server.stats.dup_requests) == (1, 0)
        assert before.id != after.id  # ids stay unique all the same

    run(work)


# Its life


async def until(server: SimulatedServer, reached: Callable[[], bool]) -> None:
    """Ask the server about itself until the condition holds."""
    async with asyncio.timeout(30):
        while not reached():
            await send(server, "/stats")


def test_it_shuts_down_at_once_while_connections_hang() -> None:
    async def main() -> tuple[float, list[object]]:
        loop = asyncio.get_running_loop()
        simulation = Simulation(faults={"hang": 0.4, "endless": 0.3, "drip": 0.3}, drip_seconds=0.05)
        async with serve(simulation) as server:
            waiting = [asyncio.create_task(ask(server, f"the car {n} has moved")) for n in range(20)]
            await until(server, lambda: server.stats.in_flight == 20)
            start = loop.time()
        return loop.time() - start, await asyncio.gather(*waiting, return_exceptions=True)

    seconds, left = asyncio.run(main())
    assert seconds < 10  # the dripping answers would take longer
    assert all(isinstance(outcome, openai.APIConnectionError) for outcome in left), left


def test_it_runs_in_a_thread_of_its_own_for_callers_that_are_not_asynchronous() -> None:
    with serve_in_thread(Simulation(seed=3)) as server:
        client = openai.OpenAI(base_url=server.url, api_key="any", max_retries=0)
        with client:
            assert client.chat.completions.create(model="m", messages=turns()).choices
        assert server.stats.ok == 1
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_two_servers_never_give_the_same_ids() -> None:
    first, second = run(ask), run(ask)
    assert first.id != second.id


def test_a_port_that_is_taken_is_said_so_in_every_way_to_start() -> None:
    with serve_in_thread() as server:
        with pytest.raises(OSError, match="address already in use"), serve_in_thread(port=server.port):
            pass
        with pytest.raises(ConfigError, match=f"Port {server.port} "):
            run_simulated(Simulation(), server.port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_alone_it_says_where_it_is_and_leaves_cleanly(number: signal.Signals) -> None:
    code = "from syphus.simulator import Simulation, run_simulated; run_simulated(Simulation(key='secret'), 0)"
    with start([sys.executable, "-c", code], HERE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.split("OPENAI_BASE_URL=")[1].split()[0]
        with openai.OpenAI(base_url=url, api_key="secret", max_retries=0) as client:
            assert client.chat.completions.create(model="m", messages=turns()).choices
        process.send_signal(number)
        rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert "secret" not in line
