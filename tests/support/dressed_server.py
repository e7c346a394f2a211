"""A server that fails in many dresses: for some rows, or for everybody for a while.

The texts are those of real servers, as they were reported in public: OpenAI, Azure, OpenRouter, LiteLLM, vLLM, Gemini,
Cloudflare, nginx, Bedrock gateways and others.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from wire import Seen, Wire, completion, in_thread, listen, read_request, reply

TEXT = (
    "Question: What has moved?\nAnswer: The blue car has moved.\n\nQuestion: Where to?\nAnswer: It moved to the left."
)


def _error(
    status: str, message: str, headers: Mapping[str, str] | None = None, echo: str = "", **fields: object
) -> bytes:
    body = {"error": {"message": f"{message}{echo}", "type": "invalid_request_error", "param": None, **fields}}
    return reply(json.dumps(body).encode(), status, {"Content-Type": "application/json", **(headers or {})})


def _html(status: str, title: str) -> bytes:
    page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body></html>"
    return reply(page.encode(), status, {"Content-Type": "text/html"})


def _ok(body: object) -> bytes:
    return reply(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def _choice(content: str | None, finish: str | None, tokens: int = 40, **choice: object) -> bytes:
    usage = {"prompt_tokens": 100 if tokens else 0, "completion_tokens": tokens, "total_tokens": 100 + tokens}
    message = {"role": "assistant", "content": content}
    choices = [{"index": 0, "message": message, "finish_reason": finish, **choice}]
    return _ok({"id": "x", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage})


#: What one row gets while the others are answered.
BAD_ROWS: dict[str, bytes] = {
    "401": _error("401 Unauthorized", "Incorrect API key provided: sk-a***z.", code="invalid_api_key"),
    "401 plain": reply(b"Unauthorized", "401 Unauthorized"),
    "403": _error("403 Forbidden", "Project does not have access to this model", code="model_not_found"),
    "403 html": _html("403 Forbidden", "403 Forbidden"),
    "404": _error("404 Not Found", "The model `chat` does not exist", code="model_not_found"),
    "404 empty": reply(b"", "404 Not Found"),
    "429": _error("429 Too Many Requests", "Rate limit reached for requests", code="rate_limit_exceeded"),
    "429 short wait": _error("429 Too Many Requests", "Rate limit reached", {"Retry-After": "0.1"}),
    "429 long wait": _error("429 Too Many Requests", "Rate limit reached", {"Retry-After": "86400"}),
    "429 quota": _error(
        "429 Too Many Requests", "You exceeded your current quota, please check your plan", code="insufficient_quota"
    ),
    "402": _error("402 Payment Required", "This request requires more credits"),
    "500": _error("500 Internal Server Error", "The server had an error while processing your request"),
    "503 wait": _error("503 Service Unavailable", "overloaded", {"Retry-After": "86400"}),
    "400": _error("400 Bad Request", "Invalid input"),
    "400 temperature": _error(
        "400 Bad Request", "Unsupported value: 'temperature' does not support 0.7", code="unsupported_value",
        param="temperature",
    ),
    "400 echo": _error("400 Bad Request", 'Invalid request: {"model": "chat", "temperature": 0.7, "max_tokens": 512}'),
    "400 max_tokens": _error("400 Bad Request", "max_tokens is too large: 512. This model supports at most 100 tokens"),
    "422 echo": reply(
        b'{"detail": [{"type": "literal_error", "loc": ["body", "temperature"], "msg": "Input should be 1"}]}',
        "422 Unprocessable Entity", {"Content-Type": "application/json"},
    ),
    "error in a 200": _ok({"error": {"message": "Provider returned error", "code": 502}}),
    "401 in a 200": _ok({"error": {"message": "No auth credentials found", "code": 401}}),
    "redirect": reply(b"", "302 Found", {"Location": "https://login.example/"}),
    "cut JSON": reply(completion()[:60], headers={"Content-Type": "application/json"}),
}  # fmt: skip

#: What everybody gets while nobody is answered.
OUTAGES: dict[str, bytes] = {
    "200 error": _ok({"error": {"message": "Provider returned error", "code": 502}}),
    "200 error text": _ok({"error": "upstream connect error or disconnect/reset before headers"}),
    "200 detail": _ok({"detail": "Service temporarily unavailable"}),
    "200 error 401": _ok({"error": {"message": "User not found.", "code": 401}}),
    "200 error 429": _ok({"error": {"message": "Provider is overloaded", "code": 429}}),
    "200 no choices": _ok({"id": "x", "object": "chat.completion", "model": "m", "choices": [], "usage": None}),
    "200 null choices": _ok({"id": "x", "object": "chat.completion", "model": "m", "choices": None, "usage": None}),
    "200 error in the choice": _choice("", "error", error={"code": 502, "message": "Provider returned error"}),
    "200 partial and error": _choice("Question: What has", "error"),
    "200 finish reason": _choice("", "network_error"),
    "200 unknown finish reason": _choice("Question: What is it?\nAnswer: A cup.", "banana"),
    "200 abort": _choice("", "abort", 0),
    "200 empty, no usage": _choice("", "stop", 0),
    "200 null, no usage": _choice(None, None, 0),
    "200 empty text": _choice("", "stop"),
    "200 canned": _choice("The service is temporarily unavailable. Please try again later.", "stop"),
    "200 canned Chinese": _choice("\u7cfb\u7edf\u7e41\u5fd9\uff0c\u8bf7\u7a0d\u540e\u518d\u8bd5\u3002", "stop"),
    "200 HTML": reply(b"<html><body>Down for maintenance</body></html>", headers={"Content-Type": "text/html"}),
    "200 nothing": reply(b""),
    "200 cut": reply(completion(TEXT)[:80], headers={"Content-Type": "application/json"}),
    "200 plain": reply(b"OK", headers={"Content-Type": "text/plain"}),
    "302": reply(b"", "302 Found", {"Location": "https://status.example/maintenance"}),
    "307 to a login": reply(b"", "307 Temporary Redirect", {"Location": "https://login.example/?next=/v1"}),
    "400 empty": reply(b"", "400 Bad Request"),
    "400": _error("400 Bad Request", "Upstream request failed"),
    "400 provider": _error("400 Bad Request", "Provider returned error", code=400),
    "400 HTML": _html("400 Bad Request", "400 Bad Request"),
    "401": _error("401 Unauthorized", "Invalid authentication credentials"),
    "401 gateway": reply(b'{"message":"Unauthorized"}', "401 Unauthorized", {"Content-Type": "application/json"}),
    "403 Cloudflare": _html("403 Forbidden", "Attention Required! | Cloudflare"),
    "403": _error("403 Forbidden", "Access denied"),
    "404 gateway": reply(b"404 page not found", "404 Not Found", {"Content-Type": "text/plain"}),
    "404": _error("404 Not Found", "No endpoints found for this model", code=404),
    "404 model": _error("404 Not Found", "The model `chat` does not exist", code="model_not_found"),
    "408": _error("408 Request Timeout", "Request timed out"),
    "409": _error("409 Conflict", "The engine is currently loading"),
    "410": _error("410 Gone", "This deployment is being moved"),
    "418": reply(b"I'm a teapot", "418 I'm a teapot", {"Content-Type": "text/plain"}),
    "422": reply(
        b'{"detail": "Unprocessable Entity"}', "422 Unprocessable Entity", {"Content-Type": "application/json"}
    ),
    "424": _error("424 Failed Dependency", "The upstream model failed to load"),
    "429": _error("429 Too Many Requests", "Rate limit reached for requests", code="rate_limit_exceeded"),
    "429 empty": reply(b"", "429 Too Many Requests"),
    "429 HTML": _html("429 Too Many Requests", "429 Too Many Requests"),
    "499": reply(b"", "499 Client Closed Request"),
    "500": _error("500 Internal Server Error", "The server had an error while processing your request"),
    "500 empty": reply(b"", "500 Internal Server Error"),
    "500 key words": _error("500 Internal Server Error", "litellm.AuthenticationError: invalid key of the upstream"),
    "502 HTML": _html("502 Bad Gateway", "502 Bad Gateway"),
    "503": _error("503 Service Unavailable", "No healthy upstream"),
    "503 wait": _error("503 Service Unavailable", "Model is loading", {"Retry-After": "1"}),
    "504": _html("504 Gateway Time-out", "504 Gateway Time-out"),
    "520": _html("520 Unknown", "Web server is returning an unknown error"),
    "529": _error("529 Overloaded", "Overloaded", type="overloaded_error"),
    "closed": b"",
}  # fmt: skip


@dataclass
class DressedServer:
    """`bad` says what the row gets whose text holds a word; `outage` what everybody gets while it is on.

    The outage begins after `after` requests that were answered, and lasts so many seconds.
    """

    bad: Mapping[str, bytes] = field(default_factory=dict)
    outage: bytes | None = None
    after: int = 60
    seconds: float = 0.0
    answered: int = 0
    asked: dict[str, int] = field(default_factory=dict)  #: requests by the text of their row
    began: float = 0.0
    latency: float = 0.0  #: seconds of each reply
    wire: Wire | None = None

    @property
    def url(self) -> str:
        """The base URL."""
        assert self.wire is not None
        return f"{self.wire.url}/v1"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        while True:
            seen = await read_request(reader)
            said = self.answer(seen) if seen.body else reply(b"{}", "404 Not Found")
            await asyncio.sleep(self.latency)
            writer.write(said)
            await writer.drain()
            if not said:
                return

    def answer(self, seen: Seen) -> bytes:
        """Return what a request gets."""
        row = json.loads(seen.body)["messages"][-1]["content"]
        self.asked[row] = self.asked.get(row, 0) + 1
        if self.outage is not None and self.answered >= self.after:
            self.began = self.began or time.monotonic()
            if time.monotonic() - self.began < self.seconds:
                return self.outage
        for word, said in self.bad.items():
            if word in row:
                return said
        self.answered += 1
        return reply(completion(TEXT), headers={"Content-Type": "application/json"})


@contextmanager
def dressed(server: DressedServer) -> Iterator[DressedServer]:
    """Let a server listen, in a thread of its own."""
    with in_thread(lambda: listen(server.talk)) as wire:
        server.wire = wire
        yield server
