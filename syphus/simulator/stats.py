"""The counters of a simulated endpoint, and its request log with one record per request."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

CLIENT_LEFT = 499  #: the status of a request whose client disconnected before the answer; its cost is billed


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request to a model.

    `at` is in seconds since the start. `status` is 0 if not even a status line was sent. `key` is a hash of the
    messages in hex, or "" if they could not be parsed. `billed` says whether an answer was made; if not, the tokens are
    0.
    """

    number: int
    at: float
    status: int
    fault: str
    key: str
    billed: bool
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    last_user: str
    request_id: str
    cache_write_tokens: int = 0
    images: tuple[str, ...] = ()  #: "640x480 JPEG low" for each, in order


@dataclass(slots=True)
class ServerStats:
    """Counters since the start or the last reset.

    `ok` counts the complete answers that arrived. `dup_requests` counts requests with the same messages as an earlier
    one, `dup_after_ok` those whose messages had already been answered with `ok`: they were paid for twice.
    """

    requests: int = 0
    ok: int = 0
    billed: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)
    unique: int = 0
    dup_requests: int = 0
    dup_after_ok: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_cache_written: int = 0

    def start(self) -> None:
        """Count a request that has arrived."""
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def end(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        self.in_flight -= 1
        self.by_status[record.status] += 1
        if record.fault:
            self.by_fault[record.fault] += 1
        self.billed += record.billed
        self.tokens_in += record.prompt_tokens
        self.tokens_out += record.completion_tokens
        self.tokens_cached += record.cached_tokens
        self.tokens_cache_written += record.cache_write_tokens

    def as_dict(self) -> dict[str, object]:
        """Return all counters as JSON values."""
        values: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        values["by_status"] = {str(status): count for status, count in sorted(self.by_status.items())}
        values["by_fault"] = dict(sorted(self.by_fault.items()))
        return values
