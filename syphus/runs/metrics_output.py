"""Gives the numbers of a working run to Prometheus, a file or OpenTelemetry while its command works (`--metrics`).

All of it happens in a thread of its own that reads the ledger, so no request waits for it. A reader that is slow, or a
disk that is full, disturbs nothing but the metrics.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from syphus.errors import ConfigError, SyphusError
from syphus.runs.metrics import CONTENT_TYPE, MetricSample, as_text, read_samples

FILE_SECONDS = 15.0  #: between two versions of a metrics file; Prometheus asks about as often
OTLP = "otlp"  #: `--metrics otlp`
_MAX_PORT = 65_535
_LOCAL = "127.0.0.1"


class MetricsTarget(NamedTuple):
    """Where metrics go: to whoever asks at a port, into a file, or to OpenTelemetry (neither)."""

    host: str = ""
    port: int = 0
    file: Path | None = None


def parse_target(text: str) -> MetricsTarget:
    """Return what `--metrics` names: a port, HOST:PORT, the word otlp or a file. Raises `ConfigError`."""
    if text.lower() == OTLP:
        return MetricsTarget()
    host, colon, port = text.rpartition(":")
    if port.isascii() and port.isdecimal() and os.sep not in text:
        if int(port) > _MAX_PORT:
            raise ConfigError(f"--metrics {text}: a port is at most {_MAX_PORT}.")
        return MetricsTarget(host.strip("[]") if colon else _LOCAL, int(port))
    file = Path(text)
    if file.suffix != ".prom":
        raise ConfigError(f"--metrics {text}: must be a port, HOST:PORT, otlp, or a file that ends with .prom.")
    if not file.parent.is_dir():
        raise ConfigError(f"--metrics {text}: {file.parent} is not a folder.")
    return MetricsTarget(file=file)


@contextlib.contextmanager
def offer_metrics(text: str, folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Offer the metrics of the run in `folder` while the block works; `text` is what `--metrics` names, "" for none.

    Raises `ConfigError` for a port or a file that can't be used, and if OpenTelemetry is not installed.
    """
    if not text:
        yield
        return
    target = parse_target(text)
    read = partial(read_samples, folder, f"{folder.parent.name}/{folder.name}")
    if target.file is not None:
        with _written(target.file, read, say):
            yield
    elif target.host:
        with _served(target, read, say):
            yield
    else:
        from syphus.runs.otel import exported

        with exported(read, say):
            yield


@contextlib.contextmanager
def _written(file: Path, read: Callable[[], list[MetricSample]], say: Callable[[str], None]) -> Iterator[None]:
    """Write the metrics into a file every few seconds, and at the end; whoever reads it finds it whole."""
    ended = threading.Event()
    failed = False

    def write() -> None:
        nonlocal failed
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            beside.write_text(as_text(read()), "utf-8")
            beside.replace(file)
            failed = False
        except (SyphusError, OSError) as error:
            if not failed:  # said once
                say(f"--metrics {file} can't be written: {error}.")
            failed = True
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def work() -> None:
        write()
        while not ended.wait(FILE_SECONDS):
            write()

    thread = threading.Thread(target=work, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        write()


@contextlib.contextmanager
def _served(
    target: MetricsTarget, read: Callable[[], list[MetricSample]], say: Callable[[str], None]
) -> Iterator[None]:
    """Answer `GET /metrics` at a port."""
    try:
        server = ThreadingHTTPServer((target.host, target.port), _handler(read))
    except OSError as error:
        raise ConfigError(f"--metrics {target.host}:{target.port} can't be used: {error.strerror or error}.") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    say(f"Metrics: http://{target.host}:{server.server_address[1]}/metrics")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(read: Callable[[], list[MetricSample]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds that a client may be silent

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self._reply(404, "The metrics are at /metrics.\n", "text/plain; charset=utf-8")
                return
            try:
                self._reply(200, as_text(read()), CONTENT_TYPE)
            except (SyphusError, OSError) as error:
                self._reply(503, f"{error}\n", "text/plain; charset=utf-8")

        def _reply(self, status: int, text: str, kind: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the terminal is for the run."""

    return Handler
