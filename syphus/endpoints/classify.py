"""Decides what a reply means for the row and for the run: every error becomes one of a few actions.

    ANSWER   a completion came; the stage decides what it is worth
    RETRY    send the request again after a wait; the attempt counts
    PAUSE    the whole endpoint is asked to wait; costs the row no attempt
    ADAPT    the endpoint does not accept a field of the request: change it and send again
    RECORD   the row has its outcome
    STOP     no row can succeed here now

The evidence is looked at in this order: the error's code, then its documented phrases (gateways rewrite codes and keep
the words), then the status. The status alone never decides between waiting and stopping: a 429 can be a rate limit or
an empty account. What shows only over time, such as an outage, is detected in `syphus.pipeline.health`. Sources: the
error pages of OpenAI and Azure OpenAI; vLLM, llama.cpp and litellm as observed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

import orjson

from syphus.endpoints.error_body import QUOTA_CODES, RATE_CODES, ErrorBody, read_error_body
from syphus.endpoints.rate_limit_headers import retry_after, retry_wait
from syphus.endpoints.refusals import (
    Change,
    ChangeKind,
    Refusal,
    loads_fields,
    read_refusal,
)
from syphus.endpoints.token_limits import Fields, is_prompt_too_long
from syphus.exchange import Completion
from syphus.text import one_line, sentence
from syphus.types import ReasonKind, State

if TYPE_CHECKING:  # aiohttp takes a while to load, and not all who classify replies send requests
    from syphus.endpoints.connections import NoReplyError, NoReplyKind

_QUOTA_PHRASES = ("exceeded your current quota", "check your plan and billing details", "spend limit has been reached")
_FILTER_PHRASES = ("content management policy", "responsibleaipolicyviolation", "content_filter")
_CONTEXT_PHRASES = ("maximum context length", "exceeds the available context size", "context_length_exceeded")
_MODEL_CODES = frozenset({"model_not_found", "deploymentnotfound", "invalid_model"})
_NO_IMAGES_PHRASES = (
    "image_url is only supported by certain models",  # OpenAI, Azure
    "is not a multimodal model",  # vLLM
    "image input is not supported",  # llama-server, with 500
    "support image input",  # Ollama: does not; OpenRouter: no endpoints found that
)
_IMAGE_CODES = frozenset(
    {"image_parse_error", "invalid_base64_image", "empty_image_file", "unsupported_image_media_type"}
)
_IMAGE_CODE_PREFIXES = ("invalid_image", "image_too_", "image_file_")
_ROW_500_PHRASES = (
    "peg-native format",  # llama-server: the output does not match the grammar
    "validationerror",  # llama-cpp-python: json_schema
    "literal_error",  # ... response_format
    "parse error",  # llama-server: the body
    "failed to parse",
)
_PLAIN_HTTP_PHRASES = ("plain http", "http request to an https")  # nginx, Apache; Go
# A key that is shown in part, or its hash. It begins at the first character of a run: others are not tried.
_PART_OF_KEY = re.compile(r"(?<![\w.-])[\w.-]*(?:\*{2,}|\u2022{2,}|\u2026|\.{3,})[\w-]+|\b[0-9a-fA-F]{32,}\b")
_CHALLENGE_HEADER = re.compile(r"\bname=\"?([\w-]+)")  # Azure's API management
_TRANSIENT = frozenset({408, 409, 425})  # client errors that say nothing about the request
_ABOUT_THE_REQUEST = frozenset({400, 401, 404, 405, 406, 410, 411, 413, 414, 415, 422, 431, 451})
_KEY_WORDS = re.compile(r"\bapi[ _-]?key\b|\bcredentials?\b")
MAX_REFUSALS = 3  #: of a row that is refused while others are answered


class Action(Enum):
    """What to do after a reply. The module docstring explains each."""

    ANSWER = auto()
    RETRY = auto()
    PAUSE = auto()
    ADAPT = auto()
    RECORD = auto()
    STOP = auto()


@dataclass(frozen=True, slots=True)
class ReplyVerdict:
    """What to do after a reply, and why.

    `cause` is short and can be counted, `message` is one line for a person, `advice` says what to do about it.
    """

    action: Action
    cause: str
    message: str = ""
    advice: str = ""
    state: State = State.FAILED  #: for RECORD
    completion: Completion | None = None  #: for ANSWER
    changes: tuple[Change, ...] = ()  #: for ADAPT
    of_this_prompt: bool = False  #: for ADAPT: another row's request would probably not need the changes
    rejection: str = ""  #: for ADAPT: the cause if the changes do not help
    limit: str = ""  #: for PAUSE: "requests", "tokens" or "overload", if the server says which
    max_attempts: int = 0  #: attempts that this cause deserves; 0 leaves it to the retry policy
    maybe_billed: bool = False  #: an answer was probably produced and billed, but did not arrive
    caused_by_row: bool = False  #: the endpoint works; only this row's request fails
    maybe_caused_by_row: bool = False  #: for STOP and PAUSE: if others are answered, only this row's request is refused
    maybe_expired_token: bool = False  #: a new token may help, once
    maybe_from_proxy: bool = False  #: perhaps not the endpoint's own reply, but one of a proxy or gateway
    no_reply: NoReplyKind | None = None  #: for RETRY if no reply came
    inner_status: int = 0  #: the status of a client error that came inside a reply with status 200
    inner_error: object = None  #: that error

    @property
    def stop_message(self) -> str:
        """What stops the run, and what to do, in one line."""
        return f"{sentence(self.message)} {self.advice}, then run the same command again."

    def of_row(self) -> ReplyVerdict:
        """Return the same refusal as that of one row, while others are answered: it is tried again a few times."""
        return replace(self, max_attempts=MAX_REFUSALS, caused_by_row=True)


def classify_error(
    status: int, headers: Mapping[str, str], body: bytes, host: str, now: float, sent: bytes = b""
) -> ReplyVerdict:
    """Return the verdict on a reply whose status is not 2xx.

    `body` no longer holds any secret; `host` names the endpoint in messages; `now` is the wall clock, in seconds;
    `sent` is the body of the request.
    """
    error = read_error_body(body)
    words = error.message.lower()
    source = f"{host} ({status} {error.code})" if error.code else f"{host} ({status})"
    if (verdict := _classify_limit(status, headers, error, words, host, now)) is not None:
        return verdict
    wait = retry_after(headers, now)
    if status >= 400 and any(phrase in words for phrase in _NO_IMAGES_PHRASES):
        message = f"{source} says that the model takes no images: {one_line(error.message)}"
        return ReplyVerdict(
            Action.STOP,
            "no images",
            message,
            "Use a model that accepts images, or leave them out",
            maybe_caused_by_row=True,
        )
    if status in (401, 403, 404, 407, 410) or 300 <= status < 400:
        verdict = _classify_access_error(status, headers, error, words, source)
        from_endpoint = 400 <= status != 407 and body.lstrip().startswith(b"{")
        verdict = replace(verdict, maybe_caused_by_row=status != 407)
        return verdict if from_endpoint else replace(verdict, maybe_from_proxy=True)
    if status >= 500 or status in _TRANSIENT or (wait is not None and status not in _ABOUT_THE_REQUEST):
        asks_to_wait = retry_wait(headers, "", now) is not None or (status == 503 and "retry-after" in headers)
        return _classify_server_error(status, error, words, asks_to_wait)
    if status == 400 and any(phrase in words for phrase in _PLAIN_HTTP_PHRASES) and body.lstrip()[:1] != b"{":
        message = f"{source} speaks https: {one_line(error.message, 80)}"
        return ReplyVerdict(Action.STOP, "plain http", message, "Write https:// in the base URL")
    fields = loads_fields(sent)
    return _classify_rejection(status, error, source, read_refusal(*_evidence(error, body), fields), fields)


def classify_no_reply(error: NoReplyError) -> ReplyVerdict:
    """Return the verdict on a request that got no reply."""
    kind = error.kind
    return ReplyVerdict(Action.RETRY, kind.value, error.message, maybe_billed=error.sent, no_reply=kind)


def _classify_limit(
    status: int, headers: Mapping[str, str], error: ErrorBody, words: str, host: str, now: float
) -> ReplyVerdict | None:
    """Classify what an account or a server can't take now: no credit, a rate limit, overload. None for other errors."""
    if _is_quota(status, headers, error, words, now):
        reason = error.code if error.code in QUOTA_CODES else one_line(error.message)
        message = f"Out of credit at {host} ({reason})."
        return ReplyVerdict(Action.STOP, "out of credit", message, "Top up", maybe_caused_by_row=True)
    if status == 429 and "request too large" in words:
        return ReplyVerdict(Action.RECORD, "larger than the limit of a minute", error.message, caused_by_row=True)
    wait = retry_after(headers, now)
    if status == 403 and wait is not None and "quota" in words:
        return ReplyVerdict(Action.PAUSE, "quota", error.message)
    if status == 429 or (status == 402 and "retry-after" in headers) or (status == 403 and wait is not None):
        return ReplyVerdict(Action.PAUSE, "rate limit", error.message, limit=_exceeded_limit(error, words))
    if error.code in ("server_is_overloaded", "slow_down") or status == 529:
        return ReplyVerdict(Action.PAUSE, "overloaded", error.message, limit="overload")
    return None


