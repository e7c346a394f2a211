"""Every fault of the simulated endpoint as it is on the wire: read from a plain socket, so that nothing is repaired."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import pytest
from processes import Watch

from syphus.simulator import FAULTS, SimulatedServer, Simulation, serve_in_thread
from syphus.simulator.faults import Cost

KEY = "sk-simulated-0123456789abcdef"
EXAMPLE = "Question: What moved?\nAnswer: A bike did.\n\nQuestion: Where to?\nAnswer: To the left."
BODY = {
    "model": "gpt-4o-mini",
    "n": 2,
    "max_tokens": 900,
    "messages": [
        {"role": "system", "content": "Write questions and answers about what changed."},
        {"role": "user", "content": "the bike moved"},
        {"role": "assistant", "content": EXAMPLE},
        {"role": "user", "content": "the blue car has moved\na person appeared\nthe van is gone"},
    ],
}
PATIENCE = 30.0  # seconds that an answer may take
SILENCE = 0.1  # seconds without a further byte after which a connection counts as hanging, where a fault should hang
ENOUGH = 20_000  # bytes after which an endless answer is believed


@dataclass(frozen=True)
class Seen:
    """What came over the socket, and how it ended: closed, reset, silent (still open) or endless.

    The answer was made between `sent_at` and `ended_at`, in seconds since the epoch.
    """

    raw: bytes
    end: str
    sent_at: float = field(default=0.0, compare=False)
    ended_at: float = field(default=0.0, compare=False)

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode().lower()

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ")[1]) if self.raw else 0

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        found = re.search(rf"^{re.escape(name)}: (.*?)\r?$", self.head, re.MULTILINE)
        return found[1] if found else ""

    def json(self, *path: str | int) -> object:
        value: object = json.loads(self.body)
        for step in path:
            if isinstance(value, dict) and isinstance(step, str):
                value = value[step]
            else:
                assert isinstance(value, list)
                assert isinstance(step, int)
                value = value[step]
        return value

    def whole(self) -> bool:
        return self.end == "closed" and len(self.body) == int(self.header("content-length") or 0)

    def contents(self) -> list[object]:
        choices = self.json("choices")
        assert isinstance(choices, list)
        return [choice["message"]["content"] for choice in choices]


def send(server: SimulatedServer, *, hangs: str = "") -> Seen:
    """Send one request, and return everything that comes back until the connection ends or hangs.

    The server has recorded the request by then. `hangs` says where silence counts as hanging: once the server has the
    request ("start"), or once the body has begun ("body"). Before that, the machine may take its time.
    """
    arrived, recorded = threading.Event(), threading.Event()
    watch = server.stats
    assert isinstance(watch, Watch)
    watch.at("request", 1, arrived.set)

    def set_recorded() -> None:  # after this step of the event loop, in which the counters become complete
        asyncio.get_running_loop().call_soon(recorded.set)

    watch.at("answer", 1, set_recorded)
    sent_at = time.time()
    raw, end = _exchange(server.port, arrived, hangs)
    ended_at = time.time()
    assert recorded.wait(PATIENCE)
    return Seen(raw, end, sent_at, ended_at)


def _exchange(port: int, arrived: threading.Event, hangs: str) -> tuple[bytes, str]:
    body = json.dumps(BODY).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
    raw = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        if hangs == "start":
            assert arrived.wait(PATIENCE)
            connection.settimeout(SILENCE)
        try:
            while chunk := connection.recv(65_536):
                raw += chunk
                if hangs == "body" and raw.partition(b"\r\n\r\n")[2]:
                    connection.settimeout(SILENCE)
                if len(raw) > ENOUGH:
                    return raw, "endless"
        except ConnectionResetError:
            return raw, "reset"
        except TimeoutError:
            return raw, "silent"
    return raw, "closed"


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with serve_in_thread(Simulation(sloppiness=0, drip_seconds=0, retry_after=0.25)) as started:
        Watch(started)
        yield started


def play(server: SimulatedServer, fault: str) -> Seen:
    server.configure(script=(fault,))
    return send(server, hangs={"hang": "start", "hang_mid_body": "body"}.get(fault, ""))


Check = Callable[[Seen], bool]


def error(status: int, *, code: str | None = None, kind: str | None = None, words: str = "", **headers: str) -> Check:
    """OpenAI's error object with this code and type, these words in its message, and no hints but `headers`."""

    def check(seen: Seen) -> bool:
        found = seen.json("error")
        assert isinstance(found, dict)
        hints = {name: seen.header(name) for name in ("retry-after", "retry-after-ms", "llm_provider-retry-after")}
        wanted = {name.replace("_", "-").replace("llm-", "llm_"): text for name, text in headers.items()}
        assert {name: text for name, text in hints.items() if text} == wanted, hints
        same = (seen.status, found["code"], found["type"]) == (status, code, kind)
        return same and {*found} == {"message", "type", "param", "code"} and words in found["message"]

    return check


