"""Runs that share limits: in a folder and by a gate on the network, with real servers and really killed processes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from harness import KEY, Listener, Ran, run_rows, server
from processes import command, environment, start

from syphus.cli.summary import resume_line
from syphus.cluster.gate_folder import FolderGate
from syphus.cluster.gate_server import GateServer, GateSettings, serve_gate
from syphus.cluster.lease_holder import LeaseHolder, Terms
from syphus.cluster.messages import PROTOCOL, SECRET, Lease
from syphus.cluster.run_sharing import limits_name
from syphus.config.endpoint_settings import EndpointConfig
from syphus.errors import BudgetError, ConfigError, ProviderError
from syphus.types import State

WORD = "a-secret-of-this-test"
QUICK: Any = {"no_hedging": True, "no_sharing": True, "num_threads": 8}


def together(folder: Path, url: str, count: int, rows: int, **options: Any) -> list[Ran]:
    """So many runs at once, in threads."""

    def play(number: int) -> Ran:
        (folder / str(number)).mkdir()
        return run_rows(folder / str(number), url, rows, **{**QUICK, **options})

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(play, range(count), timeout=60))


@contextlib.contextmanager
def serving(make: Callable[[], contextlib.AbstractAsyncContextManager[str]]) -> Iterator[str]:
    """A server in a thread of its own; yields its address."""
    address: Future[str] = Future()
    loop, ended = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with make() as found:
            address.set_result(found)
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield address.result(timeout=10)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


@contextlib.contextmanager
def gate(folder: Path, port: int = 0, **limits: Any) -> Iterator[str]:
    settings = GateSettings("127.0.0.1", port, WORD, folder / "gate", **limits)
    with serving(lambda: serve_gate(GateServer(settings))) as address:
        yield address


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, WORD)


@pytest.mark.parametrize("on_network", [False, True], ids=["folder", "network"])
def test_runs_that_share_a_limit_are_refused_nothing(tmp_path: Path, on_network: bool) -> None:
    with server(rpm=1500, burst_seconds=2) as endpoint, gate(tmp_path) as address:
        share = address if on_network else str(tmp_path / "share")
        ran = together(tmp_path, endpoint.url, 3, 30, share=share)
        assert [each.states for each in ran] == [{State.OK: 30}] * 3
        assert endpoint.stats.by_status == {200: 90}
    if not on_network:
        written = b"".join(each.read_bytes() for each in (tmp_path / "share").iterdir())
        assert KEY.encode() not in written


def test_a_shared_maximum_of_requests_holds_for_all_runs_and_their_next_ones(tmp_path: Path) -> None:
    with server() as endpoint:
        given: Any = {"share": str(tmp_path / "share"), "shared_max_requests": 13}
        ran = together(tmp_path, endpoint.url, 3, 8, **given)
        assert endpoint.stats.requests == 13
        assert {type(each.error) for each in ran if each.exit_code} == {BudgetError}
        assert sum(each.states.get(State.OK, 0) for each in ran) == 13
        (tmp_path / "later").mkdir()
        later = run_rows(tmp_path / "later", endpoint.url, 4, share=given["share"])
        assert (later.exit_code, endpoint.stats.requests) == (4, 13)
        assert "The shared budget of 13 requests is spent." in str(later.error)
        assert resume_line(later.error, "syphus ...") == "To continue, raise the shared budget, then: syphus ..."


def test_a_shared_maximum_in_dollars_is_not_exceeded(tmp_path: Path) -> None:
    prices = {"prices": {"chat": {"input": 0.0, "output": 1000.0}}, "max_tokens": 100}  # 0.10 dollars at most
    with server(served_models=("chat",)) as endpoint, gate(tmp_path, max_cost=1.5) as address:
        ran = together(tmp_path, endpoint.url, 2, 30, share=address, config=prices)
        assert {each.exit_code for each in ran} == {4}
        costs = [each.report.cost or 0.0 for each in ran]
    assert 1.4 < sum(costs) <= 1.5
    kept = orjson.loads((tmp_path / "gate" / "spent.json").read_bytes())
    assert len(kept["accounts"]) == 2


def test_a_run_that_is_killed_holds_up_nobody(tmp_path: Path) -> None:
    share = str(tmp_path / "share")
    with server(rpm=1200, burst_seconds=2) as endpoint:
        (tmp_path / "killed").mkdir()
        typed = command(tmp_path / "killed", endpoint.url, 400, "--share", share, "--no-sharing")
        with start(typed, tmp_path) as process:
            while endpoint.stats.ok < 10:
                threading.Event().wait(0.02)
                assert process.poll() is None
            other = threading.Timer(0.2, process.kill)
            other.start()
            (tmp_path / "other").mkdir()
            ran = run_rows(tmp_path / "other", endpoint.url, 40, share=share, **QUICK)
            other.join()
        assert ran.states == {State.OK: 40}
        assert 429 not in endpoint.stats.by_status


def test_a_run_waits_for_a_gate_that_is_gone_and_goes_on(tmp_path: Path) -> None:
    listener, config = Listener(), {"max_outage": 60.0}
    with server(rpm=600, burst_seconds=1) as endpoint, ThreadPoolExecutor(1) as thread:
        with gate(tmp_path) as address:
            given: Any = {**QUICK, "share": address, "config": config, "observer": listener}
            running = thread.submit(run_rows, tmp_path, endpoint.url, 25, **given)
            while endpoint.stats.ok < 5:
                threading.Event().wait(0.02)
                assert not running.done()
        while not (lines := [line for line in listener.lines if "does not answer" in line]):
            threading.Event().wait(0.02)
            assert not running.done()
        sent = endpoint.stats.requests
        assert "nothing is sent until it does" in lines[0]
        assert sent < 25
        with gate(tmp_path, int(address.rpartition(":")[2])):
            assert running.result(60).states == {State.OK: 25}
        assert endpoint.stats.by_status == {200: 25}
        assert len([line for line in listener.lines if "answers again, after" in line]) == 1


def test_a_gate_that_stays_away_ends_the_run_with_all_rows_pending(tmp_path: Path) -> None:
    with server(rpm=600, burst_seconds=1) as endpoint, ThreadPoolExecutor(1) as thread:
        with gate(tmp_path) as address:
            given: Any = {**QUICK, "share": address, "config": {"max_outage": 1.0}}
            running = thread.submit(run_rows, tmp_path, endpoint.url, 60, **given)
            while endpoint.stats.ok < 5:
                threading.Event().wait(0.02)
                assert not running.done()
        ran = running.result(60)
    assert isinstance(ran.error, ProviderError)
    assert "No answer from the gate at http://127.0.0.1" in str(ran.error)
    assert ran.states[State.PENDING] > 0


def test_a_run_with_another_limit_is_refused_while_others_use_the_key(tmp_path: Path) -> None:
    share = tmp_path / "share"
    with server() as endpoint:
        config = EndpointConfig(base_url=endpoint.url, api_key=KEY)  # type: ignore[arg-type]  # as in a file
        holder = LeaseHolder("other", limits_name(config, "chat"), Terms({"requests": 50.0}))
        joined, ended = threading.Event(), threading.Event()
        with ThreadPoolExecutor(1) as thread, contextlib.ExitStack() as stack:
            stack.callback(ended.set)
            other = thread.submit(stay, share, holder, joined, ended)
            assert joined.wait(30)
            ran = run_rows(tmp_path, endpoint.url, 4, share=str(share), requests_per_minute=100)
        other.result()
        assert endpoint.stats.requests == 0
    assert ran.exit_code == 2
    assert "a limit of 100 requests per minute, and another one that shares its key has a limit of 50" in str(ran.error)


def stay(folder: Path, holder: LeaseHolder, joined: threading.Event, ended: threading.Event) -> None:
    """Be there as another run is, from when `joined` is set until `ended` is."""

    async def play() -> None:
        other = FolderGate(folder)
        await other.reach()
        while not ended.is_set():
            lease = await other.exchange(holder.message(0.0, 1, 0))
            holder.accept(lease, 0.0)
            joined.set()
            await asyncio.to_thread(ended.wait, lease.ask_again)
        await other.close()

    asyncio.run(play())


@contextlib.asynccontextmanager
async def other_version() -> Any:
    """A gate of another version of Syphus."""

    async def reply(_: web.Request) -> web.Response:
        return web.json_response({**Lease().as_json(), "protocol": PROTOCOL + 1})

    app = web.Application()
    app.router.add_route("*", "/v1/lease", reply)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def refusal(folder: Path, url: str, **options: Any) -> str:
    """The one line with which a run is refused before it sends anything."""
    ran = run_rows(folder, url, 2, **options)
    assert ran.exit_code == 2
    assert isinstance(ran.error, ConfigError)
    return str(ran.error)


def test_what_can_not_be_a_gate_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as endpoint, serving(other_version) as newer, gate(tmp_path, max_cost=5.0) as address:
        url = endpoint.url
        (tmp_path / "file").touch()
        (tmp_path / "damaged").mkdir()
        (tmp_path / "damaged" / "gate.sqlite").write_bytes(b"something else" * 100)
        with gate(tmp_path) as gone:
            pass
        for share, reason in {
            gone: "no gate answers there",
            newer: f"the gate speaks version {PROTOCOL + 1}",
            endpoint.host_url: "is not a gate",
            address[7:]: f"write http://{address[7:]} for a gate",
            "ftp://host/gate": "--share ftp://host/gate: must be http:// or https:// for a gate",
            str(tmp_path / "file"): "it is a file",
            str(tmp_path / "damaged"): "gate.sqlite can't be used",
        }.items():
            assert reason in refusal(tmp_path, url, share=share)
        assert "have 5 dollars" in refusal(tmp_path, url, share=address, shared_max_cost=6.0)
        assert "use one of them" in refusal(tmp_path, url, share=address, batch="always")
        assert "needs --share" in refusal(tmp_path, url, shared_max_cost=6.0)
        monkeypatch.setenv(SECRET, "another")
        assert f"refuses the secret in {SECRET}" in refusal(tmp_path, url, share=address)
        monkeypatch.delenv(SECRET)
        assert f"set {SECRET}" in refusal(tmp_path, url, share=address)
        assert not (tmp_path / "output").exists()
        assert endpoint.stats.requests == 0


def test_a_folder_on_a_network_file_system_is_refused(tmp_path: Path) -> None:
    async def play() -> None:
        gate = FolderGate(tmp_path, mounts=f"nas:/home {tmp_path} nfs4 rw 0 0")
        with pytest.raises(ConfigError, match="network file system \\(nfs4\\)"):
            await gate.reach()
        await gate.close()

    asyncio.run(play())


def test_a_gate_that_was_made_before_the_host_started_again_is_taken_up(tmp_path: Path) -> None:
    async def play(now: float, limit: int | None) -> Lease:
        gate = FolderGate(tmp_path, clock=lambda: now)
        await gate.reach()
        holder = LeaseHolder("a", "host model key", Terms({}, max_requests=limit), run="run")
        lease = await gate.exchange(holder.message(now, 4, 4))
        await gate.close()
        return lease

    assert asyncio.run(play(1000.0, 3)).request_limit == 3
    assert asyncio.run(play(10.0, None)).request_limit == 3


def test_a_gate_whose_disk_fails_says_so_and_goes_on_when_it_can(tmp_path: Path) -> None:
    main = str(Path(__file__).parents[2] / "main.py")
    typed = [*command(tmp_path, "", 1)[:1], main, "gate", "--listen", "127.0.0.1:0", "--max-requests", "100"]
    folder, aside = tmp_path / "gate", tmp_path / "aside"
    with start(typed, tmp_path, env=environment(**{SECRET: WORD})) as process, server() as endpoint:
        assert process.stderr is not None
        address = re.search(r"listens at (http://127\.0\.0\.1:\d+);", process.stderr.readline())
        assert address is not None
        folder.rename(aside)
        folder.write_bytes(b"in the way")
        ran = run_rows(tmp_path, endpoint.url, 3, share=address[1])
        assert (ran.exit_code, endpoint.stats.requests) == (3, 0)
        assert re.search(r"does not answer: it replies 503: .*can't be written: Not a directory\.$", str(ran.error))
        lines = iter(process.stderr.readline, "")
        assert any("Not a directory. Runs wait until it can." in line for line in lines)
        folder.unlink()
        aside.rename(folder)
        assert run_rows(tmp_path, endpoint.url, 3, share=address[1]).states == {State.OK: 3}
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert "Traceback" not in process.stderr.read()


def test_the_command_listens_until_it_is_told_to_stop(tmp_path: Path) -> None:
    main = str(Path(__file__).parents[2] / "main.py")
    typed = [*command(tmp_path, "", 1)[:1], main, "gate", "--listen", "127.0.0.1:0"]
    with start(typed, tmp_path, env=environment(**{SECRET: WORD})) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = re.search(r"listens at (http://127\.0\.0\.1:\d+);", line)
        assert address is not None, line
        with server() as endpoint:
            assert run_rows(tmp_path, endpoint.url, 3, share=address[1]).states == {State.OK: 3}
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert "Stopped" in process.stderr.read()
    with start([*typed[:-1], "somewhere"], tmp_path) as process:
        assert process.wait(10) == 2
        assert process.stderr is not None
        assert "--listen somewhere: must be HOST:PORT" in process.stderr.read()
