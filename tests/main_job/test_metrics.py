"""Metrics of a run: exactly what its ledger says, whoever reads them and whatever happened to the process."""

from __future__ import annotations

import signal
import sqlite3
import threading
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from harness import run_rows, server
from processes import Watch, command, start
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from syphus.errors import ConfigError
from syphus.runs.metrics import BUCKETS, MAX_SERIES, MetricSample, as_text, read_samples, text_of_runs
from syphus.runs.metrics_output import MetricsTarget, offer_metrics, parse_target
from syphus.runs.reader import RunReader

ROWS = 60
PRICES = {"chat": {"input": 1.0, "output": 2.0}, "simulated-chat": {"input": 1.0, "output": 2.0}}
USAGE = "gen_ai_client_inference_usage"


def families(text: str) -> dict[str, Metric]:
    """What Prometheus' own parser reads."""
    return {family.name: family for family in text_string_to_metric_families(text)}


def total(family: Iterable[object]) -> float:
    return sum(sample.value for sample in family)  # type: ignore[attr-defined]  # the parser's samples have no types


def check_against_ledger(text: str, folder: Path) -> None:
    """All counters are those of the ledger, counted here by other statements than the metrics are."""
    found = families(text)
    with sqlite3.connect(folder / "run.sqlite") as db:
        sums = db.execute(
            "SELECT sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(reasoning_tokens), count(*), "
            "sum(seconds) FROM answer"
        ).fetchone()
        states = dict(db.execute("SELECT state, count(*) FROM query WHERE position IS NOT NULL GROUP BY 1"))
        requests = dict(db.execute("SELECT cause, sum(requests) FROM attempt GROUP BY 1"))
    db.close()
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "reasoning_output_tokens")
    assert [total(found[f"{USAGE}_{name}"].samples) for name in names] == [*sums[:4]]
    assert {s.labels["state"]: s.value for s in found["syphus_queries"].samples if s.value} == states
    outcomes = {s.labels["outcome"]: s.value for s in found["syphus_requests"].samples}
    assert outcomes["answered"] == requests.pop("answered") == sums[4]
    assert total(found["syphus_requests"].samples) == sums[4] + sum(requests.values())
    errors = found.get("syphus_request_errors")
    assert {s.labels["error_type"]: s.value for s in errors.samples} == requests if errors else not requests
    duration = {s.name.rpartition("_")[2]: s.value for s in found["gen_ai_client_inference_duration_seconds"].samples}
    assert duration["count"] == sums[4]
    assert duration["sum"] == pytest.approx(sums[5])
    with RunReader(folder) as run:
        cost = run.status().cost
    assert (total(found["syphus_cost_dollars"].samples) if cost else cost) == cost


def test_counters_equal_the_ledger_after_kill_9_and_resume_and_come_at_a_port_and_in_a_file(tmp_path: Path) -> None:
    folder, file = tmp_path / "output" / "Rows.rows" / "v1", tmp_path / "run.prom"
    with server(latency=0.02, sloppiness=0.2, faults={"server_error": 0.1}) as simulated:
        watch = Watch(simulated)
        arguments = command(tmp_path, simulated.url, ROWS, "--metrics", "0", config={"prices": PRICES})
        with start(arguments, tmp_path) as process:
            seen = threading.Event()
            watch.at("answer", 20, seen.set)
            address = next(line for line in process.stderr or () if line.startswith("Metrics: ")).split()[1]
            assert seen.wait(20)
            with urllib.request.urlopen(address) as reply:
                assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
                live = families(reply.read().decode())
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        assert {s.value for s in live["syphus_working"].samples} == {1.0}
        assert total(live["syphus_limit_threads"].samples) == 8
        killed = as_text(read_samples(folder))
        check_against_ledger(killed, folder)
        ran = run_rows(tmp_path, simulated.url, ROWS, {"prices": PRICES}, metrics=str(file))
    assert ran.exit_code in (0, 1)
    text = file.read_text("utf-8")
    check_against_ledger(text, folder)
    now, before = families(text), families(killed)
    name = f"{USAGE}_input_tokens"
    assert total(now[name].samples) > total(before[name].samples) >= total(live[name].samples) > 0
    assert {s.value for s in now["syphus_sessions"].samples} == {2.0}
    assert sum(len(family.samples) for family in now.values()) <= MAX_SERIES
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_hostile_names_stay_labels_and_many_series_are_left_out() -> None:
    name = 'a"b\\c\nd\ud800 {} é'
    text = as_text([MetricSample("cost", {"gen_ai_response_model": name}, 0.25)])
    (sample,) = families(text)["syphus_cost_dollars"].samples
    assert sample.labels == {"gen_ai_response_model": 'a"b\\c\nd? {} é'}
    assert sample.value == 0.25
    runs = [(str(n), lambda n=n: [MetricSample("pairs", {"run": f"{n}-{i}"}, i) for i in range(90)]) for n in range(9)]
    assert len(families(text_of_runs(runs))["syphus_pairs"].samples) == 180


