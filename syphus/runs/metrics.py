"""The numbers of a run as metrics: counters that come from its ledger, so that a restart or `kill -9` resets nothing.

The names are those of OpenTelemetry's conventions for generative AI where there is one, and `syphus_...` otherwise. All
stand in one table, `NAMES`, since the conventions are in development and may change. No metric holds anything of
annotations or answers. The conventions are v0.1.0, looked up on 2026-12-01: docs/gen-ai/client-inference.md of
https://github.com/open-telemetry/semantic-conventions-genai.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from syphus.config.pricing import Prices
from syphus.errors import SyphusError
from syphus.formats.report import Report, make_report
from syphus.formats.translation_report import TRANSLATE_STAGE
from syphus.ledger.controls import read_controls
from syphus.ledger.records import ANSWERED, LATENCY_STEPS
from syphus.ledger.store import Store, is_working, open_for_reading
from syphus.ledger.summary import EndpointUse, has_parts
from syphus.runs.run_settings import GENERATE, stored_prices
from syphus.types import State
from syphus.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_SERIES = 200  #: of one reply, whatever the number of runs
_MOST_MODELS, _MOST_ENDPOINTS, _MOST_CAUSES = 6, 4, 12  # that have series of their own; the rest is "other"
_OTHER = "other"
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
#: Seconds; those that the conventions ask for.
BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)

Labels = Mapping[str, str]


class Metric(NamedTuple):
    """What a metric is: its name in OpenTelemetry, its unit there, its type, and what it counts."""

    name: str
    unit: str
    kind: str  #: counter, gauge or histogram
    help: str

    @property
    def prometheus(self) -> str:
        """Its name in Prometheus, as OpenTelemetry's compatibility rules make it."""
        name = self.name.replace(".", "_")
        unit = {"s": "_seconds", "USD": "_dollars"}.get(self.unit, "")
        return f"{name}{unit}{'_total' if self.kind == 'counter' else ''}"


_USAGE = "gen_ai.client.inference.usage"
NAMES = {
    "input": Metric(f"{_USAGE}.input_tokens", "{token}", "counter", "Prompt tokens of all answers."),
    "output": Metric(f"{_USAGE}.output_tokens", "{token}", "counter", "Tokens of all answers."),
    "cached": Metric(f"{_USAGE}.cache_read.input_tokens", "{token}", "counter", "Prompt tokens read from a cache."),
    "cache_write": Metric(
        f"{_USAGE}.cache_write.input_tokens", "{token}", "counter", "Prompt tokens written into a cache."
    ),
    "reasoning": Metric(f"{_USAGE}.reasoning.output_tokens", "{token}", "counter", "Tokens of answers for reasoning."),
    "duration": Metric("gen_ai.client.inference.duration", "s", "histogram", "How long answered requests took."),
    "requests": Metric("syphus.requests", "{request}", "counter", "Requests by their result."),
    "errors": Metric("syphus.request.errors", "{request}", "counter", "Requests without an answer, by cause."),
    "cost": Metric("syphus.cost", "USD", "counter", "Cost of all answers; missing where a price is not known."),
    "maybe_billed": Metric(
        "syphus.cost.maybe_billed", "USD", "counter", "What requests may have cost beyond what answers say."
    ),
    "reserved": Metric("syphus.cost.reserved", "USD", "gauge", "Reserved for requests in flight, at most."),
    "max_cost": Metric("syphus.limit.cost", "USD", "gauge", "The budget in dollars, if there is one."),
    "max_requests": Metric("syphus.limit.requests", "{request}", "gauge", "The budget in requests, if there is one."),
    "threads": Metric("syphus.limit.threads", "{request}", "gauge", "Maximum concurrent requests."),
    "rpm": Metric("syphus.limit.requests_per_minute", "{request}", "gauge", "That limit of the user, if there is one."),
    "tpm": Metric("syphus.limit.tokens_per_minute", "{token}", "gauge", "That limit of the user, if there is one."),
    "paused": Metric("syphus.paused", "1", "gauge", "Whether somebody has paused the run."),
    "working": Metric("syphus.working", "1", "gauge", "Whether a process works on the run."),
    "queries": Metric("syphus.queries", "{query}", "gauge", "Queries by state."),
    "pairs": Metric("syphus.pairs", "{pair}", "gauge", "Accepted pairs."),
    "sessions": Metric("syphus.sessions", "{session}", "counter", "Starts of a stage."),
    "last_answer": Metric("syphus.last_answer.timestamp", "s", "gauge", "When the newest answer came."),
    "info": Metric("syphus.run.info", "1", "gauge", "The run: version, stage and simulated or not."),
}


