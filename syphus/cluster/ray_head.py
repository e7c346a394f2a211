"""The head of a Ray cluster: whether it answers, and calls of Ray that need it.

Ray lets such a call wait until the head answers again, and ends the whole process if that takes a minute, the ledger's
and the user's notebook with it. So a call has a thread of its own here, which nobody needs to wait for, and ends with
an error while Ray still waits.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from syphus.errors import NodesLostError

T = TypeVar("T")

_RAY_SETTING = "RAY_gcs_rpc_server_reconnect_timeout_s"  # Ray's own patience, on each node
_RAY_SECONDS = 60.0  # its default
_NEVER = "3600"  # seconds; a run stops long before
_LISTEN_SECONDS = 5.0  # that the head may take to accept a connection
_LOOK_SECONDS = 2.0  # between two looks at a head that a call waits for


class RayHead:
    """The head at `address`, as HOST:PORT. `patience` are seconds without it after which it counts as lost."""

    def __init__(self, address: str, patience: float) -> None:
        self.address = address
        self._patience = patience
        self._lost = ""
        self._host, _, port = address.rpartition(":")
        self._port = int(port)

    def ask(self, call: Callable[[], T]) -> T:
        """Return the result of a call of Ray, or raise its error. Blocks.

        Raises `NodesLostError` if the head has not answered for a while, and from then on at once.
        """
        if self._lost:
            raise NodesLostError(self._lost)
        result = in_own_thread(call)
        silent_since: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                return result.result(_LOOK_SECONDS)
            if result.done():  # with a TimeoutError of its own, or just now
                return result.result()
            now = time.monotonic()
            problem = listening_problem(self._host, self._port)
            if not problem:
                silent_since = None
            elif silent_since is None:
                silent_since = now
            elif now - silent_since > self._patience:
                seconds = f"{self._patience:g} s"
                self._lost = f"The head of the Ray cluster at {self.address} has not answered for {seconds}: {problem}"
                raise NodesLostError(self._lost)


def in_own_thread(call: Callable[[], T]) -> Future[T]:
    """Start a call in a thread that the process does not wait for when it ends, and return its future result."""
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # so it can't be cancelled: a thread goes on anyway

    def work() -> None:
        try:
            result.set_result(call())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            result.set_exception(error)

    threading.Thread(target=work, name="ray", daemon=True).start()
    return result


def listening_problem(host: str, port: int) -> str:
    """Return why nothing answers as the head of a cluster does, or "". Blocks for some seconds at most."""
    try:
        with socket.create_connection((host.strip("[]"), port), _LISTEN_SECONDS) as connection:
            return "" if _speaks_http2(connection) else "something else listens"
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__


def _speaks_http2(connection: socket.socket) -> bool:
    """Return whether a server begins like one of gRPC, which the head of a cluster is. With TLS, Ray has to find out.

    The client's preface and an empty SETTINGS frame are answered by a SETTINGS frame, of type 4 (RFC 9113, 3.4).
    """
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return True
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    with connection.makefile("rb") as answer:
        start = answer.read(4)
    return len(start) == 4 and start[3] == 4


@contextlib.contextmanager
def longer_patience() -> Iterator[float]:
    """Connect to a cluster inside this block: Ray does not end this process then when the head is gone.

    Yields the seconds that the head may be gone: half of those after which the nodes end, if their setting is that of
    this process. So they can still hand over the replies to requests that they have sent.
    """
    before = os.environ.get(_RAY_SETTING)
    os.environ[_RAY_SETTING] = _NEVER
    try:
        yield 0.5 * (float(before) if before and before.isdecimal() else _RAY_SECONDS)
    finally:
        del os.environ[_RAY_SETTING]
        if before is not None:
            os.environ[_RAY_SETTING] = before
