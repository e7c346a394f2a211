"""The transport: every way in which a connection can fail, compressed and endless replies, many at once."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import struct
import time
import warnings
import zlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from wire import Seen, Wire, listen, read_request, reply, serving
from yarl import URL

from syphus.config.secrets import SecretRedactor
from syphus.endpoints.connections import MAX_REPLY_BYTES, NoReplyError, Reply, ReplyParser, wait_awake
from syphus.endpoints.transport import Transport

T = TypeVar("T")
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def post(url: str, body: bytes = b"{}", connect_timeout: float = 5.0) -> Reply:
    transport = Transport(url, 4, SecretRedactor(), connect_timeout=connect_timeout)
    try:
        return await transport.post(URL(url), {"Authorization": "Bearer sk-x"}, body)
    finally:
        await transport.close()


def answered(said: bytes) -> Reply:
    """Return the reply to a request if the server sends just these bytes and closes the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(said)
        await writer.drain()

    async def main() -> Reply:
        async with listen(talk) as wire:
            return await post(wire.url)

    return asyncio.run(main())


def failed(talk: Talk, connect_timeout: float = 5.0) -> NoReplyError:
    async def main() -> NoReplyError:
        async with listen(talk) as wire:
            with pytest.raises(NoReplyError) as error:
                await post(wire.url, connect_timeout=connect_timeout)
            return error.value

    return asyncio.run(main())


def failed_after(said: bytes) -> NoReplyError:
    with pytest.raises(NoReplyError) as error:
        answered(said)
    return error.value


# What goes out and what comes back


def test_the_bytes_of_the_body_arrive_untouched_and_so_does_the_answer() -> None:
    body = bytes(range(256)) * 300

    async def main() -> tuple[Reply, Seen]:
        async with serving(lambda _: reply(b"\x00\xff\r\n\r\n", "418 Teapot", {"X-One": " 1 \t"})) as wire:
            return await post(wire.url, body), wire.seen[0]

    got, seen = asyncio.run(main())
    assert (seen.body, seen["Content-Length"], seen["Authorization"]) == (body, str(len(body)), "Bearer sk-x")
    assert (got.status, got.body, got.headers["x-one"]) == (418, b"\x00\xff\r\n\r\n", "1")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    async def main() -> tuple[Reply, list[Seen]]:
        async with serving() as elsewhere:
            async with serving(lambda _: reply(b"", status, {"Location": elsewhere.url})) as wire:
                got = await post(wire.url)
            return got, elsewhere.seen

    got, seen = asyncio.run(main())
    assert (got.status, seen) == (int(status[:3]), [])


def test_cookies_are_not_kept() -> None:
    async def main() -> list[Seen]:
        async with serving(lambda _: reply(headers={"Set-Cookie": "who=me; Path=/"})) as wire:
            transport = Transport(wire.url, 4, SecretRedactor())
            for _ in range(2):
                await transport.post(URL(wire.url), {}, b"{}")
            await transport.close()
            return wire.seen

    assert [seen["Cookie"] for seen in asyncio.run(main())] == ["", ""]


def test_ipv6() -> None:
    async def main() -> Reply:
        async with serving(lambda _: reply(b"six"), host="::1") as wire:
            assert wire.url.startswith("http://[::1]:")
            return await post(wire.url)

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    assert asyncio.run(main()).body == b"six"


_FORMS = [
    pytest.param(reply(b"{}"), id="length"),
    pytest.param(b"HTTP/1.1 200 OK\r\n\r\n{}", id="until the connection ends"),
    pytest.param(b"HTTP/1.0 200\r\ncontent-type: x\r\n\r\n{}", id="version 1.0"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"{}"), id="interim"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\n{\r\n01\r\n}\r\n0\r\nTrailer: x\r\n\r\n",
        id="chunks",
    ),
    pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", id="line feeds"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX-Empty:\r\nContent-Length: 2\r\n\r\n{}", id="an empty header"),
]


@pytest.mark.parametrize("said", _FORMS)
def test_every_form_of_a_body_is_read_however_its_bytes_arrive(said: bytes) -> None:
    assert answered(said)[::2] == (200, b"{}")
    for size in (1, 3):
        parser = ReplyParser()
        parts = [parser.feed(said[at : at + size]) for at in range(0, len(said), size)]
        assert (parts[-1] or parser.end(in_order=True)).body == b"{}"


