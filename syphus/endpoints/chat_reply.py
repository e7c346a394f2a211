"""Reads a chat completion: what the model wrote, why it stopped, and the tokens it used.

Nothing that the server says is trusted. A body that is not a chat completion (an HTML login page, cut JSON, an
unrequested event stream) is a RETRY: the answer was probably produced and billed, so it counts as "maybe billed". Usage
that is missing, null or zero is estimated, and marked as such.

A paid answer is read even if it is not quite JSON: servers written in Python send NaN and half surrogate pairs, others
send a byte order mark or broken characters. Text that can't be stored as it came is stored with such characters
escaped, and is flagged, so that it is never taken for a good answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import orjson

from syphus.endpoints.classify import Action, ReplyVerdict, filter_flags
from syphus.endpoints.structured import AnswerFormat
from syphus.endpoints.token_usage import read_count, read_usage, usage_elsewhere
from syphus.exchange import PACKED, Completion
from syphus.text import one_line, strip_images
from syphus.types import Outcome, ReasonKind, State

COMPLETE_REASONS = frozenset(
    {"", "stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete"}
)  #: finish reasons
CUT_OFF_REASONS = frozenset({"length", "max_tokens", "max_length", "model_length", "token_limit"})
FILTERED_REASONS = frozenset({"content_filter", "safety", "blocklist", "prohibited_content", "recitation", "sensitive"})
_REASON_PARTS = {  # in this order: "content_filter_stop" is not a normal end
    "content_filter": (
        "filter",
        "safety",
        "block",
        "prohibit",
        "recit",
        "sensitive",
        "policy",
        "spii",
        "guard",
        "moderat",
    ),
    "length": ("length", "token", "limit", "max_", "context", "truncat", "cut"),
}
BROKEN_TEXT = "text that is no UTF-8"  #: a flag

READ_ELSEWHERE = "read from the field for reasoning"  #: a flag
ONLY_REASONING = "reasoning in place of an answer"  #: a reason
_TEXT_TYPES = (None, "text", "output_text")
_NO_ANSWER = frozenset({"role", "content", "refusal", "name", "id", "type", "object", "model"})  # fields of a message
_NEARLY = 0.9  # share of the limit that is as good as all of it, since servers count differently
_CONTEXT_STEP = 256  # tokens; the contexts of servers are multiples of this
# Keys of their answers; by ai.google.dev, docs.ollama.com and platform.claude.com, on compatibility (2026-12-01).
_OTHER_APIS = (
    ("candidates", "Gemini's own API", "https://generativelanguage.googleapis.com/v1beta/openai"),
    ("promptFeedback", "Gemini's own API", "https://generativelanguage.googleapis.com/v1beta/openai"),
    ("stop_reason", "Anthropic's own API", "https://api.anthropic.com/v1"),
    ("done", "Ollama's own API", "http://HOST:11434/v1"),
    ("output", "the Responses API", "the same without /responses"),
    ("generated_text", "the API of a text generation server", "the same with /v1"),
)


def classify_chat_reply(body: bytes, prompt_bytes: int, headers: Mapping[str, str]) -> ReplyVerdict:
    """Return ANSWER with the completion, or RETRY if the body is not one. `prompt_bytes` is the size of the request."""
    try:
        data = decode_json(body)
    except (ValueError, RecursionError):
        return invalid_json(body, headers)
    if not isinstance(data, dict) or not isinstance(data.get("choices"), list) or _failed(data):
        return unexpected_body("chat completion", data, body)
    if (error := _error_of_choice(data["choices"])) is not None:
        return unexpected_body("chat completion", {"error": error}, body)
    return ReplyVerdict(Action.ANSWER, "", completion=_completion(data, prompt_bytes))


def unexpected_body(expected: str, data: object, body: bytes) -> ReplyVerdict:
    """Return the verdict on `data`, read from `body`, that is not what was `expected`."""
    if isinstance(data, dict) and data.get("error"):
        error = data["error"]
        said = error.get("message") if isinstance(error, dict) else error
        text = _excerpt(str(said or error).encode("utf-8", "replace"))
        status = error.get("code") or error.get("status") if isinstance(error, dict) else data.get("code")
        verdict = ReplyVerdict(Action.RETRY, "error inside a 200", text, maybe_billed=True)
        return replace(verdict, inner_status=status_of(status), inner_error=error)
    return ReplyVerdict(Action.RETRY, f"not a {expected}", _other_api(data) + _excerpt(body), maybe_billed=True)


def _other_api(data: object) -> str:
    """Return whose native API answers in this form, and where its compatible one is; "" for anything else."""
    first = data[0] if isinstance(data, list) and data else data
    found = (each for each in _OTHER_APIS if isinstance(first, dict) and each[0] in first)
    return next((f"This is {name}; set the base URL to its compatible one: {where}. " for _, name, where in found), "")


def status_of(code: object) -> int:
    """Return the HTTP status that an error inside a reply repeats, or 0."""
    if isinstance(code, str) and code.isascii() and code.isdecimal() and len(code) == 3:
        code = int(code)
    return code if isinstance(code, int) and 400 <= code < 500 else 0


def decode_json(body: bytes) -> object:
    """Return the JSON in a body, even if it breaks minor rules. Raises `ValueError` if it is not JSON."""
    try:
        data: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = json.loads(body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape"))
    return data


def _failed(data: dict[str, object]) -> bool:
    return bool(data.get("error")) and not data["choices"]


def _error_of_choice(choices: list[object]) -> object:
    """Return the error that a gateway puts in the place of an answer, perhaps after a part of it, or None."""
    choice = choices[0] if choices else None
    if not isinstance(choice, dict):
        return None
    reason = choice.get("finish_reason")
    if error := choice.get("error"):
        return error
    if isinstance(reason, str) and (reason.lower().endswith("error") or "fail" in reason.lower()):
        return f"finish reason {one_line(reason, 40)}"
    return None


def invalid_json(body: bytes, headers: Mapping[str, str]) -> ReplyVerdict:
    """Return the verdict on a body that is not JSON."""
    kind = headers.get("content-type", "").partition(";")[0]
    if not body:
        cause = "empty body"
    elif kind in ("text/html", "text/event-stream"):
        cause = f"{kind} instead of JSON"
    else:
        cause = "malformed JSON"
    return ReplyVerdict(Action.RETRY, cause, _excerpt(body), maybe_billed=True)


def _excerpt(body: bytes) -> str:
    """Return the beginning of a body as one line, without images."""
    return one_line(strip_images(body[:10_000])[:200].decode("utf-8", "replace"))


def _completion(data: dict[str, object], prompt_bytes: int) -> Completion:
    choice = _first_choice(data["choices"])
    message = choice.get("message")
    message = message if isinstance(message, dict) else {"content": choice.get("text")}  # as of older completions
    raw = _text(message.get("content"))
    misplaced = "" if raw.strip() else _text_elsewhere(message)
    raw = misplaced or raw
    text = storable(raw)
    broken = (BROKEN_TEXT,) if text != raw else ()
    elsewhere = (READ_ELSEWHERE,) if misplaced else ()
    filters = choice.get("content_filter_results")
    did_not_run = ("filter did not run",) if isinstance(filters, dict) and filters.get("error") else ()
    return Completion(
        text=text,
        finish_reason=_finish_reason(choice),
        model=storable(one_line(str(data.get("model") or ""), 200)),
        usage=read_usage(
            data.get("usage") or choice.get("usage") or usage_elsewhere(data), prompt_bytes, len(text.encode())
        ),
        refusal=storable(_text(message.get("refusal"))),
        flags=filter_flags(filters) + did_not_run + broken + elsewhere,
        response_id=storable(one_line(str(data.get("id") or ""), 200)),
        service_tier=_tier(data),
    )


def _first_choice(choices: object) -> Mapping[str, object]:
    """Return the choice with the lowest index, wherever it stands; empty if there is none."""
    found = [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
    return min(found, key=lambda each: read_count(each.get("index")), default={})


def _finish_reason(choice: Mapping[str, object]) -> str:
    """Return why the model stopped, "" if nothing is said."""
    reason = choice.get("finish_reason")
    if isinstance(reason, dict):
        reason = reason.get("type") or reason.get("reason") or reason
    return storable(one_line(str(reason or ""), 80))


def _tier(data: Mapping[str, object]) -> str:
    """Return the service tier that served a reply. OpenAI names it beside the usage, Anthropic in it."""
    tier = data.get("service_tier")
    if tier is None and isinstance(usage := data.get("usage"), dict):
        tier = usage.get("service_tier")
    return storable(one_line(tier, 40)) if isinstance(tier, str) else ""


def _text(content: object) -> str:
    """Return the text of a content: a string, null, or a list of texts and typed parts. Reasoning is not text."""
    if isinstance(content, dict):
        content = content["parts"] if isinstance(content.get("parts"), list) else [content]
    if isinstance(content, list):
        parts = ({"text": part} if isinstance(part, str) else part for part in content)
        said = (part for part in parts if isinstance(part, dict) and part.get("type") in _TEXT_TYPES)
        return "".join(str(part.get("text") or "") for part in said if not part.get("thought"))
    return content if isinstance(content, str) else ""


def _text_elsewhere(message: Mapping[str, object]) -> str:
    """Return the answer of a server that puts all of it into a field for reasoning: the longest text of the message."""
    parts = message.get("content")
    texts = [str(part.get("text") or "") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    others = (value for name, value in message.items() if name not in _NO_ANSWER and isinstance(value, str))
    return max((text for text in ("".join(texts), *others) if text.strip()), key=len, default="")


def storable(text: str) -> str:
    """Return the text with everything that UTF-8 can't hold, such as half of a surrogate pair, escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _cut_off_outcome(completion: Completion) -> Outcome:
    """Return the outcome of an answer that has reached the limit of its tokens, which reasoning counts towards."""
    began, usage = bool(completion.text.strip()) and READ_ELSEWHERE not in completion.flags, completion.usage
    if 2 * usage.reasoning_tokens < usage.completion_tokens or not usage.reasoning_tokens:
        reason = "cut off at max_tokens" if began else "max_tokens used up before the answer began"
        return Outcome(State.TRUNCATED, reason=reason)
    reason = "cut off at max_tokens" if began else "max_tokens used up before the answer began"
    reason += ": reasoning took most of them"
    tokens = f"{usage.reasoning_tokens:,} of {usage.completion_tokens:,} tokens were reasoning"
    detail = f"{tokens}. Lower --reasoning-effort, or raise --max-tokens."
    return Outcome(State.TRUNCATED, reason=reason, detail=detail)


