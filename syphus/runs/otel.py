"""Sends the numbers of a run to OpenTelemetry by OTLP (`--metrics otlp`), with the extra `syphus[otel]`.

Where to is what the usual variables say, such as OTEL_EXPORTER_OTLP_ENDPOINT. Metrics come from the ledger and have the
names of `syphus.runs.metrics`. One request in a hundred becomes a span, without anything of prompt or answer, unless
OTEL_TRACES_SAMPLER_ARG names another share.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from syphus.errors import ConfigError, SyphusError
from syphus.pipeline.sender import ON_REQUEST, SendResult
from syphus.runs.metrics import NAMES, MetricSample
from syphus.version import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation

SHARE = 0.01  #: of the requests that become spans
FRESH_SECONDS = 1.0  #: for which numbers that were read serve all instruments
SERVICE = "syphus"
Read = Callable[[], list[MetricSample]]


@contextlib.contextmanager
def exported(read: Read, say: Callable[[str], None]) -> Iterator[None]:
    """Send metrics and sampled spans while the block works. Raises `ConfigError` if the packages are missing."""
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(f'--metrics otlp needs OpenTelemetry ({error.name}): pip install "syphus[otel]"') from error
    with observed(read, PeriodicExportingMetricReader(OTLPMetricExporter()), BatchSpanProcessor(OTLPSpanExporter())):
        say("Metrics and sampled spans are sent by OTLP.")
        yield


@contextlib.contextmanager
def observed(read: Read, reader: Any, processor: Any, share: float | None = None) -> Iterator[None]:  # of the SDK
    """Give metrics to a metric reader, and spans of a `share` of the requests to a span processor, in the block."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    resource = Resource.create({"service.name": SERVICE, "service.version": __version__})
    meters = MeterProvider([reader], resource=resource)
    source = _Source(read)
    _make_instruments(meters.get_meter(SERVICE, __version__), source)
    tracers = TracerProvider(sampler=TraceIdRatioBased(_share() if share is None else share), resource=resource)
    tracers.add_span_processor(processor)
    before = ON_REQUEST.set(partial(_trace, tracers.get_tracer(SERVICE, __version__)))
    try:
        yield
    finally:
        ON_REQUEST.reset(before)
        source.forget()
        with contextlib.suppress(Exception):  # a collector that is away must not fail a run that has ended
            meters.shutdown(timeout_millis=5_000)
        with contextlib.suppress(Exception):
            tracers.shutdown()


def _share() -> float:
    try:
        return min(1.0, max(0.0, float(os.environ.get("OTEL_TRACES_SAMPLER_ARG", SHARE))))
    except ValueError:
        return SHARE


class _Source:
    """The newest numbers, read once for all instruments."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._at = float("-inf")
        self._samples: list[MetricSample] = []

    def forget(self) -> None:
        """Read again next time."""
        self._at = float("-inf")

    def samples(self, key: str) -> list[MetricSample]:
        """Return the samples of one metric."""
        if time.monotonic() - self._at > FRESH_SECONDS:
            with contextlib.suppress(SyphusError, OSError):
                self._samples = self._read()
            self._at = time.monotonic()
        return [each for each in self._samples if each.metric == key]


def _make_instruments(meter: Any, source: _Source) -> None:  # a meter of the API
    from opentelemetry.metrics import Observation

    def observe(key: str, options: CallbackOptions) -> Iterable[Observation]:
        del options
        return [Observation(each.value, _attributes(each)) for each in source.samples(key)]

    for key, metric in NAMES.items():
        if metric.kind == "histogram":  # the SDK makes them only from single measurements; spans have the durations
            continue
        make = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
        make(metric.name, [partial(observe, key)], unit=metric.unit, description=metric.help)


#: Labels of Prometheus, and the attributes of OpenTelemetry that they stand for.
_ATTRIBUTES = {
    "gen_ai_operation_name": "gen_ai.operation.name",
    "gen_ai_provider_name": "gen_ai.provider.name",
    "gen_ai_response_model": "gen_ai.response.model",
    "server_address": "server.address",
    "error_type": "error.type",
}


def _attributes(sample: MetricSample) -> dict[str, str]:
    return {_ATTRIBUTES.get(name, f"syphus.{name}"): value for name, value in sample.labels.items()}


def _trace(tracer: Any, result: SendResult) -> None:  # a tracer of the API
    """Make a span of a request that has ended, if it is sampled."""
    from opentelemetry.trace import SpanKind, Status, StatusCode

    completion = result.verdict.completion
    end = time.time_ns()
    start = end - int(result.seconds * 1e9)
    attributes: dict[str, Any] = {"gen_ai.operation.name": "chat", "server.address": result.host}
    span = tracer.start_span("chat", kind=SpanKind.CLIENT, start_time=start, attributes=attributes)
    if span.is_recording():
        if completion is None:
            span.set_attribute("error.type", result.verdict.cause)
            span.set_status(Status(StatusCode.ERROR))
        else:
            usage = completion.usage
            span.set_attributes({
                "gen_ai.response.model": completion.model,
                "gen_ai.response.finish_reasons": [completion.finish_reason],
                "gen_ai.usage.input_tokens": usage.prompt_tokens,
                "gen_ai.usage.output_tokens": usage.completion_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
                "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens,
                "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
            })  # fmt: skip
    span.end(end)
