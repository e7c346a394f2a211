"""HTTP/1.1 for one kind of exchange: a JSON body goes out, the whole reply comes back.

aiohttp takes 0.17 to 0.25 ms of CPU for a request, more than all that Syphus does with the answer. What is needed here
takes 0.04 ms on asyncio's own transports. `Transport` uses aiohttp for the rest: proxies, and bodies of megabytes.

httptools reads the replies with llhttp, as aiohttp does. Bodies are handed on as they are encoded (`reply_body.py`).
Whatever breaks the rules ends as a `NoReplyError`, with the same words as aiohttp's errors.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from aiohappyeyeballs import AddrInfoType, start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from multidict import CIMultiDict
from yarl import URL

MAX_REPLY_BYTES = 32 * 2**20  #: a chat completion has a few kilobytes, and an endless body must end somewhere
KEEPALIVE = 4.0  #: seconds that an idle connection is kept open; uvicorn (vLLM) and Node close theirs after 5
MAX_HEAD_BYTES = 2**18  #: of the status line and the headers of a reply
_TICKS = 20  # of a time limit that counts only the time awake
_EYEBALLS_DELAY = 0.25  # seconds until another address of the host is tried beside the first, as in aiohttp

T = TypeVar("T")

#: Called whenever bytes of the reply to the current request arrive.
ON_BYTES: ContextVar[Callable[[], None] | None] = ContextVar("ON_BYTES", default=None)


class Reply(NamedTuple):
    """A reply of any status. `headers` is case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReplyKind(StrEnum):
    """Why no reply came. The ledger counts requests by these texts."""

    UNKNOWN_HOST = "unknown host"
    REFUSED = "connection refused"
    TLS = "TLS"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    RESET = "reset"
    CUT_BODY = "cut body"
    TOO_LARGE = "too large"
    NOT_HTTP = "not HTTP"
    UNREADABLE = "unreadable body"
    INTERRUPTED = "interrupted"  #: by this process, which was asked to stop
    GIVEN_UP = "given up"  #: by this process: it took much longer than others, and is sent again
    NODE_LOST = "node lost"  #: the node of a cluster that had sent it, with the reply if one had come
    SUPERSEDED = "not waited for"  #: by this process: a second request for the same row was answered first

    @property
    def is_likely_misconfiguration(self) -> bool:
        """Whether wrong settings are a likelier reason than a transient fault if no reply has ever come."""
        return self in (NoReplyKind.UNKNOWN_HOST, NoReplyKind.TLS, NoReplyKind.PROXY)


class NoReplyError(Exception):
    """No complete reply came.

    `sent` says that the request had been sent, so that an answer may have been produced and billed.
    """

    def __init__(self, kind: NoReplyKind, message: str = "", sent: bool = False) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind
        self.message = message
        self.sent = sent


def reset() -> NoReplyError:
    """Return the error for a connection that ended before a reply began."""
    return NoReplyError(NoReplyKind.RESET, "the connection closed without an answer", sent=True)


def cut_body() -> NoReplyError:
    """Return the error for a reply that began and did not end."""
    return NoReplyError(NoReplyKind.CUT_BODY, "the connection closed before the answer was complete", sent=True)


def not_http() -> NoReplyError:
    """Return the error for bytes that are no HTTP."""
    return NoReplyError(NoReplyKind.NOT_HTTP, "the reply is not HTTP; check scheme and port", sent=True)


def too_large() -> NoReplyError:
    """Return the error for a reply that is larger than any answer."""
    return NoReplyError(NoReplyKind.TOO_LARGE, f"more than {MAX_REPLY_BYTES >> 20} MiB", sent=True)