def test_a_body_that_a_reset_ends_is_not_complete() -> None:
    parser = ReplyParser()
    assert parser.feed(b"HTTP/1.1 200 OK\r\n\r\n{") is None
    with pytest.raises(NoReplyError, match="cut body"):
        parser.end(in_order=False)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}", id="no number"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n{}", id="no header"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            id="a length and chunks",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n", id="chunk of another size"),
    ],
)
def test_a_reply_that_can_be_read_in_two_ways_is_none(said: bytes) -> None:
    assert failed_after(said).kind == "not HTTP"


@pytest.mark.parametrize(
    ("said", "connections"),
    [
        pytest.param(reply(b"{}"), 1, id="kept open"),
        pytest.param(reply(b"{}", headers={"Connection": "close"}), 3, id="to be closed"),
        pytest.param(reply(b"{}") + b"HTTP/1.1 200", 3, id="more than was asked for"),
        pytest.param(reply(b"{}") + reply(b"more"), 3, id="two replies"),
        pytest.param(reply(b"{}") + b"SSH", 3, id="something else after it"),
    ],
)
def test_a_connection_is_used_again_only_if_nothing_is_left_in_it(said: bytes, connections: int) -> None:
    async def main() -> tuple[list[int], int]:
        async with serving(lambda _: said) as wire:
            return await in_turns(wire, 3, lambda: asyncio.sleep(0)), wire.connections

    assert asyncio.run(main()) == ([200] * 3, connections)


@pytest.mark.filterwarnings("always::ResourceWarning")
def test_a_connection_that_is_given_up_while_it_opens_is_closed() -> None:
    async def main() -> None:
        async with serving() as wire:
            for steps in range(12):  # of the event loop, in one of which the connection is made
                sending = asyncio.create_task(post(wire.url))
                for _ in range(steps):
                    await asyncio.sleep(0)
                sending.cancel()
                await asyncio.wait([sending])
            gc.collect()

    with warnings.catch_warnings(record=True) as left_open:
        asyncio.run(main())
        gc.collect()
    assert not [str(each.message) for each in left_open]


# Large and compressed answers


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
    ],
)
def test_a_compressed_answer_is_unpacked(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    text = b'{"choices": []}' * 10_000
    assert answered(reply(pack(text), headers={"Content-Encoding": encoding})).body == text


def test_only_what_can_be_unpacked_is_asked_for() -> None:
    async def main() -> str:
        async with serving() as wire:
            await post(wire.url)
            return wire.seen[0]["Accept-Encoding"]

    assert {"gzip", "deflate"} <= set(asyncio.run(main()).split(", ")) <= {"gzip", "deflate", "br", "zstd"}


def test_an_answer_that_unpacks_to_more_than_any_answer_is_given_up() -> None:
    bomb = gzip.compress(bytes(MAX_REPLY_BYTES + 1), compresslevel=1)
    assert len(bomb) < MAX_REPLY_BYTES / 100
    error = failed_after(reply(bomb, headers={"Content-Encoding": "gzip"}))
    assert (str(error), error.sent) == ("too large: more than 32 MiB", True)


def test_an_endless_body_is_given_up() -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(chunk)
            await writer.drain()

    assert failed(talk).kind == "too large"


def test_a_body_that_is_announced_too_large_is_not_read_to_its_end() -> None:
    said = f"HTTP/1.1 200 OK\r\nContent-Length: {10**12}\r\n\r\n".encode() + bytes(MAX_REPLY_BYTES + 1)
    assert failed_after(said).kind == "too large"


def test_the_largest_answer_is_read() -> None:
    assert len(answered(reply(bytes(MAX_REPLY_BYTES))).body) == MAX_REPLY_BYTES


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(reply(gzip.compress(bytes(1000)), headers={"Content-Encoding": "gzip"})[:-9], id="gzip"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{", id="chunk"),
    ],
)
def test_an_answer_that_breaks_off_may_have_been_billed(said: bytes) -> None:
    error = failed_after(said)
    assert (error.kind, error.sent) == ("cut body", True)


# No answer


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="ssh"),
        pytest.param(b"HTTP/9 what\r\n\r\n", id="version"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", id="upgrade"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + bytes(300_000), id="endless head"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", id="a TLS alert"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nSSH\r\n", id="chunk"),
    ],
)
def test_what_is_no_http_is_said_so(said: bytes) -> None:
    error = failed_after(said)
    assert (error.kind, error.sent) == ("not HTTP", True)
    assert "SSH" not in str(error)  # it is a stranger's text