def _context_end_outcome(completion: Completion, limit: int | None) -> Outcome | None:
    """Return the outcome of an answer that was cut off where the context ended, or None.

    It was allowed more tokens, and prompt and answer together are a round number, as the contexts of servers are.
    """
    usage = completion.usage
    total = usage.prompt_tokens + usage.completion_tokens
    rest = min(total % _CONTEXT_STEP, -total % _CONTEXT_STEP)
    if limit is None or usage.estimated or usage.completion_tokens >= _NEARLY * limit or rest > 1:
        return None
    counts = f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} = {total:,} tokens"
    detail = f"{counts}. Give the server a longer context, or shorten the prompt; --max-tokens does not help."
    return Outcome(State.TRUNCATED, reason="cut off at the end of the context", detail=detail)


def _empty_outcome(completion: Completion) -> Outcome:
    """Return the outcome of an answer without text. The model has refused nothing, and may answer another time."""
    usage = completion.usage
    if usage.reasoning_tokens and 2 * usage.reasoning_tokens >= usage.completion_tokens:
        detail = f"All of it, {usage.reasoning_tokens:,} tokens, was reasoning. Lower --reasoning-effort."
    else:
        detail = "The server sent no text. If many are like this, look at its log and at the model's chat template."
    return Outcome(State.INVALID, reason="empty answer", detail=detail)