def azure(status: int, code: str, words: str = "") -> Check:
    return lambda seen: (
        seen.status == status and seen.json("error", "code") == code and words in str(seen.json("error"))
    )


def llama(words: str) -> Check:
    """llama-server's 500, whose code is a number."""
    return lambda seen: seen.status == seen.json("error", "code") == 500 and words in str(seen.json("error", "message"))


def page(status: int) -> Check:
    return lambda seen: seen.status == status and "text/html" in seen.header("content-type") and "<html>" in seen.text


def empty(status: int) -> Check:
    return lambda seen: seen.status == status and seen.whole() and not seen.body


def choices(finish_reason: str, content: object = ..., **message: object) -> Check:
    """Two choices, each with this finish reason and this content and these fields of the message."""

    def check(seen: Seen) -> bool:
        found = seen.json("choices")
        assert isinstance(found, list)
        for choice in found:
            said = choice["message"]
            assert content is ... or said["content"] == content, said
            assert {name: said[name] for name in message} == message
        return len(found) == 2 and {choice["finish_reason"] for choice in found} == {finish_reason}

    return check


def said(check: Callable[[str], object]) -> Check:
    """An ordinary completion but for its text."""
    return lambda seen: seen.status == 200 and all(check(str(text)) for text in seen.contents())


def good(check: Check) -> Check:
    """A well-formed answer, but with something else wrong."""
    return lambda seen: (
        seen.status == 200 and all("Question: " in str(text) for text in seen.contents()) and check(seen)
    )


def hinted(hint: str) -> Check:
    return error(429, code="rate_limit_exceeded", kind="requests", retry_after=hint)


def limited(when: str = "later", **headers: str) -> Check:
    return error(429, code="rate_limit_exceeded", kind="tokens", words=f"try again {when}.", **headers)


def quota(code: str) -> Check:
    return error(429, code=code, kind="insufficient_quota")


def filtered(content: object) -> Check:
    def check(seen: Seen) -> bool:
        results = seen.json("choices", 0, "content_filter_results")
        assert isinstance(results, dict)
        return choices("content_filter", content)(seen) and any(verdict["filtered"] for verdict in results.values())

    return check


def spent(seen: Seen) -> tuple[object, object]:
    return seen.json("usage", "completion_tokens"), seen.json("usage", "completion_tokens_details", "reasoning_tokens")


def broken(end: str) -> Check:
    """The head of a 200, and only a part of the body that it promises."""
    return lambda seen: (
        seen.status == 200 and seen.end == end and 0 < len(seen.body) < int(seen.header("content-length"))
    )


