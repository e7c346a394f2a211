"""What servers say about waiting, sense and nonsense."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from multidict import CIMultiDict

from syphus.endpoints.rate_limit_headers import parse_duration, retry_wait, stated_limits

NOW = 1_790_000_000.0


def date(offset: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + offset, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After-Ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after": "37"}, 37.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": date(90)}, 90.0),
        ({"retry-after": "86400"}, 86_400.0),
        ({"llm_provider-retry-after": "12"}, 12.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "120ms"}, None),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"X-Retry-After": "8"}, 8.0),
        ({"retry-after": " 8 "}, 8.0),
        ({"retry-after": "8s"}, 8.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after": str(int(NOW) + 45)}, 45.0),
        ({"retry-after": "2026-09-21T14:13:50Z"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, 12.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str((int(NOW) + 12) * 1000)}, 12.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "7"}, 7.0),
        ({"ratelimit-remaining": "3", "ratelimit-reset": "7"}, None),
        (
            {"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-09-21T14:14:20Z"},
            60.0,
        ),
        ({"x-ratelimit-remaining-requests-day": "0", "x-ratelimit-reset-requests-day": "33011.4"}, 33011.4),
        ({"RateLimit": '"minute";r=0;t=25, "day";r=400;t=9000'}, 25.0),
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50.0),
        ({"RateLimit": '"minute";r=2;t=25'}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": date(-60)}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "0", "llm_provider-retry-after": "3"}, 3.0),
        ({}, None),
    ],
)
def test_a_header_is_a_hint_only_if_it_makes_sense(headers: dict[str, str], seconds: float | None) -> None:
    hint = retry_wait(CIMultiDict(headers), "", NOW)
    assert hint == (pytest.approx(seconds, abs=1e-6) if seconds is not None else None)


@pytest.mark.parametrize("offset", [-7200.0, 0.0, 7200.0])
def test_a_date_is_relative_to_the_clock_of_the_server_if_it_states_that(offset: float) -> None:
    headers = CIMultiDict({"retry-after": date(offset + 2), "date": date(offset)})
    assert retry_wait(headers, "", NOW) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please retry after 37 seconds.", 37.0),
        ("Rate limit reached ... on tokens per min (TPM). Please try again in 6m0s.", 360.0),
        ("Please try again in 0.010s.", 0.01),
        ("Please try again in 20ms. Visit https://x.y/5 to learn more.", 0.02),
        ("Please retry after 2 minutes", 120.0),
        ("retry after 1 day", 86_400.0),
        ("Please retry after 86400 seconds.", 86_400.0),
        ("You have 37 seconds", None),
        ("", None),
    ],
)
def test_the_words_are_the_last_resort(message: str, seconds: float | None) -> None:
    assert retry_wait({}, message, NOW) == (pytest.approx(seconds) if seconds is not None else None)
    assert retry_wait({"retry-after": "1"}, message, NOW) == 1.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("6m0s", 360.0), ("1s", 1.0), ("120ms", 0.12), ("10", 10.0), ("1h2m3s", 3723.0), ("x", None)]
)
def test_durations_are_read_in_every_form(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


def test_limits_are_read_by_name() -> None:
    headers = CIMultiDict({"X-RateLimit-Limit-Tokens": "200000", "x-ratelimit-remaining-tokens": "149984"})
    assert stated_limits(headers, "tokens") == (200_000.0, 149_984.0)
    assert stated_limits(headers, "requests") == (None, None)


@pytest.mark.parametrize("limit", ["-1", "0", "nan", "many"])
def test_a_senseless_limit_states_nothing(limit: str) -> None:
    assert stated_limits({"x-ratelimit-limit-requests": limit}, "requests") == (None, None)


@pytest.mark.parametrize("remaining", ["-1", "7000", "?"])
def test_a_senseless_remainder_is_left_out(remaining: str) -> None:
    headers = {"x-ratelimit-limit-requests": "6000", "x-ratelimit-remaining-requests": remaining}
    assert stated_limits(headers, "requests") == (6000.0, None)