class MetricSample(NamedTuple):
    """One series of a metric and its value; `suffix` is that of a histogram's parts."""

    metric: str  #: its key in `NAMES`
    labels: Labels
    value: float
    suffix: str = ""


def read_samples(folder: Path, run: str = "") -> list[MetricSample]:
    """Return the numbers of the run in a folder, as they are now; `run` is a label. Raises `RunError`."""
    store = open_for_reading(folder)
    try:
        with store.snapshot():
            return samples_of(store, is_working(folder), run)
    finally:
        store.close()


def samples_of(store: Store, working: bool, run: str = "") -> list[MetricSample]:
    """Return the numbers of a run from its open ledger."""
    prices = stored_prices(store)
    report = make_report(store, GENERATE, prices, brief=True)
    if not report.counts.total and has_parts(store, TRANSLATE_STAGE):
        report = make_report(store, TRANSLATE_STAGE, prices, brief=True)
    newest = store.read_value("SELECT max(newest) FROM pace WHERE answers > 0")
    own: Labels = {"run": run} if run else {}
    found = [
        *_of_queries(report),
        *_of_money(store, report, prices, working),
        *_of_tokens(report),
        *_of_requests(report),
        *_of_durations(report),
        *([MetricSample("last_answer", {}, newest)] if newest is not None else []),
    ]
    return [each._replace(labels={**own, **each.labels}) for each in found]


def _of_queries(report: Report) -> Iterator[MetricSample]:
    counts = report.counts
    yield from (MetricSample("queries", {"state": state.value}, counts.states[state]) for state in State)
    yield MetricSample("pairs", {}, counts.pairs)
    labels = {"version": __version__, "stage": report.stage, "simulated": str(report.simulated).lower()}
    yield MetricSample("info", labels, 1)


def _of_money(store: Store, report: Report, prices: Prices, working: bool) -> Iterator[MetricSample]:
    dollars: dict[str, float] = {}
    unpriced = set()
    names = _names((use.model, use.answers) for use in report.spending.models)
    for use in report.spending.models:
        cost = prices.cost(use.bills)
        if cost is None:
            unpriced.add(names[use.model])
        else:
            dollars[names[use.model]] = dollars.get(names[use.model], 0.0) + cost
    for model, cost in dollars.items():
        if model not in unpriced:
            yield MetricSample("cost", {"gen_ai_response_model": model}, cost)
    reserved = report.unfinished_cost[0]
    yield MetricSample("maybe_billed", {}, report.spending.unknown_cost + (0.0 if working else reserved))
    yield MetricSample("reserved", {}, reserved if working else 0.0)
    yield MetricSample("working", {}, int(working))
    yield MetricSample("sessions", {}, store.read_value("SELECT count(*) FROM session"))
    controls = read_controls(store)
    for name, value in controls.in_force.as_json().items() if controls is not None else ():
        if value is not None:
            yield MetricSample(name, {}, float(value))


