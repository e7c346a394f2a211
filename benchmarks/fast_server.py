"""A server that answers chat requests as fast as asyncio can: every answer is eight pairs, made once.

    python benchmarks/fast_server.py [PORT]

It is what `make bench` measures against: 20,000 answers a second and more on a core of its own, with OpenAI's headers.
`/config?latency_ms=200` sets the time until an answer, `/reset` zeroes the counters, `/stats` shows them. Others are
the shares of requests that get a fault: `p500` an error 500, `preset` a reset, `ptrunc` half of the answer, and
`phang` nothing until the connection closes after `hang_ms`. It has no limits; `python main.py simulate` has.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import struct
import sys
from urllib.parse import parse_qs, urlsplit

_WORDS = [
    "a",
    "plain",
    "answer",
    "with",
    "several",
    "common",
    "words",
    "that",
    "together",
    "make",
    "about",
    "two",
    "hundred",
    "tokens",
    "of",
    "what",
    "one",
    "reads",
]
_HEADERS = "\r\n".join((
    "Content-Type: application/json", "access-control-expose-headers: X-Request-ID",
    "openai-organization: bench", "openai-processing-ms: 12", "openai-version: 2020-10-01", "x-request-id: req_1",
    "strict-transport-security: max-age=31536000; includeSubDomains; preload", "X-Content-Type-Options: nosniff",
    "cf-cache-status: DYNAMIC", "Server: bench", "CF-RAY: 8f0c0000deadbeef-FRA",
    "x-ratelimit-limit-requests: 10000000", "x-ratelimit-limit-tokens: 1000000000",
    "x-ratelimit-remaining-requests: 9999999", "x-ratelimit-remaining-tokens: 999999999",
    "x-ratelimit-reset-requests: 6ms", "x-ratelimit-reset-tokens: 0ms",
))  # fmt: skip


def _reply(content: object, headers: str = "Content-Type: application/json") -> bytes:
    body = json.dumps(content).encode()
    return f"HTTP/1.1 200 OK\r\n{headers}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _sentence(start: int, length: int) -> str:
    words = [_WORDS[(start + i) % len(_WORDS)] for i in range(length)]
    return " ".join(words).capitalize()


def _completion() -> dict[str, object]:
    text = "\n".join(f"Question: {_sentence(5 * i, 12)}?\nAnswer: {_sentence(7 * i + 3, 17)}." for i in range(8))
    usage = {"prompt_tokens": 700, "completion_tokens": 190, "total_tokens": 890}
    message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
    return {**head, "choices": [choice], "usage": usage, "service_tier": "default", "system_fingerprint": "fp_1"}


_ANSWER = _reply(_completion(), _HEADERS)


_ERROR = _reply({"error": {"message": "The server had an error.", "type": "server_error"}}).replace(
    b"200 OK", b"500 Internal Server Error", 1
)
FAULTS = {"p500": "e500", "preset": "resets", "phang": "hangs", "ptrunc": "truncated"}  #: a setting, and its counter


class Settings:
    """What `/config` sets, and what `/stats` shows."""

    def __init__(self) -> None:
        self.configure({})
        self.reset()

    def configure(self, given: dict[str, list[str]]) -> None:
        """Set what is given; everything else goes back to its default."""
        number = {name: float(values[0]) for name, values in given.items()}
        self.latency = number.get("latency_ms", 0.0) / 1000  # seconds
        self.hang = number.get("hang_ms", 65_000.0) / 1000
        self.shares = {fault: number[fault] for fault in FAULTS if number.get(fault)}

    def reset(self) -> None:
        """Zero the counters, and let the faults come in the same order as before."""
        self.counts = dict.fromkeys(("requests", "dup_after_ok", *FAULTS.values()), 0)
        self.answered: set[bytes] = set()  # bodies; only while there are faults
        self._random = random.Random(1)

    def fault(self) -> str:
        """Return the fault that the next request gets, or nothing."""
        drawn = self._random.random()
        for name, share in self.shares.items():
            if drawn < share:
                return name
            drawn -= share
        return ""


class Connection(asyncio.Protocol):
    """Answers the requests of one connection, one after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._data = b""
        self._transport: asyncio.Transport  # once there is a connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if len(self._data) < end + 4 + length:
                return
            body, self._data = self._data[end + 4 : end + 4 + length], self._data[end + 4 + length :]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        if head.startswith(b"post"):
            settings.counts["requests"] += 1
            if settings.shares:
                self._answer_or_fail(body)
            elif settings.latency:
                loop.call_later(settings.latency, self._transport.write, _ANSWER)
            else:
                self._transport.write(_ANSWER)
            return
        url = urlsplit(head.split(b" ")[1].decode())
        if url.path == "/config":
            settings.configure(parse_qs(url.query))
        elif url.path == "/reset":
            settings.reset()
        self._transport.write(_reply({**settings.counts, "data": []}))

    def _answer_or_fail(self, body: bytes) -> None:
        settings, later = self._settings, asyncio.get_running_loop().call_later
        settings.counts["dup_after_ok"] += body in settings.answered
        fault = settings.fault()
        if fault:
            settings.counts[FAULTS[fault]] += 1
        else:
            settings.answered.add(body)
        match fault:
            case "p500":
                later(settings.latency, self._transport.write, _ERROR)
            case "preset":
                later(settings.latency, self._reset)
            case "phang":
                later(settings.hang, self._transport.close)
            case "ptrunc":
                later(settings.latency, self._transport.write, _ANSWER[: len(_ANSWER) // 2])
                later(settings.latency, self._transport.close)
            case _:
                later(settings.latency, self._transport.write, _ANSWER)

    def _reset(self) -> None:
        """Close so that the client gets a reset and no end."""
        found = self._transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


async def main(port: int) -> None:
    """Serve until the process is stopped, on the last core if there are several; prints the URL."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    settings = Settings()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(settings), "127.0.0.1", port, backlog=2048
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