def test_a_run_without_answers_has_metrics_too(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 4, max_requests=0)
    found = families(as_text(read_samples(ran.folder, "x")))
    assert total(found["syphus_requests"].samples if "syphus_requests" in found else ()) == 0
    assert {s.labels["run"] for s in found["syphus_queries"].samples} == {"x"}
    buckets = [s for s in found["gen_ai_client_inference_duration_seconds"].samples if s.name.endswith("_bucket")]
    assert [s.labels["le"] for s in buckets] == [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("9464", MetricsTarget("127.0.0.1", 9464)),
        ("0.0.0.0:9464", MetricsTarget("0.0.0.0", 9464)),
        ("[::1]:9464", MetricsTarget("::1", 9464)),
        ("OTLP", MetricsTarget()),
    ],
)
def test_where_metrics_go(text: str, target: MetricsTarget) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("70000", "a port is at most 65535"),
        ("run.txt", "must be a port, HOST:PORT, otlp, or a file that ends with .prom"),
        ("/nowhere/run.prom", "/nowhere is not a folder"),
    ],
)
def test_a_target_that_can_not_be_is_one_line(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_target(text)


def test_a_port_that_is_taken_stops_the_run_before_anything_is_sent(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 4, metrics=str(simulated.url.rpartition(":")[2].partition("/")[0]))
        assert simulated.stats.requests == 0
    assert ran.exit_code == 2
    assert "can't be used: Address already in use" in str(ran.error)


def test_opentelemetry_gets_the_same_counters_and_spans_without_content(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from syphus.runs.otel import observed

    reader, spans = InMemoryMetricReader(), InMemorySpanExporter()
    folder = tmp_path / "output" / "Rows.rows" / "v1"
    with (
        server(faults={"server_error": 0.1}) as simulated,
        observed(lambda: read_samples(folder), reader, SimpleSpanProcessor(spans), 1.0),
    ):
        run_rows(tmp_path, simulated.url, 20)
        data = reader.get_metrics_data()
    assert data is not None
    (metrics,) = [scope.metrics for resource in data.resource_metrics for scope in resource.scope_metrics]
    points: dict[str, list[Any]] = {metric.name: list(metric.data.data_points) for metric in metrics}
    with RunReader(folder) as run:
        spending = run.status().report.spending
    tokens = points["gen_ai.client.inference.usage.output_tokens"]
    assert sum(point.value for point in tokens) == spending.usage.completion_tokens
    assert tokens[0].attributes["gen_ai.operation.name"] == "chat"
    found = spans.get_finished_spans()
    assert len(found) == spending.requests
    answered = [span for span in found if span.attributes and "gen_ai.usage.output_tokens" in span.attributes]
    assert sum(span.attributes["gen_ai.usage.output_tokens"] for span in answered) == spending.usage.completion_tokens  # type: ignore[index,misc]  # it has them
    assert not any("car" in str(span.attributes) for span in found)


def test_a_run_sends_no_spans_of_another_run_in_its_process(tmp_path: Path) -> None:
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from syphus.runs.otel import observed

    spans = InMemorySpanExporter()
    observes, other_is_done = threading.Event(), threading.Event()

    def observed_run(url: str) -> None:
        with observed(list, InMemoryMetricReader(), SimpleSpanProcessor(spans), 1.0):
            observes.set()
            other_is_done.wait()
            run_rows(tmp_path / "observed", url, 3)

    for name in ("observed", "other"):
        (tmp_path / name).mkdir()
    with server() as simulated:
        thread = threading.Thread(target=observed_run, args=(simulated.url,))
        thread.start()
        observes.wait()
        run_rows(tmp_path / "other", simulated.url, 5)
        other_is_done.set()
        thread.join()
    assert len(spans.get_finished_spans()) == 3


def test_metrics_that_nobody_asks_for_load_nothing(tmp_path: Path) -> None:
    with offer_metrics("", tmp_path, print):
        pass
    with pytest.raises(ConfigError, match="must be a port"), offer_metrics("x", tmp_path, print):
        pass