def _is_quota(status: int, headers: Mapping[str, str], error: ErrorBody, words: str, now: float) -> bool:
    if error.code in RATE_CODES:
        return False
    if error.code in QUOTA_CODES:
        return True
    if status == 402:
        return "retry-after" not in headers
    if status == 403:
        # Azure's API management: "Out of call volume quota" / "quota exceeded"
        return "quota" in words and retry_after(headers, now) is None
    if status != 429 or not any(phrase in words for phrase in _QUOTA_PHRASES):
        return False
    return retry_wait(headers, error.message, now) is None  # Gemini uses these words for a limit per minute, too


def _exceeded_limit(error: ErrorBody, words: str) -> str:
    if error.code == "slow_down":
        return "overload"
    if "token" in words:
        return "tokens"
    return "requests" if "request" in words or "call rate" in words else ""


def _classify_access_error(
    status: int, headers: Mapping[str, str], error: ErrorBody, words: str, source: str
) -> ReplyVerdict:
    if _is_filtered(error, words):
        return _filter_verdict(error)
    if 300 <= status < 400:
        target = one_line(headers.get("location", "elsewhere"))
        message = f"{source} redirects to {target}; the key is not sent there."
        return ReplyVerdict(Action.STOP, "redirect", message, "If that is your server, make it the base URL")
    if status == 401:
        message, advice = _refused_key(headers, error, source)
        return ReplyVerdict(Action.STOP, "key refused", message, advice, maybe_expired_token=True)
    if status == 407:
        message = f"The proxy on the way to {source} requires a user name and a password."
        return ReplyVerdict(Action.STOP, "proxy", message, "Set HTTP_PROXY=http://USER:PASSWORD@HOST:PORT")
    if status == 403:
        message = f"{source} denied access: {one_line(_PART_OF_KEY.sub('[secret]', error.message))}"
        advice = "Ask for access, or use another endpoint"
        return ReplyVerdict(Action.STOP, "access denied", message, advice, maybe_expired_token=True)
    what = "model or deployment" if error.code.lower() in _MODEL_CODES or "model" in words else "address"
    return ReplyVerdict(
        Action.STOP,
        f"unknown {what}",
        f"{source} does not know the {what}: {one_line(error.message)}",
        "Check the model or deployment, the API version, and the base URL (most end in /v1)",
    )


