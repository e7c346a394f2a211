"""An error's body in any shape: of OpenAI, Azure, vLLM, llama.cpp, litellm or FastAPI, a string, HTML or nothing."""

from __future__ import annotations

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
_LONGEST = 10_000  # characters of a message that are looked at


class Problem(NamedTuple):
    """What an error says: its words, its code (or else its type), the parameter it is about, Azure's inner error."""

    message: str
    code: str
    param: str
    inner: Mapping[str, object]


def read_problem(body: bytes) -> Problem:
    """The error in a body of any shape: OpenAI's, Azure's, vLLM's, FastAPI's, a bare string, HTML or nothing."""
    try:
        data: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Problem(body[:_LONGEST].decode("utf-8", "replace").strip(), "", "", {})
    if not isinstance(data, dict):
        return Problem(_words(data), "", "", {})
    error = data.get("error") or data
    if isinstance(error, dict):
        return _problem(error)
    return Problem(_words(error), _name(data.get("code")), "", {})


def _problem(error: dict[str, object]) -> Problem:
    code, kind = _name(error.get("code")), _name(error.get("type"))
    named = code or kind
    if kind in QUOTA_CODES and code not in RATE_CODES and code not in QUOTA_CODES:
        named = kind
    inner = error.get("innererror") or error.get("provider_specific_fields") or {}
    if isinstance(inner, dict) and isinstance(inner.get("innererror"), dict):
        inner = inner["innererror"]
    message = error.get("message") or error.get("detail") or error.get("Message") or ""
    return Problem(_words(message), named, _name(error.get("param")), inner if isinstance(inner, dict) else {})


def _words(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:_LONGEST]


def _name(value: object) -> str:
    """A code, type or parameter; gateways write numbers and Python's None into these fields."""
    return one_line(value, 80) if isinstance(value, str) and value != "None" and not value.isdecimal() else ""
