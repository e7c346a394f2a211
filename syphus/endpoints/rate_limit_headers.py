"""Parses how long a server asks to wait, and the limits that it states, from headers or, failing that, its message.

Sources: OpenAI and Azure OpenAI rate-limit headers, RFC 9110 section 10.2.3 (Retry-After), litellm's proxy, which
renames an upstream Retry-After to `llm_provider-retry-after`, OpenRouter's `X-RateLimit-Reset` (milliseconds since the
epoch), Anthropic's `anthropic-ratelimit-*-reset` (a time by RFC 3339), the IETF draft on RateLimit fields (2026-11-30).
So headers are found by the words in their names, and a value is read as what it looks like. Servers also send nonsense
(zero, negative numbers, NaN, dates long past), which is ignored. All functions are pure; `headers` is any
case-insensitive mapping, `now` the wall clock in seconds since the epoch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

MAX_HINT = 7 * 86_400.0  #: seconds; a hint of more than a week is nonsense

_DURATION = re.compile(r"(?<!\d)(\d++(?:\.\d++)?)\s*+(ms|millisecond|second|minute|hour|day|s|m|h|d)s?")
_DURATIONS = re.compile(rf"(?:(?:{_DURATION.pattern})\s*)+")
_NOTHING_LEFT = re.compile(r"\b(?:r|remaining)=0\b[^\"]*?\b(?:t|reset)=(\d{1,9})\b")
_OLDEST = 1e9  # seconds since the epoch; a larger number is a time and no duration
_UNITS = {"m": 60.0, "ms": 0.001, "millisecond": 0.001, "minute": 60.0, "s": 1.0, "h": 3600.0, "d": 86_400.0}
_WORDS = re.compile(r"(?:retry|try again) (?:after|in) ((?:\d+(?:\.\d+)?\s*[a-z]*\s*)+)")


class StatedLimits(NamedTuple):
    """What a server states about a limit: allowed per minute, and remaining now. Either may be unknown (None)."""

    per_minute: float | None
    remaining: float | None


def retry_wait(headers: Mapping[str, str], message: str, now: float) -> float | None:
    """Return the seconds that the server asks to wait, or None if it gives no sensible hint.

    These are tried in order: `Retry-After` in milliseconds, seconds or as a date, under its own name or that of a
    gateway; the reset of a limit of which nothing remains; the number in the message ("retry after 37 seconds"). The
    result may be large: Azure has sent 86400.
    """
    server_now = _date(headers.get("date")) or now  # a date that it sends is relative to its own clock
    stated = retry_after(headers, now)
    hints = (stated, _reset(headers, server_now), _in_words(message))
    return next((hint for hint in hints if hint is not None), None)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds of a header that asks for a wait, whatever the status of the reply; None if there is none."""
    names = {name.lower() for name in headers if "retry-after" in name.lower()}
    if not names:
        return None
    server_now = _date(headers.get("date")) or now
    in_milliseconds = sorted((name for name in names if name.endswith("-ms")), key=len)
    others = sorted(names.difference(in_milliseconds), key=len)
    hints = (
        *(_sensible(_number(headers.get(name)), 0.001) for name in in_milliseconds),
        *(_seconds_or_time(headers.get(name), server_now) for name in others),
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


def _seconds_or_time(text: str | None, now: float) -> float | None:
    """Return the seconds until a time: a duration, a number of seconds, or a date or timestamp after `now`."""
    text = (text or "").strip()
    number = _number(text)
    if number is not None:
        if number > _OLDEST * 1000:
            number /= 1000
        return _sensible(number - now if number > _OLDEST else number)
    if _DURATIONS.fullmatch(text):
        return _sensible(parse_duration(text))
    date = _date(text)
    return _sensible(date - now) if date is not None else None


def _date(text: str | None) -> float | None:
    """Return seconds since the epoch, from a date by RFC 9110 or RFC 3339."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text or "")
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """Return the longest wait for a limit of which nothing remains.

    A limit is `*ratelimit*-reset*` beside `*-remaining*`, or a part of `RateLimit`: `"day";r=0;t=60`.
    """
    waits = [_sensible(float(seconds)) for seconds in _NOTHING_LEFT.findall(headers.get("ratelimit", ""))]
    for name in {name.lower() for name in headers}:
        if "ratelimit" not in name or "reset" not in name:
            continue
        if _number(headers.get(name.replace("reset", "remaining"))) == 0:
            waits.append(_seconds_or_time(headers.get(name), now))
    return max((wait for wait in waits if wait is not None), default=None)


def _in_words(message: str) -> float | None:
    found = _WORDS.search(message.lower())
    return _sensible(parse_duration(found[1])) if found else None