SHAPES: dict[str, Check] = {
    "rate_limit": limited("in 250ms", retry_after="0.25", retry_after_ms="250"),
    "rate_limit_ms": limited(retry_after_ms="250"),
    "rate_limit_message": limited("in 250ms"),
    "rate_limit_azure": azure(429, "429", "have exceeded token rate limit"),
    "rate_limit_reset_headers": lambda seen: limited()(seen) and seen.header("x-ratelimit-reset-tokens") == "250ms",
    "rate_limit_date": lambda seen: (  # the wait of 0.25 s, in whole seconds
        seen.status == 429
        and int(seen.sent_at) <= parsedate_to_datetime(seen.header("retry-after")).timestamp() - 1 <= seen.ended_at
    ),
    "rate_limit_gateway": error(
        429, code="429", kind="throttling_error", words="litellm.", llm_provider_retry_after="0.25"
    ),
    "rate_limit_bare": empty(429),
    "request_too_large": error(429, code="rate_limit_exceeded", kind="tokens", words="Request too large"),
    "slow_down": error(429, code="slow_down", kind="rate_limit_error", retry_after="0.25"),
    "slow_down_503": error(503, code="slow_down", kind="service_unavailable_error", retry_after="0.25"),
    "overloaded": error(503, code="server_is_overloaded", kind="service_unavailable_error"),
    "insufficient_quota": quota("insufficient_quota"),
    "credit_balance_exhausted": quota("credit_balance_exhausted"),
    "organization_spend_limit_exceeded": quota("organization_spend_limit_exceeded"),
    "project_spend_limit_exceeded": quota("project_spend_limit_exceeded"),
    "organization_usage_limit_exceeded": quota("organization_usage_limit_exceeded"),
    "payment_required": lambda seen: seen.status == 402 and not seen.header("retry-after"),
    "payment_retry": lambda seen: seen.status == 402 and seen.header("retry-after") == "0.25",
    "quota_403": lambda seen: seen.json("statusCode") == seen.status == 403 and "quota" in str(seen.json("message")),
    "quota_gateway": error(429, code="429", kind="throttling_error", words="exceeded your current quota"),
    "quota_words": error(
        429, code="rate_limit_exceeded", kind="rate_limit_error", words="INSUFFICIENT QUOTA", retry_after="0.25"
    ),
    "retry_after_long": lambda seen: (
        azure(429, "429", "retry after 86400 seconds")(seen) and seen.header("retry-after") == "86400"
    ),
    "retry_after_zero": hinted("0"),
    "retry_after_negative": hinted("-5"),
    "retry_after_nan": hinted("nan"),
    "retry_after_huge": hinted("1e9"),
    "retry_after_past": hinted("thu, 01 jan 2015 00:00:00 gmt"),
    "limits_minus_one": good(lambda seen: len(re.findall(r"x-ratelimit-[a-z-]+: -1", seen.head)) == 6),
    "invalid_key": error(
        401, code="invalid_api_key", kind="invalid_request_error", words="sk-simul*****************cdef"
    ),
    "invalid_key_echo": error(401, code="invalid_api_key", kind="invalid_request_error", words=KEY),
    "invalid_key_azure": azure(401, "401", "invalid subscription key"),
    "token_expired": lambda seen: seen.json("statusCode") == seen.status == 401 and "expired" in seen.text,
    "ip_not_authorized": error(401, code="ip_not_authorized", kind="invalid_request_error"),
    "network_403": azure(403, "403", "Virtual Network"),
    "country_403": error(403, code="unsupported_country_region_territory", kind="request_forbidden"),
    "blocked_403": azure(403, "Forbidden", "temporarily blocked"),
    "model_not_found": error(404, code="model_not_found", kind="invalid_request_error", words="gpt-4o-mini"),
    "model_forbidden": error(403, code="model_not_found", kind="invalid_request_error", words="does not have access"),
    "deployment_not_found": azure(404, "DeploymentNotFound"),
    "bad_api_version": azure(404, "404", "Resource not found"),
    "context_length": error(
        400, code="context_length_exceeded", kind="invalid_request_error", words="maximum context length"
    ),
    "context_length_gateway": error(400, code="400", words="ContextWindowExceededError"),
    "context_length_llama": lambda seen: (
        seen.status == 400
        and seen.json("error", "type") == "exceed_context_size_error"
        and int(str(seen.json("error", "n_prompt_tokens"))) > int(str(seen.json("error", "n_ctx")))
    ),
    "content_filter": lambda seen: (
        seen.status == 400
        and seen.json("error", "innererror", "code") == "ResponsibleAIPolicyViolation"
        and seen.json("error", "innererror", "content_filter_result", "violence", "filtered") is True
    ),
    "content_filter_string": lambda seen: seen.status == 400 and "content management policy" in str(seen.json()),
    "content_filter_text": lambda seen: (
        seen.status == 400 and "text/plain" in seen.header("content-type") and bool(seen.json("error", "innererror"))
    ),
    "content_filter_gateway": error(400, code="400", kind="server_error", words="content management policy"),
    "output_filtered_empty": filtered(""),
    "output_filtered_null": filtered(None),
    "output_filtered_partial": lambda seen: filtered(seen.contents()[0])(seen) and bool(seen.contents()[0]),
    "output_filtered_silent": lambda seen: choices("stop", "")(seen) and "content_filter" not in seen.text,
    "filter_did_not_run": good(
        lambda seen: seen.json("choices", 0, "content_filter_results", "error", "code") == "content_filter_error"
    ),
    "truncated": good(choices("length")),
    "truncated_empty": lambda seen: choices("length", "")(seen) and spent(seen) == (900, 900),
    "empty_reasoning_stop": lambda seen: choices("stop", "")(seen) and spent(seen) == (900, 900),
    "refusal": choices("stop", None, refusal="I'm sorry, but I can't assist with that."),
    "refusal_text": choices("stop", "I'm sorry, but I can't assist with that."),
    "empty": choices("stop", "\n"),
    "null_content": choices("stop", None, refusal=None),
    "null_message": lambda seen: seen.json("choices", 0, "message") is None,
    "no_choices": lambda seen: seen.status == 200 and seen.json("choices") == [],
    "one_choice": good(lambda seen: len(seen.contents()) == 1),
    "bad_parameter": error(400, code="invalid_value", kind="invalid_request_error"),
    "unprocessable": lambda seen: seen.status == 422 and seen.json("detail", 0, "type") == "missing",
    "request_echo": lambda seen: seen.status == 422 and bool(seen.json("detail", 0, "input")),
    "image_unreadable": error(400, code="image_parse_error", kind="invalid_request_error"),
    "no_vision": error(400, kind="invalid_request_error", words="only supported by certain models"),
    "too_large_413": page(413),
    "json_schema_500": error(500, kind="internal_server_error", words="response_format"),
    "image_500": llama("image input is not supported"),
    "peg_500": llama("peg-native"),
    "bad_body_500": llama("parse_error"),
    "server_error": error(500, kind="server_error"),
    "html_502": page(502),
    "empty_500": empty(500),
    "unavailable_503": error(503, kind="server_error", words="overloaded"),
    "gateway_timeout_504": page(504),
    "request_timeout_408": error(408, kind="server_error"),
    "conflict_409": error(409, code="conflict", kind="invalid_request_error"),
    "too_early_425": error(425, kind="server_error"),
    "overloaded_529": lambda seen: seen.status == 529 and seen.json("error", "type") == "overloaded_error",
    "redirect_307": lambda seen: seen.status == 307 and seen.header("location").startswith("http://elsewhere.invalid/"),
    "redirect_308": lambda seen: seen.status == 308 and seen.header("location").startswith("http://elsewhere.invalid/"),
    "malformed_json": lambda seen: (
        seen.status == 200 and seen.whole() and seen.body[:1] == b"{" and seen.body[-1:] != b"}"
    ),
    "wrong_schema": lambda seen: seen.status == 200 and "choices" not in seen.text and bool(seen.json("status")),
    "login_page": page(200),
    "wrong_content_type": good(lambda seen: "text/plain" in seen.header("content-type")),
    "empty_200": empty(200),
    "reset": lambda seen: seen == Seen(b"", "reset"),
    "disconnect": lambda seen: seen == Seen(b"", "closed"),
    "hang": lambda seen: seen == Seen(b"", "silent"),
    "hang_mid_body": broken("silent"),
    "reset_mid_body": broken("reset"),
    "cut_body": broken("closed"),
    "drip": good(lambda seen: seen.whole()),
    "endless": lambda seen: seen.status == 200 and seen.end == "endless" and not seen.text.replace("1\r\n \r\n", ""),
    "sse": lambda seen: "text/event-stream" in seen.header("content-type") and seen.text.endswith("data: [DONE]\n\n"),
    "sse_error": lambda seen: '"error":' in seen.text.split("data: ")[-1] and "[DONE]" not in seen.text,
    "sse_cut": lambda seen: (
        '"finish_reason":"' not in seen.text and "[DONE]" not in seen.text and "data: {" in seen.text
    ),
    "no_usage": good(lambda seen: "usage" not in str(seen.json())),
    "null_usage": good(lambda seen: seen.json("usage") is None),
    "zero_usage": good(lambda seen: seen.json("usage", "total_tokens") == 0),
    "wrong_usage": good(lambda seen: seen.json("usage", "total_tokens") == 30),
    "other_model": good(lambda seen: "gpt-4o-mini" not in str(seen.json("model"))),
    "duplicate_id": good(lambda seen: seen.json("id") == "chatcmpl-simulated-duplicate"),
    "other_answer": good(lambda seen: "car" not in seen.text and "kite" in seen.text),
    "chatter": said(lambda text: "Question" not in text and any(word in text for word in ("car", "person", "van"))),
    "unpaired": said(lambda text: text.count("Question:") == text.count("Answer:") + 1),
    "numbered_headers": said(lambda text: text.startswith("**Question 1:** ")),
    "greeting": said(lambda text: text.startswith("Sure!") and "Question: " in text),
    "leak_phrase": said(lambda text: "According to the description" in text),
    "one_pair": said(lambda text: text.count("Question:") == 1),
}

