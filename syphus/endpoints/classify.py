"""What a reply means for the row and for the run. Every error ends here, and becomes one of a few verbs.

    ANSWER   a completion came; the stage decides what it is worth
    RETRY    ask again after a wait; the attempt counts
    PAUSE    the whole endpoint is asked to wait; costs the row no attempt
    ADAPT    the model does not take a sampling parameter: leave it out and ask again
    RECORD   the row has its outcome
    STOP     no row can succeed here now

The order of evidence: the error's code, then its documented phrases (gateways rewrite codes and keep the words), then
the status. The status alone never decides between waiting and stopping: a 429 can be a rate limit or an empty account.
Behaviour, such as no success for a long time, is the business of `outage.py`. Sources: OpenAI's and Azure OpenAI's
error pages, vLLM, llama.cpp and litellm as seen on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import NamedTuple

import orjson

from syphus.endpoints.rate_limit_headers import retry_wait
from syphus.ledger.reasons import ReasonKind
from syphus.text import one_line
from syphus.types import Completion, State

# FOLDED from problems.py:
# An error's body in any shape: of OpenAI, Azure, vLLM, llama.cpp, litellm or FastAPI, a string, HTML or nothing.

QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
RATE_CODES = frozenset({"rate_limit_exceeded", "slow_down", "server_is_overloaded", "too_many_requests"})
_LONGEST = 10_000  # characters of a message that are looked at


class ErrorBody(NamedTuple):
    """What an error says: its words, its code (or else its type), the parameter it is about, Azure's inner error."""

    message: str
    code: str
    param: str
    inner: Mapping[str, object]


def read_error_body(body: bytes) -> ErrorBody:
    """The error in a body of any shape: OpenAI's, Azure's, vLLM's, FastAPI's, a bare string, HTML or nothing."""
    try:
        data: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ErrorBody(body[:_LONGEST].decode("utf-8", "replace").strip(), "", "", {})
    if not isinstance(data, dict):
        return ErrorBody(_as_text(data), "", "", {})
    error = data.get("error") or data
    if isinstance(error, dict):
        return _problem(error)
    return ErrorBody(_as_text(error), _identifier(data.get("code")), "", {})


def _problem(error: dict[str, object]) -> ErrorBody:
    code, kind = _identifier(error.get("code")), _identifier(error.get("type"))
    named = code or kind
    if kind in QUOTA_CODES and code not in RATE_CODES and code not in QUOTA_CODES:
        named = kind
    inner = error.get("innererror") or error.get("provider_specific_fields") or {}
    if isinstance(inner, dict) and isinstance(inner.get("innererror"), dict):
        inner = inner["innererror"]
    message = error.get("message") or error.get("detail") or error.get("Message") or ""
    return ErrorBody(
        _as_text(message), named, _identifier(error.get("param")), inner if isinstance(inner, dict) else {}
    )


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:_LONGEST]


def _identifier(value: object) -> str:
    """A code, type or parameter; gateways write numbers and Python's None into these fields."""
    return one_line(value, 80) if isinstance(value, str) and value != "None" and not value.isdecimal() else ""


class Action(Enum):
    """The verb of a verdict."""

    ANSWER = auto()
    RETRY = auto()
    PAUSE = auto()
    ADAPT = auto()
    RECORD = auto()
    STOP = auto()


@dataclass(frozen=True, slots=True)
class ReplyVerdict:
    """What to do, and how to tell it. `cause` is short and countable, `message` one line for a person, `advice` what
    helps.
    """

    action: Action
    cause: str
    message: str = ""
    advice: str = ""
    state: State = State.FAILED  #: for RECORD
    completion: Completion | None = None  #: for ANSWER
    parameter: str = ""  #: for ADAPT
    limit: str = ""  #: for PAUSE: "requests" or "tokens", where the server says which
    max_attempts: int = 0  #: attempts that this cause is worth; 0 leaves it to the policy
    maybe_billed: bool = False  #: an answer was probably produced, and paid for, but did not arrive
    caused_by_row: bool = False  #: says nothing of the endpoint's health
    maybe_expired_token: bool = False  #: a new token may help, once
    maybe_from_proxy: bool = False  #: perhaps not the endpoint's own words: something on the way has answered