async def wait_awake(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Return the result of `work`. Raises `TimeoutError`, and cancels it, once this process was awake for `seconds`.

    The limit is a number of ticks: a process that was stopped, or whose machine slept, gets only one when it continues.
    """
    task = asyncio.ensure_future(work)
    try:
        for _ in range(_TICKS):
            await asyncio.wait((task,), timeout=seconds / _TICKS)
            if task.done():
                return await task
        raise TimeoutError(f"nothing within {seconds:g} s")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class ReplyParser:
    """Reads one reply from the bytes of a connection, with llhttp, and with the leniencies that aiohttp gives it.

    Methods that return a reply raise `NoReplyError` for what is not a reply. The others are called by llhttp.
    """

    def __init__(self) -> None:
        self._http: HttpResponseParser | None = HttpResponseParser(self)
        self._http.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._headers: list[tuple[bytes, bytes]] = []
        self._status = 0  # 0 until the head is complete
        self._body: list[bytes] = []
        self._received = 0  # bytes of the head, then of the body
        self._is_complete = False
        self.reusable = False  #: whether the connection can take another request after this reply

    def feed(self, data: bytes) -> Reply | None:
        """Take more bytes; return the reply once it is complete."""
        http = self._http
        assert http is not None
        try:
            http.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._is_complete:
                raise not_http() from None
            self.reusable = False  # there is more, which is a reply to nobody
        if self._is_complete:
            self._http = None  # it has a reference to this object
            return self._reply()
        if self._status:
            if self._received > MAX_REPLY_BYTES:
                raise too_large()
            return None
        self._received += len(data)
        if self._received > MAX_HEAD_BYTES:
            raise not_http()
        return None

    def end(self, in_order: bool) -> Reply:
        """Return the reply of a connection that has ended, if the reply ends there; `in_order` is False for a reset."""
        if not self._status:
            raise reset()
        self._http = None
        reply = self._reply()
        encodings = reply.headers.get("Transfer-Encoding", "").lower()
        has_end = "Content-Length" in reply.headers or encodings.rpartition(",")[2].strip() == "chunked"
        if has_end or not in_order:
            raise cut_body()
        return reply

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. What follows the body is not a header, though llhttp reads it as one."""
        if not self._status:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the status, unless the head is of an interim reply, such as 100 Continue."""
        assert self._http is not None
        if self._is_complete:
            return
        status = self._http.get_status_code()
        if status < 200:
            self._headers.clear()
        else:
            self._status, self._received = status, 0

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        if not self._is_complete:
            self._body.append(data)
            self._received += len(data)

    def on_message_begin(self) -> None:
        """Note what comes after the reply."""
        if self._is_complete:
            self.reusable = False

    def on_message_complete(self) -> None:
        """Note the end, and whether the connection stays open after it."""
        if self._status and not self._is_complete:
            assert self._http is not None
            self._is_complete, self.reusable = True, self._http.should_keep_alive()

    def _reply(self) -> Reply:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        headers = CIMultiDict(
            [
                (name.decode("latin-1"), value.strip().decode("utf-8", "surrogateescape"))
                for name, value in self._headers
            ]
        )
        return Reply(self._status, headers, body)


class _Connection(asyncio.Protocol):
    """One connection: sends a request, waits for its reply."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = ReplyParser()
        self._waiting: asyncio.Future[Reply] | None = None
        self._on_bytes: Callable[[], None] | None = None
        self._readable: Callable[[int], list[tuple[int, int]]] | None = None
        self.idle_since = 0.0

    async def exchange(self, request: bytes) -> Reply:
        """Send a request and return its reply. A connection that can't be used again is closed."""
        assert self._transport is not None
        self._parser = ReplyParser()
        self._on_bytes = ON_BYTES.get()
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            reply = await self._waiting
        except BaseException:  # cancelled, or no reply: the rest of it could be taken for the next one
            self.close()
            raise
        finally:
            self._waiting = None
        if not self._parser.reusable:
            self.close()
        return reply

    @property
    def is_open(self) -> bool:
        """Whether the connection has not ended, as far as the event loop has seen."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_usable(self) -> bool:
        """Whether an idle connection can take a request: one with something to read has ended, or is confused.

        The event loop may not have seen that yet, so this asks the system, which takes a microsecond.
        """
        return self.is_open and not (self._readable is not None and self._readable(0))

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        found = transport.get_extra_info("socket")
        if found is not None and hasattr(select, "poll"):  # Windows has none
            poll = select.poll()
            poll.register(found.fileno(), select.POLLIN)
            self._readable = poll.poll

    def data_received(self, data: bytes) -> None:
        """Read on; bytes that nobody waits for end the connection."""
        if self._waiting is None or self._waiting.done():
            self.close()
            return
        if self._on_bytes is not None:
            self._on_bytes()
        try:
            reply = self._parser.feed(data)
        except NoReplyError as error:
            self._waiting.set_exception(error)
            return
        if reply is not None:
            self._waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange."""
        self._transport = None
        if self._waiting is None or self._waiting.done():
            return
        try:
            self._waiting.set_result(self._parser.end(in_order=exc is None))
        except NoReplyError as error:
            self._waiting.set_exception(error)


class ConnectionPool:
    """Connections to one server. Create it inside a running event loop and `close` it there.

    `tls` is the context for https, or None. Opening a connection may take `connect_timeout` seconds.
    """

    def __init__(self, tls: ssl.SSLContext | None, connect_timeout: float) -> None:
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._idle: list[_Connection] = []  # the one that was used last is at the end
        self._loop = asyncio.get_running_loop()
        self._sweep: asyncio.TimerHandle | None = None
        self._head: tuple[URL, Mapping[str, str], bytes] | None = None

    async def request(self, url: URL, headers: Mapping[str, str], body: bytes | None) -> Reply:
        """Post `body`, or get `url` if it is None; return the reply, whatever its status.

        Raises `NoReplyError` if none came, and `OSError` or `UnicodeError` if there is no connection.
        """
        if body is None:
            return await self._exchange(url, b"GET %b\r\n" % _request_head(url, headers))
        head = self._head
        if head is None or head[0] is not url or head[1] is not headers:
            head = self._head = (url, headers, _request_head(url, headers))
        return await self._exchange(url, b"POST %bContent-Length: %d\r\n\r\n%b" % (head[2], len(body), body))

    async def _exchange(self, url: URL, request: bytes) -> Reply:
        connection = self._take_idle() or await self._connect(url)
        reply = await connection.exchange(request)
        if connection.is_open:
            self._put_back(connection)
        return reply

    def close(self) -> None:
        """Close all idle connections."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and self._loop.time() - connection.idle_since < KEEPALIVE:
                return connection
            connection.close()
        return None

    def _put_back(self, connection: _Connection) -> None:
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(KEEPALIVE, self._close_unused)

    def _close_unused(self) -> None:
        """Close the connections that nobody has used for a while."""
        oldest = self._loop.time() - KEEPALIVE
        for connection in [each for each in self._idle if each.idle_since <= oldest]:
            self._idle.remove(connection)
            connection.close()
        self._sweep = self._loop.call_later(KEEPALIVE / 4, self._close_unused) if self._idle else None

    async def _connect(self, url: URL) -> _Connection:
        host, port = (url.raw_host or "").rstrip("."), url.port or 443
        tls = self._tls if url.scheme == "https" else None
        async with asyncio.timeout(self._connect_timeout):
            addresses = await self._addresses(host, port)
            # asyncio's own race between addresses leaves the socket open if it is given up as one is connected
            opened = await start_connection(addresses, happy_eyeballs_delay=_EYEBALLS_DELAY)
            _, connection = await self._loop.create_connection(
                _Connection, sock=opened, ssl=tls, server_hostname=host if tls else None
            )
        return connection

    async def _addresses(self, host: str, port: int) -> Sequence[AddrInfoType]:
        """Return the addresses of a host; only a name takes a thread, in which it is looked up."""
        try:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            return await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _request_head(url: URL, headers: Mapping[str, str]) -> bytes:
    """Return what follows the method: the path and the headers, which are the same for thousands of requests."""
    sent = {"Host": url.host_port_subcomponent or "", "Accept-Encoding": "gzip, deflate", **headers}
    lines = [f"{url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise ValueError("a header holds a line break")
    return "\r\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
