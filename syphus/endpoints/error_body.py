"""Reads the error in the body of a reply: its message, its code, and the parameter that it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from syphus.text import one_line

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
_TITLE = re.compile(r"<title>([^<]*)</title>", re.IGNORECASE)
_TAGS = re.compile(r"<[^<>]*>")
_MAX_MESSAGE = 10_000  # characters of a message that are looked at


class ErrorBody(NamedTuple):
    """The error in a reply: its message, code (or else type), the parameter it is about, and Azure's inner error."""

    message: str
    code: str
    param: str
    inner: Mapping[str, object]


def read_error_body(body: bytes) -> ErrorBody:
    """Read the error in a body of any shape: OpenAI's, Azure's, vLLM's, FastAPI's, a bare string, HTML or nothing."""
    try:
        data: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ErrorBody(_without_tags(body[:_MAX_MESSAGE].decode("utf-8", "replace").strip()), "", "", {})
    if isinstance(data, list) and len(data) == 1:  # Gemini
        data = data[0]
    if not isinstance(data, dict):
        return ErrorBody(_as_text(data), "", "", {})
    error = data.get("error") or data
    if isinstance(error, dict):
        return _read_error_object(error)
    return ErrorBody(_as_text(error), _identifier(data.get("code")), "", {})


def _without_tags(text: str) -> str:
    """Return what a page of HTML says: its title and its body; other texts as they are."""
    if not text.startswith("<"):
        return text
    title = _TITLE.search(text)
    body = " ".join(_TAGS.sub(" ", text[max(text.lower().find("<body"), 0) :]).split())
    named = " ".join(title[1].split()) if title else ""
    return body if named in body else f"{named} {body}".rstrip()


def _read_error_object(error: dict[str, object]) -> ErrorBody:
    code, kind = _identifier(error.get("code")), _identifier(error.get("type"))
    if kind in QUOTA_CODES and code not in RATE_CODES and code not in QUOTA_CODES:
        code = kind
    inner = error.get("innererror") or error.get("provider_specific_fields") or {}
    if isinstance(inner, dict) and isinstance(inner.get("innererror"), dict):
        inner = inner["innererror"]
    message = _as_text(error.get("message") or error.get("detail") or error.get("Message") or "")
    return ErrorBody(message, code or kind, _identifier(error.get("param")), inner if isinstance(inner, dict) else {})


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:_MAX_MESSAGE]


def _identifier(value: object) -> str:
    """Return a code, type or parameter; gateways write numbers and Python's None into these fields."""
    return one_line(value, 200) if isinstance(value, str) and value != "None" and not value.isdecimal() else ""
