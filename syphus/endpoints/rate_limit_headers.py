"""Parses how long a server asks to wait, and the limits that it states, from headers or, failing that, its message.

Sources: OpenAI and Azure OpenAI rate-limit headers, RFC 9110 section 10.2.3 (Retry-After), litellm's proxy, which
renames an upstream Retry-After to `llm_provider-retry-after`. Servers also send nonsense (zero, negative numbers, NaN,
dates long past), which is ignored. All functions are pure; `headers` is any case-insensitive mapping, `now` the wall
clock in seconds since the epoch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

MAX_HINT = 7 * 86_400.0  #: seconds; a hint of more than a week is nonsense

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|millisecond|second|minute|hour|day|s|m|h|d)s?")
_UNITS = {"m": 60.0, "ms": 0.001, "millisecond": 0.001, "minute": 60.0, "s": 1.0, "h": 3600.0, "d": 86_400.0}
_WORDS = re.compile(r"(?:retry|try again) (?:after|in) ((?:\d+(?:\.\d+)?\s*[a-z]*\s*)+)")


class StatedLimits(NamedTuple):
    """What a server states about a limit: allowed per minute, and remaining now. Either may be unknown (None)."""

    per_minute: float | None
    remaining: float | None


def retry_wait(headers: Mapping[str, str], message: str, now: float) -> float | None:
    """Return the seconds that the server asks to wait, or None if it gives no sensible hint.

    These are tried in order: `retry-after-ms`, `retry-after` (seconds or a date), `llm_provider-retry-after`, the reset
    of a limit of which nothing remains, and the number in the message ("retry after 37 seconds"). The result may be
    large: Azure has sent 86400.
    """
    server_now = _date(headers.get("date")) or now  # a date that it sends is relative to its own clock
    hints = (
        _sensible(_number(headers.get("retry-after-ms")), 0.001),
        _seconds_or_date(headers.get("retry-after"), server_now),
        _seconds_or_date(headers.get("llm_provider-retry-after"), server_now),
        _reset(headers),
        _in_words(message),
    )
    return next((hint for hint in hints if hint is not None), None)


def stated_limits(headers: Mapping[str, str], what: str) -> StatedLimits:
    """Parse the `x-ratelimit-*` headers for `what` ("requests" or "tokens"); a limit of 0 or less is ignored."""
    limit = _number(headers.get(f"x-ratelimit-limit-{what}"))
    remaining = _number(headers.get(f"x-ratelimit-remaining-{what}"))
    if limit is None or limit <= 0:
        return StatedLimits(None, None)
    return StatedLimits(limit, remaining if remaining is not None and 0 <= remaining <= limit else None)


def parse_duration(text: str) -> float | None:
    """Return the seconds in "6m0s", "120ms" (OpenAI's form), "2 minutes" or "10"; None if it is none of these."""
    parts = _DURATION.findall(text)
    if parts:
        return float(sum(float(value) * (_UNITS.get(unit) or _UNITS[unit[0]]) for value, unit in parts))
    return _number(text)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is None or math.isfinite(value) else None


def _sensible(value: float | None, scale: float = 1.0) -> float | None:
    return value * scale if value is not None and 0 < value * scale <= MAX_HINT else None


def _seconds_or_date(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    number = _number(text)
    if number is not None:
        return _sensible(number)
    date = _date(text)
    return _sensible(date - now) if date is not None else None


def _date(text: str | None) -> float | None:
    """Return seconds since the epoch."""
    try:
        date = parsedate_to_datetime(text or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _reset(headers: Mapping[str, str]) -> float | None:
    waits = [
        parse_duration(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens")
        if _number(headers.get(f"x-ratelimit-remaining-{what}")) == 0
    ]
    return _sensible(max((wait for wait in waits if wait is not None), default=None))


def _in_words(message: str) -> float | None:
    found = _WORDS.search(message.lower())
    return _sensible(parse_duration(found[1])) if found else None