def test_a_connection_that_is_closed_without_an_answer_may_have_been_billed() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    error = failed(talk)
    assert (str(error), error.sent) == ("reset: the connection closed without an answer", True)


def test_a_reset_connection_may_have_been_billed() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    error = failed(talk)
    assert (error.kind, error.sent) == ("reset", True)


def test_a_closed_port_is_a_refused_connection_and_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NoReplyError) as error:
        asyncio.run(post(f"http://127.0.0.1:{port}"))
    assert (error.value.kind, error.value.sent) == ("connection refused", False)


def test_an_unknown_host_is_named_and_nothing_was_sent() -> None:
    with pytest.raises(NoReplyError) as error:
        asyncio.run(post("http://nowhere.invalid/v1"))
    assert (str(error.value), error.value.sent) == ("unknown host: nowhere.invalid", False)


def test_a_server_that_accepts_and_never_shakes_hands_is_given_up_and_nothing_was_sent() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    async def main() -> NoReplyError:
        async with listen(silent) as wire:
            with pytest.raises(NoReplyError) as error:
                await post(wire.url.replace("http:", "https:"), connect_timeout=0.1)
            return error.value

    error = asyncio.run(main())
    assert (str(error), error.sent) == ("timeout: no connection within 0.1 s", False)


# Connections that are used again


async def in_turns(wire: Wire, turns: int, between: Callable[[], Awaitable[object]]) -> list[int]:
    """Return the statuses of requests that are sent one after the other over one transport."""
    transport = Transport(wire.url, 4, SecretRedactor())
    statuses = []
    for _ in range(turns):
        statuses.append((await transport.post(URL(wire.url), {}, b"{}")).status)
        await between()
    await transport.close()
    return statuses


def test_a_connection_is_used_again() -> None:
    async def main() -> tuple[list[int], int]:
        async with serving() as wire:
            return await in_turns(wire, 10, lambda: asyncio.sleep(0)), wire.connections

    assert asyncio.run(main()) == ([200] * 10, 1)


def test_an_idle_connection_that_the_server_has_closed_costs_no_request() -> None:
    async def main() -> tuple[list[int], int]:
        closed = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(reply())
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            closed.set()

        async def until_closed() -> None:
            await closed.wait()
            closed.clear()

        async with listen(talk) as wire:
            return await in_turns(wire, 20, until_closed), wire.connections

    assert asyncio.run(main()) == ([200] * 20, 20)


def test_a_request_is_never_sent_twice_by_itself() -> None:
    """On a connection that was used before, too: whether the server had worked on it can't be known."""

    async def main() -> tuple[list[Seen], NoReplyError]:
        async with serving(lambda _: reply() if len(wire.seen) == 1 else b"") as wire:
            transport = Transport(wire.url, 4, SecretRedactor())
            await transport.post(URL(wire.url), {}, b"1")
            with pytest.raises(NoReplyError) as error:
                await transport.post(URL(wire.url), {}, b"2")
            await transport.close()
            return wire.seen, error.value

    seen, error = asyncio.run(main())
    assert [each.body for each in seen] == [b"1", b"2"]
    assert (error.kind, error.sent) == ("reset", True)


def test_five_hundred_at_once_are_in_flight_at_once() -> None:
    count = 500

    async def main() -> tuple[list[bytes], int]:
        everybody = asyncio.Barrier(count)  # nobody is answered before all have asked

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen = await read_request(reader)
            await everybody.wait()
            writer.write(reply(seen.body))
            await writer.drain()

        async with listen(talk) as wire, asyncio.timeout(20):
            transport = Transport(wire.url, count, SecretRedactor())
            url = URL(wire.url)
            got = await asyncio.gather(*(transport.post(url, {}, str(n).encode()) for n in range(count)))
            await transport.close()
            return [each.body for each in got], wire.connections

    bodies, connections = asyncio.run(main())
    assert bodies == [str(n).encode() for n in range(count)]
    assert connections == count


def test_a_time_limit_does_not_count_the_time_asleep() -> None:
    async def answer(event: asyncio.Event) -> str:
        await event.wait()
        return "answered"

    async def main(late: float) -> str:
        event = asyncio.Event()
        asyncio.get_running_loop().call_soon(time.sleep, 0.3)  # as a machine that sleeps, or a process that is stopped
        asyncio.get_running_loop().call_later(late, event.set)
        return await wait_awake(answer(event), 0.2)

    assert asyncio.run(main(0.01)) == "answered"
    with pytest.raises(TimeoutError, match=r"nothing within 0\.2 s"):
        asyncio.run(main(9.0))
