"""A small HTTP proxy for tests: forwards plain requests, tunnels CONNECT, and can look into the tunnel."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from wire import Seen, Wire, listen, read_request, reply

_REFUSED = reply(b"<html>Who are you?</html>", "407 Proxy Authentication Required", {"Proxy-Authenticate": "Basic"})


@asynccontextmanager
async def proxying(
    credentials: str = "", inner_tls: ssl.SSLContext | None = None, own_tls: ssl.SSLContext | None = None
) -> AsyncIterator[Wire]:
    """A proxy on loopback that wants `credentials` ("user:password"), if any.

    With `inner_tls` it speaks TLS itself with whoever asks for a tunnel, under that certificate, as a company's does;
    with `own_tls` it is to be spoken to in TLS. `seen` are the requests that were made of the proxy.
    """
    wanted = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else ""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen = await read_request(reader)
            wire.seen.append(seen)
            if wanted and seen["Proxy-Authorization"] != wanted:
                writer.write(_REFUSED)
            elif seen.line.startswith("CONNECT "):
                return await _tunnel(seen, reader, writer, inner_tls)
            else:
                writer.write(await _forwarded(seen))
            await writer.drain()

    async with listen(talk, own_tls) as wire:
        yield wire


async def _forwarded(seen: Seen) -> bytes:
    """The server's whole answer to a plain request."""
    url = urlsplit(seen.target)
    assert url.hostname is not None
    path = f"{url.path}?{url.query}" if url.query else url.path
    lines = [f"{seen.line.split(' ')[0]} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in seen.headers if not name.lower().startswith("proxy-")]
    there, back = await asyncio.open_connection(url.hostname, url.port or 80)
    back.write("\r\n".join([*lines, "", ""]).encode() + seen.body)
    answer = await read_request(there)
    back.close()
    head = "\r\n".join([answer.line, *(f"{name}: {value}" for name, value in answer.headers), "", ""])
    return head.encode() + answer.body


async def _tunnel(
    seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inner_tls: ssl.SSLContext | None
) -> None:
    host, _, port = seen.target.rpartition(":")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    there, back = await asyncio.open_connection(host.strip("[]"), int(port), ssl=trusting if inner_tls else None)
    answers = None
    try:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        if inner_tls:
            await writer.start_tls(inner_tls)
        answers = asyncio.create_task(_pour(there, writer))
        await _pour(reader, back)
    finally:
        if answers:
            answers.cancel()
        back.close()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