_QUOTA_PHRASES = ("exceeded your current quota", "check your plan and billing details", "spend limit has been reached")
_FILTER_PHRASES = ("content management policy", "responsibleaipolicyviolation", "content_filter")
_CONTEXT_PHRASES = ("maximum context length", "exceeds the available context size", "context_length_exceeded")
_MODEL_CODES = frozenset({"model_not_found", "deploymentnotfound", "invalid_model"})
_NO_IMAGES = (
    "image_url is only supported by certain models",  # OpenAI, Azure
    "is not a multimodal model",  # vLLM
    "image input is not supported",  # llama-server, with 500
    "support image input",  # Ollama: does not; OpenRouter: no endpoints found that
)
_IMAGE_CODES = frozenset(
    {"image_parse_error", "invalid_base64_image", "empty_image_file", "unsupported_image_media_type"}
)
_IMAGE_CODE_STARTS = ("invalid_image", "image_too_", "image_file_")
_ROW_500_PHRASES = (
    "peg-native format",  # llama-server: the output does not match the grammar
    "validationerror",  # llama-cpp-python: json_schema
    "literal_error",  # ... response_format
    "parse error",  # llama-server: the body
    "failed to parse",
)
_SAMPLING = (
    *("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "response_format"),
    *("encoding_format", "dimensions"),  # of vectors
)
_REFUSED_PARAMETER = (
    "unsupported",
    "not supported",
    "does not support",
    "not permitted",
    "extra_forbidden",
    "unrecognized",
)


def classify_error(status: int, headers: Mapping[str, str], body: bytes, host: str, now: float) -> ReplyVerdict:
    """The verdict on a reply whose status is not 200.

    `body` holds no secret any more; `host` names the endpoint to people; `now` is the wall clock, in seconds.
    """
    problem = read_error_body(body)
    words = problem.message.lower()
    told = f"{host} ({status} {problem.code})" if problem.code else f"{host} ({status})"
    if _is_quota(status, headers, problem, words, now):
        why = problem.code if problem.code in QUOTA_CODES else one_line(problem.message)
        return ReplyVerdict(Action.STOP, "out of credit", f"Out of credit at {host} ({why}).", "Top up")
    if status == 429 and "request too large" in words:
        return ReplyVerdict(Action.RECORD, "larger than the limit of a minute", problem.message, caused_by_row=True)
    if status == 429 or (status == 402 and "retry-after" in headers):
        return ReplyVerdict(Action.PAUSE, "rate limit", problem.message, limit=_which_limit(problem, words))
    if problem.code in ("server_is_overloaded", "slow_down") or status == 529:
        return ReplyVerdict(Action.PAUSE, "overloaded", problem.message, limit="overload")
    if status >= 400 and any(phrase in words for phrase in _NO_IMAGES):
        message = f"The model takes no images, says {told}: {one_line(problem.message)}"
        return ReplyVerdict(Action.STOP, "no images", message, "Use a model that sees, or leave the images out")
    if status in (401, 403, 404, 407) or 300 <= status < 400:
        verdict = _classify_access_error(status, headers, problem, words, told)
        own = 400 <= status != 407 and body.lstrip().startswith(b"{")
        return verdict if own else replace(verdict, maybe_from_proxy=True)
    if status >= 500 or status in (408, 409, 425):
        return _classify_server_error(status, problem, words, headers)
    return _classify_rejection(status, problem, words, told)


def classify_no_reply(kind: str, message: str, sent: bool) -> ReplyVerdict:
    """The verdict where no reply came; the arguments are those of `NoReplyError`."""
    return ReplyVerdict(Action.RETRY, kind, message, maybe_billed=sent)


def _is_quota(status: int, headers: Mapping[str, str], problem: ErrorBody, words: str, now: float) -> bool:
    if problem.code in RATE_CODES:
        return False
    if problem.code in QUOTA_CODES:
        return True
    if status == 402:
        return "retry-after" not in headers
    if status == 403:
        return "quota" in words  # Azure's API management: "Out of call volume quota" / "quota exceeded"
    if status != 429 or not any(phrase in words for phrase in _QUOTA_PHRASES):
        return False
    return retry_wait(headers, problem.message, now) is None  # Gemini says these words of a minute's limit, too


def _which_limit(problem: ErrorBody, words: str) -> str:
    if problem.code == "slow_down":
        return "overload"
    if "token" in words:
        return "tokens"
    return "requests" if "request" in words or "call rate" in words else ""


def _classify_access_error(
    status: int, headers: Mapping[str, str], problem: ErrorBody, words: str, told: str
) -> ReplyVerdict:
    if _is_filtered(problem, words):
        return _filter_verdict(problem)
    if 300 <= status < 400:
        where = one_line(headers.get("location", "elsewhere"))
        return ReplyVerdict(
            Action.STOP,
            "redirect",
            f"{told} redirects to {where}; the key is not sent there.",
            "If that is your server, make it the base URL",
        )
    if status == 401:
        why = (
            "" if problem.code in ("", "invalid_api_key") else f": {one_line(problem.message)}"
        )  # which echoes the key
        return ReplyVerdict(
            Action.STOP,
            "key refused",
            f"The key was refused by {told}{why}.",
            "Set another key",
            maybe_expired_token=True,
        )
    if status == 407:
        return ReplyVerdict(
            Action.STOP,
            "proxy",
            f"The proxy on the way to {told} wants a user and a password.",
            "Set HTTP_PROXY=http://USER:PASSWORD@HOST:PORT",
        )
    if status == 403:
        return ReplyVerdict(
            Action.STOP,
            "access denied",
            f"Access was denied by {told}: {one_line(problem.message)}",
            "Ask for access, or use another endpoint",
            maybe_expired_token=True,
        )
    what = "model or deployment" if problem.code.lower() in _MODEL_CODES or "model" in words else "address"
    return ReplyVerdict(
        Action.STOP,
        f"unknown {what}",
        f"The {what} is not known to {told}: {one_line(problem.message)}",
        "Check the model or deployment, the API version, and the base URL (most end in /v1)",
    )


def _classify_server_error(status: int, problem: ErrorBody, words: str, headers: Mapping[str, str]) -> ReplyVerdict:
    message = one_line(problem.message) or "no message"
    if status == 500 and any(phrase in words for phrase in _ROW_500_PHRASES):
        return ReplyVerdict(
            Action.RETRY, "server error 500 about the request", message, max_attempts=3, caused_by_row=True
        )
    if status == 503 and ("retry-after" in headers or "retry-after-ms" in headers):
        return ReplyVerdict(Action.PAUSE, "overloaded", message, limit="overload")
    return ReplyVerdict(Action.RETRY, f"server error {status}", message, maybe_billed=status in (408, 504))


def _classify_rejection(status: int, problem: ErrorBody, words: str, told: str) -> ReplyVerdict:
    """400, 413, 422 and other client errors: about this row, unless a sampling parameter is refused."""
    if _is_filtered(problem, words):
        return _filter_verdict(problem)
    if problem.code == "OperationNotSupported":
        return ReplyVerdict(
            Action.STOP,
            "operation not supported",
            f"{told}: {one_line(problem.message)}",
            "Use a model that can do this",
        )
    if problem.code in ("context_length_exceeded", "exceed_context_size_error") or any(
        p in words for p in _CONTEXT_PHRASES
    ):
        return ReplyVerdict(Action.RECORD, "context too long", problem.message, caused_by_row=True)
    if problem.code in _IMAGE_CODES or problem.code.startswith(_IMAGE_CODE_STARTS):
        return ReplyVerdict(
            Action.RECORD, f"image not accepted: {problem.code}", f"{told}: {one_line(problem.message)}"
        )
    parameter = _refused_parameter(problem, words)
    if parameter:
        return ReplyVerdict(Action.ADAPT, f"{parameter} not supported", problem.message, parameter=parameter)
    if problem.param in (*_SAMPLING, "model"):
        message = f"{told} does not take this {problem.param}: {one_line(problem.message)}"
        return ReplyVerdict(Action.STOP, f"bad {problem.param}", message, f"Change {problem.param}")
    cause = f"rejected {status}: {one_line(problem.message, 80)}"
    return ReplyVerdict(Action.RECORD, cause, f"{told}: {one_line(problem.message)}")


def _refused_parameter(problem: ErrorBody, words: str) -> str:
    if problem.param == "response_format" or "json_schema" in words:  # "is enabled only for api versions ..."
        return "response_format"
    if problem.code not in ("unsupported_parameter", "unsupported_value") and not any(
        p in words for p in _REFUSED_PARAMETER
    ):
        return ""
    if problem.param:
        return problem.param if problem.param in _SAMPLING else ""
    return next((name for name in _SAMPLING if name in words), "")


def _is_filtered(problem: ErrorBody, words: str) -> bool:
    if (
        problem.code in ("content_filter", "image_content_policy_violation")
        or problem.inner.get("code") == "ResponsibleAIPolicyViolation"
    ):
        return True
    return any(phrase in words for phrase in _FILTER_PHRASES)


def _filter_verdict(problem: ErrorBody) -> ReplyVerdict:
    categories = filter_flags(problem.inner.get("content_filter_result"))
    cause = f"{ReasonKind.CONTENT_FILTER}prompt" + (f" ({', '.join(categories)})" if categories else "")
    return ReplyVerdict(Action.RECORD, cause, problem.message, state=State.REFUSED, caused_by_row=True)


def filter_flags(results: object) -> tuple[str, ...]:
    """The categories that were filtered, of an Azure `content_filter_result(s)` object: ("hate: high", "jailbreak")."""
    if not isinstance(results, dict):
        return ()
    hits = {k: v for k, v in results.items() if isinstance(v, dict) and (v.get("filtered") or v.get("detected"))}
    named = (f"{name}: {v['severity']}" if v.get("severity") else str(name) for name, v in sorted(hits.items()))
    return tuple(one_line(name, 80) for name in named)
