"""Putting a reply on the connection, whole or broken in just the way that its `Wire` says."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from http import HTTPStatus

from aiohttp import web

from syphus.endpoints.simulated.replies import Reply, Wire

_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # closing with this sends a reset


async def deliver(
    request: web.BaseRequest, reply: Reply, headers: dict[str, str], hang_seconds: float, drip_seconds: float
) -> web.Response:
    """Send `reply` with `headers`, and return what aiohttp wants from a handler even where the connection is gone.

    A hanging connection is closed after `hang_seconds`; a dripping one sends a byte, an endless one a blank, every
    `drip_seconds`.
    """
    if reply.wire is Wire.WHOLE:
        return web.Response(
            status=reply.status,
            body=reply.body,
            headers={**headers, **reply.headers, "Content-Type": reply.content_type},
        )
    transport = request.transport
    if transport is None:  # the client has left
        return web.Response()
    match reply.wire:
        case Wire.HANG:
            await asyncio.sleep(hang_seconds)
        case Wire.RESET_MID_BODY | Wire.CUT | Wire.HANG_MID_BODY:
            transport.write(_head(reply, headers) + reply.body[: len(reply.body) // 2])
            await asyncio.sleep(hang_seconds if reply.wire is Wire.HANG_MID_BODY else 0)
        case Wire.DRIP:
            transport.write(_head(reply, headers))
            await _drip(transport, reply.body, drip_seconds)
        case Wire.ENDLESS:
            transport.write(_head(reply, headers, endless=True))
            while not transport.is_closing():
                transport.write(b"1\r\n \r\n")
                await asyncio.sleep(drip_seconds)
    if reply.wire in {Wire.RESET, Wire.RESET_MID_BODY}:
        _reset(transport)
    transport.close()
    return web.Response()


async def _drip(transport: asyncio.Transport, body: bytes, seconds: float) -> None:
    for place in range(len(body)):
        transport.write(body[place : place + 1])
        await asyncio.sleep(seconds)


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def _head(reply: Reply, headers: dict[str, str], *, endless: bool = False) -> bytes:
    framing = "Transfer-Encoding: chunked" if endless else f"Content-Length: {len(reply.body)}"
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        f"Content-Type: {reply.content_type}",
        framing,
    ]
    lines += [f"{name}: {text}" for name, text in {**headers, **reply.headers}.items()]
    return "\r\n".join([*lines, "", ""]).encode()