def _known_reason(reason: str) -> str:
    """Return what a finish reason in other words means; itself if that is unknown."""
    if reason in COMPLETE_REASONS | CUT_OFF_REASONS | FILTERED_REASONS:
        return reason
    for known, parts in _REASON_PARTS.items():
        if any(part in reason for part in parts):
            return known
    return reason


def unusable_outcome(completion: Completion, limit: int | None = None) -> Outcome | None:
    """Return the outcome of an answer that is not worth parsing, or None. `limit` is what the answer was allowed.

    Such an answer is cut off, filtered, a refusal, broken or empty, or has an unknown finish reason, which does not
    mean that it is complete. A missing finish reason says nothing.
    """
    reason = _known_reason(completion.finish_reason.lower())
    if reason in FILTERED_REASONS:
        flags = ", ".join(
            flag for flag in completion.flags if flag not in set(AnswerFormat) and not flag.startswith(PACKED)
        )
        return Outcome(State.REFUSED, reason=f"{ReasonKind.CONTENT_FILTER}answer" + (f" ({flags})" if flags else ""))
    if reason in CUT_OFF_REASONS:
        return _context_end_outcome(completion, limit) or _cut_off_outcome(completion)
    if completion.refusal:
        return Outcome(State.REFUSED, reason="refusal", detail=completion.refusal)
    if not completion.text.strip():
        return _empty_outcome(completion)
    if reason not in COMPLETE_REASONS:
        return Outcome(State.INVALID, reason=f"{ReasonKind.FINISH_REASON}{one_line(completion.finish_reason, 40)}")
    if BROKEN_TEXT in completion.flags:
        return Outcome(State.INVALID, reason=BROKEN_TEXT)
    return None
