"""HTTP replies, the error bodies of OpenAI and Azure, and the delivery of replies, whole or deliberately broken."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus

import orjson
from aiohttp import web

from syphus.exchange import Usage

JSON = "application/json"
_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # makes closing the socket send a reset


class Delivery(Enum):
    """How a reply is sent over the connection."""

    WHOLE = auto()  #: normally: status, headers and body
    RESET = auto()  #: a TCP reset before any byte
    DISCONNECT = auto()  #: an orderly close before any byte
    RESET_MID_BODY = auto()  #: half the body, then a TCP reset
    CUT = auto()  #: a Content-Length for the whole body, half of it, then an orderly close
    HANG = auto()  #: no byte until the client disconnects or the time is up
    HANG_MID_BODY = auto()  #: half the body, then nothing
    DRIP = auto()  #: one byte at a time
    ENDLESS = auto()  #: white space forever, in a body that never ends


@dataclass(frozen=True, slots=True)
class SimulatedReply:
    """An HTTP reply: status, body, additional headers, and how it is delivered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    delivery: Delivery = Delivery.WHOLE
    usage: Usage | None = None  #: the real usage, if it differs from that of the written answer

    @property
    def received_status(self) -> int:
        """The status that the client receives; 0 if no byte arrives."""
        return 0 if self.delivery in {Delivery.RESET, Delivery.DISCONNECT, Delivery.HANG} else self.status


class Rejected(Exception):  # noqa: N818 - it carries a reply, which need not be an error of ours
    """Raised for a request that gets `reply` instead of an answer."""

    def __init__(self, reply: SimulatedReply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def json_reply(status: int, content: object, headers: Mapping[str, str] | None = None) -> SimulatedReply:
    """Return `content` as a JSON reply."""
    return SimulatedReply(status, orjson.dumps(content), headers or {})


def openai_error(
    status: int,
    message: str,
    kind: str | None = "invalid_request_error",
    *,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> SimulatedReply:
    """Return an error of api.openai.com. It always has message, type, param and code."""
    return json_reply(status, {"error": {"message": message, "type": kind, "param": param, "code": code}}, headers)


def azure_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> SimulatedReply:
    """Return an error of the Azure front end. It has only code (always a string) and message."""
    return json_reply(status, {"error": {"code": code, "message": message}}, headers)


def html_reply(status: int, title: str) -> SimulatedReply:
    """Return an HTML error page, as proxies send it."""
    head, page_body = f"<head><title>{title}</title></head>", f"<body><center><h1>{title}</h1></center></body>"
    page = f"<html>\r\n{head}\r\n{page_body}\r\n</html>\r\n"
    return SimulatedReply(status, page.encode(), content_type="text/html; charset=UTF-8")


async def deliver(
    request: web.BaseRequest, reply: SimulatedReply, headers: dict[str, str], hang_seconds: float, drip_seconds: float
) -> web.Response:
    """Send `reply` with `headers` in the way that its `delivery` says.

    A hanging connection is closed after `hang_seconds`. A dripping reply sends one byte every `drip_seconds`, an
    endless one a blank. Always returns a response, as aiohttp requires, even if the connection is already closed.
    """
    if reply.delivery is Delivery.WHOLE:
        return web.Response(
            status=reply.status,
            body=reply.body,
            headers={**headers, **reply.headers, "Content-Type": reply.content_type},
        )
    transport = request.transport
    if transport is None:  # the client has disconnected
        return web.Response()
    match reply.delivery:
        case Delivery.HANG:
            await asyncio.sleep(hang_seconds)
        case Delivery.RESET_MID_BODY | Delivery.CUT | Delivery.HANG_MID_BODY:
            transport.write(_head(reply, headers) + reply.body[: len(reply.body) // 2])
            await asyncio.sleep(hang_seconds if reply.delivery is Delivery.HANG_MID_BODY else 0)
        case Delivery.DRIP:
            transport.write(_head(reply, headers))
            await _drip(transport, reply.body, drip_seconds)
        case Delivery.ENDLESS:
            transport.write(_head(reply, headers, endless=True))
            while not transport.is_closing():
                transport.write(b"1\r\n \r\n")
                await asyncio.sleep(drip_seconds)
    if reply.delivery in {Delivery.RESET, Delivery.RESET_MID_BODY}:
        _reset(transport)
    transport.close()
    return web.Response()


async def _drip(transport: asyncio.Transport, body: bytes, seconds: float) -> None:
    for index in range(len(body)):
        transport.write(body[index : index + 1])
        await asyncio.sleep(seconds)


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def _head(reply: SimulatedReply, headers: dict[str, str], *, endless: bool = False) -> bytes:
    framing = "Transfer-Encoding: chunked" if endless else f"Content-Length: {len(reply.body)}"
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        f"Content-Type: {reply.content_type}",
        framing,
    ]
    lines += [f"{name}: {text}" for name, text in {**headers, **reply.headers}.items()]
    return "\r\n".join([*lines, "", ""]).encode()