def _refused_key(headers: Mapping[str, str], error: ErrorBody, source: str) -> tuple[str, str]:
    """Return the message on a key that was refused, and the advice. The words may show parts of the key.

    A gateway that asks for a key of its own says so in its words, and perhaps the name of the header in a challenge.
    """
    words = one_line(_PART_OF_KEY.sub("[secret]", error.message))
    if not words or error.code == "invalid_api_key":
        return f"{source} refused the key.", "Set another key"
    found = _CHALLENGE_HEADER.search(headers.get("www-authenticate", ""))
    header = f", such as {found[1]}" if found else ""
    advice = f"Set another key, or what a gateway asks for under `headers:` of the endpoint{header}"
    return f"{source} refused the key: {words}.".replace("..", "."), advice


def _classify_server_error(status: int, error: ErrorBody, words: str, asks_to_wait: bool) -> ReplyVerdict:
    message = one_line(error.message) or "no message"
    if status == 500 and any(phrase in words for phrase in _ROW_500_PHRASES):
        cause = "server error 500 about the request"
        return ReplyVerdict(Action.RETRY, cause, message, max_attempts=3, caused_by_row=True)
    maybe_billed = status in (408, 504)
    if asks_to_wait:
        cause = "overloaded" if status == 503 else f"busy {status}"
        return ReplyVerdict(
            Action.PAUSE,
            cause,
            message,
            limit="overload",
            maybe_billed=maybe_billed,
            maybe_caused_by_row=status != 503,
        )
    return ReplyVerdict(Action.RETRY, f"server error {status}", message, maybe_billed=maybe_billed)


