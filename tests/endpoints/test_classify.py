"""What an error reply means: retry, pause, adapt, record or stop; and no stranger can make that raise an exception."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from harness import HERE
from multidict import CIMultiDict

from syphus.endpoints.chat_reply import classify_chat_reply, unusable_outcome
from syphus.endpoints.classify import Action, ReplyVerdict, classify_error, classify_no_reply
from syphus.endpoints.connections import NoReplyError, NoReplyKind
from syphus.endpoints.rate_limit_headers import retry_wait, stated_limits
from syphus.io.yaml_files import read_yaml
from syphus.types import State

NOW = 1_800_000_000.0
HOST = "api.example"
SENT = b'{"model": "m", "temperature": 0.7, "top_p": 0.95, "max_tokens": 3200, "response_format": {}}'
QUOTA = "You exceeded your current quota, please check your plan and billing details."
FILTERED = "The prompt triggered Azure OpenAI's content management policy."
CONTEXT = "This model's maximum context length is 128000 tokens."


def known_replies() -> list[dict[str, Any]]:
    """Error replies as they are seen on the wire, each with its verdict."""
    replies = read_yaml(HERE / "data" / "replies" / "errors.yaml")
    assert isinstance(replies, list)
    return replies


KNOWN = known_replies()


def raw(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def error(message: str, kind: str | None = None, code: str | int | None = None, param: str | None = None) -> object:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def judge(status: int, body: object, headers: Mapping[str, str] | None = None) -> ReplyVerdict:
    return classify_error(status, CIMultiDict(headers or {}), raw(body), HOST, NOW, SENT)


@pytest.mark.parametrize("known", [pytest.param(known, id=known["reply"]) for known in KNOWN])
def test_every_error_has_its_verdict(known: dict[str, Any]) -> None:
    body = known["json"] if "json" in known else known.get("text", "").encode()
    verdict = judge(known["status"], body, known.get("headers"))
    fields = {"action": verdict.action.name.lower()} | {
        name: getattr(verdict, name) for name in known["verdict"] if name != "action"
    }
    assert fields == known["verdict"]
    assert verdict.cause.isprintable()
    if verdict.action is Action.STOP:
        assert HOST in verdict.message
        assert verdict.advice
        assert verdict.message.isprintable()


# The order of evidence


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_the_code_of_an_empty_account_counts_whatever_the_status(status: int) -> None:
    verdict = judge(status, error("Please retry after 1 second", None, "insufficient_quota"), {"retry-after": "1"})
    assert verdict.action is Action.STOP


def test_the_code_counts_before_the_phrase_and_the_phrase_before_the_status() -> None:
    assert judge(429, error(QUOTA, None, "rate_limit_exceeded")).action is Action.PAUSE
    assert judge(429, error(QUOTA, None, None)).action is Action.STOP
    assert judge(429, error("too many", None, None)).action is Action.PAUSE
    assert judge(400, error(f"{CONTEXT} {FILTERED}", None, "content_filter")).state is State.REFUSED


def test_a_number_in_the_place_of_the_code_says_nothing_and_the_type_counts() -> None:
    assert judge(429, error("no", "insufficient_quota", 429)).action is Action.STOP
    assert judge(429, error("no", "insufficient_quota", "429")).action is Action.STOP
    assert judge(429, error("no", "throttling_error", "429")).action is Action.PAUSE


def test_the_message_of_a_refused_key_is_not_repeated_for_it_shows_a_part_of_the_key() -> None:
    verdict = judge(401, error("Incorrect API key provided: sk-abcde***wxyz", None, "invalid_api_key"))
    assert "sk-" not in verdict.message
    assert "IP" in judge(401, error("Your IP is not on the list", None, "ip_not_authorized")).message


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Access denied due to missing subscription key. Make sure to include it.", "missing subscription key"),
        ("Access denied due to invalid subscription key or wrong API endpoint.", "wrong API endpoint"),
        ("No auth credentials found", "No auth credentials found"),
        ("You must provide the header X-Portkey-Api-Key", "X-Portkey-Api-Key"),
        ("Jwt is expired", "Jwt is expired"),
        ("Received API Key = sk-...7890, Key Hash (Token) =0123456789abcdef0123456789abcdef", "Key Hash"),
        ("Wrong key sk-ab\u2022\u2022\u2022\u2022yz for this team", "for this team"),
    ],
)
def test_the_words_about_a_missing_key_are_shown_without_parts_of_a_key(words: str, said: str) -> None:
    for status in (401, 403):
        verdict = judge(status, {"statusCode": status, "message": words})
        assert verdict.action is Action.STOP
        assert said in verdict.message
        assert not any(part in verdict.message for part in ("7890", "sk-", "yz", "0123"))
    assert "`headers:` of the endpoint" in judge(401, {"message": words}).advice


def test_the_header_that_a_gateway_names_in_its_challenge_is_in_the_advice() -> None:
    challenge = 'AzureApiManagementKey realm="https://g/openai",name="Ocp-Apim-Subscription-Key",type="header"'
    verdict = judge(401, {"message": "Access denied due to missing subscription key."}, {"WWW-Authenticate": challenge})
    assert verdict.advice.endswith("`headers:` of the endpoint, such as Ocp-Apim-Subscription-Key")


@pytest.mark.parametrize(
    "page",
    [
        "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
        "Client sent an HTTP request to an HTTPS server.\n",
        "<p>Reason: You're speaking plain HTTP to an SSL-enabled server port.</p>",
    ],
)
def test_a_port_for_https_says_so(page: str) -> None:
    verdict = judge(400, page)
    assert (verdict.action, verdict.advice) == (Action.STOP, "Write https:// in the base URL")


def test_what_a_stranger_writes_can_not_move_the_cursor_or_fill_the_screen() -> None:
    nasty = "\x1b]0;owned\x07\x1b[2J\r\n" + "x" * 100_000
    for status in (302, 400, 401, 403, 404, 407, 429, 500):
        verdict = judge(status, error(nasty, nasty, nasty, nasty), {"Location": "/" + "y" * 100_000 + "\x1b[2J"})
        assert verdict.cause.isprintable()
        assert len(verdict.cause) < 300
        if verdict.action is Action.STOP:
            assert verdict.message.isprintable()
            assert len(verdict.message) < 600


def test_no_reply_is_tried_again_and_may_have_been_billed_if_it_was_sent() -> None:
    for sent in (True, False):
        verdict = classify_no_reply(NoReplyError(NoReplyKind.RESET, "the connection closed", sent))
        assert (verdict.action, verdict.cause, verdict.message) == (Action.RETRY, "reset", "the connection closed")
        assert verdict.maybe_billed is sent


# Whatever a stranger sends

VALUES: tuple[object, ...] = (
    None, True, 0, -1, 2**63, 2**64 - 1, 10**400, 1.5, "", "None", "429", "\x00\x1b[2J\u2028", "x" * 5000, [], {}, [[]],
    ["insufficient_quota"], {"code": "content_filter"}, {"filtered": True}, [None, {"message": []}],
)  # fmt: skip
HEADER_VALUES = (
    "", "nan", "-inf", "1e999", "9" * 400, "-5", "Wed, 99 Foo 2026 25:61:61 GMT",
    "Thu, 01 Jan 99999999999 00:00:00 GMT",
    "Thu, 01 Jan 1 00:00:00 +9999999", "1h2m3.4.5s", "٣", "\x7f", "1" * 5000 + "s", "0x10", "Thu",
)  # fmt: skip
HEADERS = (
    "retry-after", "retry-after-ms", "llm_provider-retry-after", "content-type", "location",
    "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
)  # fmt: skip
STATUSES = (100, 200, 204, 300, 304, 307, 400, 401, 402, 403, 404, 407, 408, 413, 422, 429, 500, 503, 529, 599, 999)


def mutated(value: object, rng: random.Random) -> object:
    """A copy of a JSON value with something in it replaced, dropped or nested."""
    if rng.random() < 0.15:
        return copy.deepcopy(rng.choice(VALUES))
    if isinstance(value, dict) and value:
        name = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {key: each for key, each in value.items() if key != name}
        return {**value, name: mutated(value[name], rng)}
    if isinstance(value, list) and value:
        place = rng.randrange(len(value))
        return [*value[:place], mutated(value[place], rng), *value[place + 1 :]]
    return [value] if rng.random() < 0.3 else copy.deepcopy(rng.choice(VALUES))


def broken(body: bytes, rng: random.Random) -> bytes:
    """The same bytes cut, doubled, spoiled, or as they are."""
    place = rng.randrange(len(body) + 1)
    return rng.choice(
        (body, body, body[:place], body[:place] + b"\xff\x00" + body[place:], body * 2, b"[" * place + body)
    )


GOOD_BODIES: list[object] = [
    {
        "id": "c-1",
        "model": "m",
        "choices": [
            {
                "message": {"role": "assistant", "content": "fine", "refusal": None},
                "finish_reason": "stop",
                "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}},
    }
]


@pytest.mark.parametrize("seed", range(40))
def test_no_body_and_no_header_of_a_stranger_raises_an_exception(seed: int) -> None:
    rng = random.Random(seed)
    bodies: list[object] = [known["json"] for known in KNOWN if "json" in known] + GOOD_BODIES
    for _ in range(100):
        body = rng.choice(bodies)
        for _ in range(rng.randrange(1, 4)):
            body = mutated(body, rng)
        data = broken(raw(body), rng)
        headers = CIMultiDict({rng.choice(HEADERS): rng.choice(HEADER_VALUES) for _ in range(3)})
        verdict = classify_error(rng.choice(STATUSES), headers, data, HOST, NOW, SENT)
        assert verdict.cause
        assert len(verdict.cause) < 1000
        retry_wait(headers, verdict.message, 1_790_000_000.0)
        for what in ("requests", "tokens"):
            stated_limits(headers, what)
        read_as_answer = classify_chat_reply(data, len(data), headers)
        if read_as_answer.completion is not None:
            unusable_outcome(read_as_answer.completion)
            assert read_as_answer.completion.usage.prompt_tokens >= 0