def _of_tokens(report: Report) -> Iterator[MetricSample]:
    counted: dict[tuple[str, str], Counter[str]] = {}
    is_azure = any(use.name.partition(":")[0].endswith(_AZURE) for use, _ in report.endpoints)
    provider = "azure.ai.openai" if is_azure else "openai"  # for compatible servers, too: it is their API
    names = _names((use.model, use.answers) for use in report.spending.models)
    for use in report.spending.models:
        usage = use.usage
        operation = "embeddings" if use.stage.split()[0] == "embed" else "chat"
        counted.setdefault((operation, names[use.model]), Counter()).update(
            input=usage.prompt_tokens,
            output=usage.completion_tokens,
            cached=usage.cached_tokens,
            cache_write=usage.cache_write_tokens,
            reasoning=usage.reasoning_tokens,
        )
    for (operation, model), sums in counted.items():
        labels = {
            "gen_ai_operation_name": operation,
            "gen_ai_provider_name": provider,
            "gen_ai_response_model": model,
        }
        yield from (MetricSample(name, labels, count) for name, count in sums.items())


def _of_requests(report: Report) -> Iterator[MetricSample]:
    uses = [use for use, _ in report.endpoints]
    names = _names(((use.name, sum(use.requests.values())) for use in uses), _MOST_ENDPOINTS)
    requests: Counter[tuple[str, str]] = Counter()
    for use in uses:
        for kind, count in use.requests.items():
            requests[names[use.name], kind.value] += count
    for (endpoint, outcome), count in requests.items():
        yield MetricSample("requests", {"server_address": endpoint, "outcome": outcome}, count)
    causes = {cause: count for cause, count in report.spending.causes.items() if cause != ANSWERED}
    errors: Counter[str] = Counter()
    for cause, name in _names(causes.items(), _MOST_CAUSES).items():
        errors[name] += causes[cause]
    yield from (MetricSample("errors", {"error_type": cause}, count) for cause, count in errors.items())


def _of_durations(report: Report) -> Iterator[MetricSample]:
    """Yield the histogram of all endpoints together: an answer is counted at the middle of its step of 9%."""
    uses: list[EndpointUse] = [use for use, _ in report.endpoints]
    steps: Counter[int] = Counter()
    for use in uses:
        steps.update(dict(use.steps))
    total = sum(steps.values())
    labels = {"gen_ai_operation_name": "chat"}
    for bound in BUCKETS:
        limit = LATENCY_STEPS * math.log2(bound)
        below = sum(count for step, count in steps.items() if step <= limit)
        yield MetricSample("duration", {**labels, "le": f"{bound:g}"}, below, "_bucket")
    yield MetricSample("duration", {**labels, "le": "+Inf"}, total, "_bucket")
    yield MetricSample("duration", labels, sum(use.seconds for use in uses), "_sum")
    yield MetricSample("duration", labels, total, "_count")


def _names(counted: Iterable[tuple[str, int]], most: int = _MOST_MODELS) -> dict[str, str]:
    """Return a name for each of many: its own for those that count most, "other" for the rest."""
    counts: Counter[str] = Counter()
    for name, count in counted:
        counts[name] += count
    return {name: name if rank < most else _OTHER for rank, (name, _) in enumerate(counts.most_common())}


def as_text(samples: Iterable[MetricSample]) -> str:
    """Return samples in Prometheus' text format 0.0.4."""
    by_metric: dict[str, list[MetricSample]] = {}
    for each in samples:
        by_metric.setdefault(each.metric, []).append(each)
    lines = []
    for key, metric in NAMES.items():
        if found := by_metric.get(key):
            lines += [f"# HELP {metric.prometheus} {metric.help}", f"# TYPE {metric.prometheus} {metric.kind}"]
            lines += [f"{metric.prometheus}{each.suffix}{_labels(each.labels)} {_value(each.value)}" for each in found]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _escaped(value: str) -> str:
    """Return a label's value as the format writes it; what no text file can hold is replaced."""
    value = value.encode("utf-8", "replace").decode()
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _value(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))


def text_of_runs(runs: Iterable[tuple[str, Callable[[], list[MetricSample]]]]) -> str:
    """Return the metrics of several runs, those first in the list first, as far as `MAX_SERIES` allows.

    A run that can't be read is left out.
    """
    found: list[MetricSample] = []
    for _, read in runs:
        try:
            samples = read()
        except (SyphusError, OSError):
            continue
        if found and len(found) + len(samples) > MAX_SERIES:
            break
        found += samples
    return as_text(found)
