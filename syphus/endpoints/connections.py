"""HTTP/1.1 for one kind of exchange: a JSON body goes out, the whole reply comes back.

aiohttp takes 0.17 to 0.25 ms of CPU for a request, more than all that Syphus does with the answer. What is needed here
takes 0.04 ms on asyncio's own transports. `Transport` uses aiohttp for the rest: proxies, and bodies of megabytes.

Everything that a server may send is covered: `Content-Length`, chunks, bodies that end with the connection, interim
replies. Bodies are handed on as they are encoded (`reply_body.py`). Whatever breaks the rules ends as a `NoReplyError`,
with the same words as aiohttp's errors.
"""

from __future__ import annotations

import asyncio
import re
import select
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import StrEnum
from typing import NamedTuple

from multidict import CIMultiDict
from yarl import URL

MAX_REPLY_BYTES = 32 * 2**20  #: a chat completion has a few kilobytes, and an endless body must end somewhere
KEEPALIVE = 4.0  #: seconds that an idle connection is kept open; uvicorn (vLLM) and Node close theirs after 5
_MAX_HEAD_BYTES = 2**18
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) (\d{3})(?: .*)?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r?")
_EYEBALLS_DELAY = 0.25  # seconds until another address of the host is tried beside the first, as in aiohttp

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


class ReplyParser:
    """Reads one reply from the bytes of a connection. Every method raises `NoReplyError` for what is no reply."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0  # what comes before is read: the head, and the chunks so far
        self._status = 0  # 0 until the head is complete
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._length: int | None = None  # of the body, or None for one that ends with the connection
        self._chunks: list[bytes] | None = None
        self._in_trailer = False
        self._dropped = 0  # bytes of chunks that are no longer in `_data`
        self.reusable = False  #: whether the connection can take another request after this reply

    def feed(self, data: bytes) -> Reply | None:
        """Take more bytes; return the reply once it is complete."""
        self._data += data
        if not self._status and not self._read_head():
            return None
        if self._chunks is not None:
            return self._read_chunks(self._chunks)
        received = len(self._data) - self._at
        if self._length is not None and received >= self._length:
            self.reusable = self.reusable and received == self._length  # more would be a reply to nobody
            return self._reply(bytes(self._data[self._at : self._at + self._length]))
        if received > MAX_REPLY_BYTES:
            raise too_large()
        return None

    def end(self, in_order: bool) -> Reply:
        """Return the reply of a connection that has ended, if the reply ends there; `in_order` is False for a reset."""
        if not self._status:
            raise reset()
        if self._length is not None or self._chunks is not None or not in_order:
            raise cut_body()
        self.reusable = False
        return self._reply(bytes(self._data[self._at :]))

    def _read_head(self) -> bool:
        """Read the status line and the headers, unless they are not complete yet."""
        end, after = self._data.find(b"\r\n\r\n", self._at), 4
        lines_end = self._data.find(b"\n\n", self._at, end if end >= 0 else len(self._data))
        if lines_end >= 0:  # without carriage returns; a body may have some
            end, after = lines_end, 2
        if end < 0:
            if len(self._data) > _MAX_HEAD_BYTES or not b"HTTP/1.".startswith(self._data[self._at : self._at + 7]):
                raise not_http()
            return False
        first, *lines = self._data[self._at : end].decode("utf-8", "surrogateescape").split("\n")
        self._at = end + after
        found = _STATUS_LINE.fullmatch(first.rstrip("\r"))
        if found is None:
            raise not_http()
        if found[2][0] == "1":  # an interim reply, such as 100 Continue
            return self._read_head()
        headers = self._headers
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name[-1] in " \t":
                raise not_http()
            headers.add(name, value.strip())
        self._status = int(found[2])
        self._read_framing(is_newer=found[1] == "1")
        return True

    def _read_framing(self, is_newer: bool) -> None:
        """Find out where the body ends, and whether the connection stays open after it."""
        headers = self._headers
        connection = headers.get("Connection", "").lower()
        self.reusable = "close" not in connection if is_newer else "keep-alive" in connection
        if self._status in (204, 304):
            self._length = 0
        elif "Transfer-Encoding" in headers:
            if headers["Transfer-Encoding"].lower().rpartition(",")[2].strip() == "chunked":
                self._chunks = []
        elif "Content-Length" in headers:
            lengths = set(headers.getall("Content-Length"))
            length = lengths.pop()
            if lengths or not (length.isascii() and length.isdigit()):
                raise not_http()
            self._length = int(length)

    def _read_chunks(self, chunks: list[bytes]) -> Reply | None:
        data = self._data
        while (end := data.find(b"\n", self._at)) >= 0:
            line = data[self._at : end]
            if self._in_trailer:
                self._at = end + 1
                if not line.strip():
                    self.reusable = self.reusable and self._at == len(data)
                    return self._reply(b"".join(chunks))
                continue
            found = _CHUNK_SIZE.fullmatch(line)
            if found is None:
                raise not_http()
            start = end + 1
            stop = start + int(found[1], 16)
            if stop == start:
                self._at, self._in_trailer = start, True
                continue
            if len(data) < stop + 2:
                break
            if data[stop : stop + 2] != b"\r\n":
                raise not_http()
            chunks.append(bytes(data[start:stop]))
            self._at = stop + 2
            self._drop_read_bytes()
        if self._dropped + len(data) > MAX_REPLY_BYTES + _MAX_HEAD_BYTES:
            raise too_large()
        return None

    def _drop_read_bytes(self) -> None:
        if self._at > _MAX_HEAD_BYTES:
            del self._data[: self._at]
            self._dropped, self._at = self._dropped + self._at, 0

    def _reply(self, body: bytes) -> Reply:
        return Reply(self._status, self._headers, body)


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
            name = host if tls else None
            _, connection = await self._loop.create_connection(
                _Connection, host, port, ssl=tls, server_hostname=name, happy_eyeballs_delay=_EYEBALLS_DELAY
            )
        return connection


def _request_head(url: URL, headers: Mapping[str, str]) -> bytes:
    """Return what follows the method: the path and the headers, which are the same for thousands of requests."""
    sent = {"Host": url.host_port_subcomponent or "", "Accept-Encoding": "gzip, deflate", **headers}
    lines = [f"{url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise ValueError("a header holds a line break")
    return "\r\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
