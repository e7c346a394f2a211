"""What the pages about control, metrics, cold start, translation, statistics and comparison get: the real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import browsing
from harness import run_rows, server
from processes import Watch, command, start
from prometheus_client.parser import text_string_to_metric_families
from viewing import TOKEN, Viewing, viewing

from syphus.api import view
from syphus.runs.metrics import as_text, read_samples

if TYPE_CHECKING:
    from playwright.sync_api import Page

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewing]:
    """Two runs of the same rows, one with another model and one row less."""
    folder = tmp_path_factory.mktemp("reports")
    texts = {f"r{i}": f"the blue car has moved, {EVIL} {i}" for i in range(30)}
    with server(seed=1, sloppiness=0.2) as running:
        run_rows(folder, running.url, texts, {"prices": {"chat": {"input": 1.0, "output": 1.0}}}, dataset_version="a")
        del texts["r3"]
        run_rows(folder, running.url, texts, {"model": "other"}, dataset_version="b", languages="de,ar", max_rounds=0)
    with viewing(folder / "output", cache=folder / "cache") as running_viewer:
        yield running_viewer


@contextmanager
def signed_in(seen: Viewing) -> Iterator[Page]:
    """A page of a real browser that is signed in, and complains of nothing."""
    said: list[str] = []
    with browsing() as browser:
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(seen.address)
        yield page
    assert said == []


@contextmanager
def run_at_work(folder: Path, rows: int, latency: float) -> Iterator[Viewing]:
    """A viewer of a run that has some answers, and that must be stopped from the page."""
    with server(latency=latency) as simulated:
        watch, ready = Watch(simulated), threading.Event()
        watch.at("answer", 3, ready.set)
        with start(command(folder, simulated.url, rows), folder) as process:
            assert ready.wait(20)
            with viewing(folder / "output", cache=folder / "cache") as seen:
                yield seen
            process.communicate(timeout=60)
    assert process.returncode == 130


def keys(seen: Viewing) -> tuple[str, str]:
    first, second = seen.viewer.runs.all()
    return first.key, second.key


def test_runs_are_compared_query_by_query(seen: Viewing) -> None:
    runs = ",".join(keys(seen))
    found = seen.get(f"/api/compare?runs={runs}").json
    assert [run["name"].rpartition("/")[2] for run in found["runs"]] == ["a", "b"]
    assert [run["models"] for run in found["runs"]] == [["simulated-chat"], ["simulated-other"]]
    assert len(found["rows"]) == 20
    by_id = {row["id"]: row for row in found["rows"]}
    assert by_id["r3"]["runs"][1] is None
    assert EVIL in by_id["r3"]["annotation"]
    cell = next(row["runs"][0] for row in found["rows"] if row["runs"][0]["state"] == "ok")
    assert {"id", "instruction", "answer"} == cell["pairs"][0].keys()
    rest = seen.get(f"/api/compare?runs={runs}&after={found['next']}").json
    assert [len(rest["rows"]), rest["next"]] == [10, None]
    assert not {row["id"] for row in rest["rows"]} & by_id.keys()
    different = seen.get(f"/api/compare?runs={runs}&only=different").json["rows"]
    assert "r3" in {row["id"] for row in different}
    assert seen.get(f"/api/compare?runs={runs.partition(',')[0]}").status == 400
    assert seen.get(f"/api/compare?runs={runs},nothing").status == 404


def test_statistics_count_pairs_and_words(seen: Viewing) -> None:
    found = seen.get(f"/api/runs/{keys(seen)[0]}/statistics").json
    assert found["is_exact"]
    assert (found["queries"], found["counted"]) == (30, found["states"]["ok"])
    pairs = found["distributions"]["pairs_per_query"]
    assert pairs["mean"] == pytest.approx(found["pairs"] / found["counted"], abs=0.01)
    assert sum(bar["value"] for bar in found["distributions"]["question_words"]["bars"]) == found["pairs"]
    assert found["openings"]


def test_translations_are_shown_by_language(seen: Viewing) -> None:
    first, second = keys(seen)
    assert seen.get(f"/api/runs/{first}/translation").json["languages"] == []
    found = seen.get(f"/api/runs/{second}/translation").json
    german, arabic = found["languages"]
    assert (german["name"], german["own_name"], german["rtl"], arabic["rtl"]) == ("German", "Deutsch", False, True)
    assert sum(german["states"].values()) == found["pairs"]
    assert {"id", "source", "translation"} == german["sample"][0].keys()
    assert seen.get(f"/api/runs/{second}/translation").json == found  # from what was kept


def test_a_cold_start_is_shown_from_its_record_and_its_file(seen: Viewing) -> None:
    run = seen.viewer.runs.all()[0]
    assert seen.get(f"/api/runs/{run.key}/cold-start").json == {"record": None, "stages": [], "result": None}
    (run.folder / "cold_start.json").write_text('{"rounds": []', "utf-8")  # cut off
    assert seen.get(f"/api/runs/{run.key}/cold-start").json["result"] is None
    (run.folder / "cold_start.json").write_text(json.dumps({"rounds": [], "examples": [EVIL]}), "utf-8")
    assert seen.get(f"/api/runs/{run.key}/cold-start").json["result"]["examples"] == [EVIL]


def test_the_metrics_of_all_runs_are_those_of_their_ledgers(seen: Viewing) -> None:
    assert seen.send("GET", "/metrics").status == 401
    assert seen.send("GET", f"/metrics?token={TOKEN}").status == 401
    reply = seen.get("/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {family.name: family for family in text_string_to_metric_families(reply.body.decode())}
    for run in seen.viewer.runs.all():
        own = as_text(read_samples(run.folder, run.name)).splitlines()
        assert set(own) <= set(reply.body.decode().splitlines())
    assert {s.labels["run"] for s in found["syphus_pairs"].samples} == {run.name for run in seen.viewer.runs.all()}


def test_a_run_that_does_not_work_refuses_changes(seen: Viewing) -> None:
    key = keys(seen)[0]
    found = seen.get(f"/api/runs/{key}/control").json
    assert (found["working"], found["settings"]["threads"], found["changes"]) == (False, 4, [])
    reply = seen.post(f"/api/runs/{key}/control", {"threads": 2})
    assert (reply.status, "No process is working on" in reply.json["error"]) == (409, True)
    assert str(seen.viewer.runs.all()[0].folder) not in reply.json["error"]


def test_a_working_run_is_steered_from_the_page(tmp_path: Path) -> None:
    with run_at_work(tmp_path, 120, latency=0.05) as seen:
        address = f"/api/runs/{seen.key}/control"
        assert seen.get(address).json["settings"]["threads"] == 8
        reply = seen.post(address, {"paused": True, "threads": 3, "who": EVIL}).json
        assert reply["applied"] == ["paused", "threads 3 (was 8)"]
        assert reply["settings"]["paused"] is True
        assert seen.get(address).json["changes"][0]["who"].startswith(EVIL)
        for body in ({}, {"model": "x"}, {"threads": 0}, {"rpm": "many"}, {"paused": 1}):
            assert seen.post(address, body).status == 400
        assert seen.post(address, {"threads": 3}, Origin="http://evil.example").status == 403
        assert seen.post(address, {"stop": True}).json["applied"] == ["stopped"]


def test_reports_are_written_as_files_that_stand_alone(seen: Viewing, tmp_path: Path) -> None:
    first, second = (run.folder for run in seen.viewer.runs.all())
    for folder, name, text in (
        (first, "statistics", "Words per answer"),
        (second, "translation", "Deutsch"),
        (second, "cold-start", "without a search"),
    ):
        file = tmp_path / f"{name}.html"
        view(folder, write=file, page=name)
        written = file.read_text("utf-8")
        assert text in written
        assert "<script" not in written
        assert EVIL not in written


def test_the_pages_show_it_in_a_real_browser(seen: Viewing) -> None:
    first, second = keys(seen)
    with signed_in(seen) as page:
        expected = {
            f"/runs/{first}/statistics": "Words per answer",
            f"/runs/{second}/translation": "Deutsch",
            f"/runs/{first}/cold-start": "Cold start",
            f"/runs/{first}/control": "Nothing was changed while this run worked.",
            f"/compare?runs={first},{second}&only=different": "does not have this query",
        }
        for path, text in expected.items():
            page.goto(f"{seen.address.partition('/?')[0]}{path}")
            page.get_by_text(text).first.wait_for(timeout=10_000)
            page.set_viewport_size({"width": 360, "height": 640})
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
            page.set_viewport_size({"width": 1280, "height": 800})
        assert page.locator("img[src=x]").count() == 0
        assert page.get_by_text(EVIL).count()


def test_a_run_is_paused_by_a_key_and_resumed_and_stopped_by_the_mouse(tmp_path: Path) -> None:
    with run_at_work(tmp_path, 500, latency=1.0) as seen, signed_in(seen) as page:
        page.goto(f"{seen.address.partition('/?')[0]}/runs/{seen.key}/control")
        page.get_by_role("button", name="Pause").wait_for()
        page.keyboard.press("p")
        page.get_by_role("button", name="Resume").wait_for()
        assert seen.api("control")["settings"]["paused"]
        page.get_by_label("Threads").fill("3")
        page.get_by_role("button", name="Apply").click()
        page.get_by_role("cell", name="threads 3 (was 8)").wait_for()
        page.get_by_role("button", name="Resume").click()
        page.get_by_role("button", name="Pause").wait_for()
        page.get_by_role("button", name="Stop").click()
        with page.expect_response(lambda response: response.request.method == "POST"):
            page.get_by_role("button", name="Stop the run").click()