def _evidence(error: ErrorBody, body: bytes) -> tuple[object, str, str, str]:
    try:
        data: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = None
    return data, error.message, error.param, error.code


def _classify_rejection(status: int, error: ErrorBody, source: str, refusal: Refusal, sent: Fields) -> ReplyVerdict:
    """Classify 400, 413, 422 and other client errors: about this row, unless a field of the request is refused."""
    words = error.message.lower()
    said = one_line(error.message) or "no message"
    message = f"{source}: {said}"
    rejection = f"rejected {status}: {one_line(said, 80)}"
    if _is_filtered(error, words):
        return _filter_verdict(error)
    if _KEY_WORDS.search(words) and not refusal.changes:  # Gemini's is a 400
        stop = f"{source} refused the key: {one_line(error.message)}"
        return ReplyVerdict(
            Action.STOP, "key refused", stop, "Set another key", maybe_caused_by_row=True, maybe_expired_token=True
        )
    if error.code == "OperationNotSupported":
        return ReplyVerdict(Action.STOP, "operation not supported", message, "Use a model that can do this")
    too_long = error.code in ("context_length_exceeded", "exceed_context_size_error")
    too_long = too_long or any(phrase in words for phrase in _CONTEXT_PHRASES) or is_prompt_too_long(words, sent)
    if too_long and not any(change.kind is ChangeKind.AT_MOST for change in refusal.changes):
        return ReplyVerdict(Action.RECORD, "context too long", error.message, caused_by_row=True)
    if error.code in _IMAGE_CODES or error.code.startswith(_IMAGE_CODE_PREFIXES):
        return ReplyVerdict(Action.RECORD, f"image not accepted: {error.code}", message)
    if refusal.changes:
        names = ", ".join(change.name for change in refusal.changes)
        return ReplyVerdict(
            Action.ADAPT,
            f"{names} not supported",
            error.message,
            changes=refusal.changes,
            of_this_prompt=refusal.of_this_prompt,
            rejection="context too long" if too_long else rejection,
        )
    if refusal.names or error.param == "model":
        name = refusal.names[0] if refusal.names else error.param
        message = f"{source} does not accept this {name}: {one_line(error.message)}"
        return ReplyVerdict(Action.STOP, f"bad {name}", message, f"Change {name}", maybe_caused_by_row=True)
    return ReplyVerdict(Action.RECORD, rejection, message)


def _is_filtered(error: ErrorBody, words: str) -> bool:
    if error.code in ("content_filter", "image_content_policy_violation"):
        return True
    if error.inner.get("code") == "ResponsibleAIPolicyViolation":
        return True
    return any(phrase in words for phrase in _FILTER_PHRASES)


def _filter_verdict(error: ErrorBody) -> ReplyVerdict:
    categories = filter_flags(error.inner.get("content_filter_result"))
    cause = f"{ReasonKind.CONTENT_FILTER}prompt" + (f" ({', '.join(categories)})" if categories else "")
    return ReplyVerdict(Action.RECORD, cause, error.message, state=State.REFUSED, caused_by_row=True)


def filter_flags(results: object) -> tuple[str, ...]:
    """Return the categories that an Azure `content_filter_result(s)` object reports: ("hate: high", "jailbreak")."""
    if not isinstance(results, dict):
        return ()
    hits = {k: v for k, v in results.items() if isinstance(v, dict) and (v.get("filtered") or v.get("detected"))}
    named = (f"{name}: {v['severity']}" if v.get("severity") else str(name) for name, v in sorted(hits.items()))
    return tuple(one_line(name, 80) for name in named)