OF_CHATS = [name for name in FAULTS if not name.startswith("vectors_")]  # the others: test_embeddings.py


def test_every_fault_is_described_here() -> None:
    assert set(SHAPES) == set(OF_CHATS)
    assert all(fault.description.endswith(".") for fault in FAULTS.values())


@pytest.mark.parametrize("fault", OF_CHATS)
def test_a_fault_plays_in_its_wire_shape(server: SimulatedServer, fault: str) -> None:
    seen = play(server, fault)
    assert SHAPES[fault](seen), seen
    assert server.requests[-1].fault == fault


@pytest.mark.parametrize("fault", [name for name in OF_CHATS if name != "drip"])
def test_a_fault_is_not_what_is_answered_otherwise(server: SimulatedServer, fault: str) -> None:
    ordinary, seen = play(server, "ok"), play(server, fault)
    assert _without_what_always_differs(ordinary) == _without_what_always_differs(play(server, "ok"))
    assert _without_what_always_differs(seen) != _without_what_always_differs(ordinary)


def _without_what_always_differs(seen: Seen) -> tuple[str, str, str]:
    head = re.sub(r"^(x-request-id|date|content-length):.*$", "", seen.head, flags=re.MULTILINE)
    return head, re.sub(r'"id":"chatcmpl-[0-9a-f]+"|"created":\d+', "", seen.text), seen.end


def test_a_dripping_answer_comes_a_byte_at_a_time() -> None:
    with serve_in_thread(Simulation(drip_seconds=600)) as slow:
        Watch(slow)
        slow.configure(script=("drip",))
        seen = send(slow, hangs="body")
    assert seen.end == "silent"
    assert seen.body == b"{"


@pytest.mark.parametrize("fault", OF_CHATS)
def test_only_faults_with_an_answer_are_billed_and_only_those_that_arrive_count_as_ok(
    server: SimulatedServer, fault: str
) -> None:
    before = server.stats.ok
    play(server, fault)
    record = server.requests[-1]
    assert record.billed == bool(record.prompt_tokens) == (FAULTS[fault].cost is not Cost.FREE)
    assert server.stats.ok - before == (FAULTS[fault].cost is Cost.ANSWERED)
