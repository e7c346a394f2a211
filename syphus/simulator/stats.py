"""The counters of a simulated endpoint, its request log with one record per request, and its bill.

The bill is computed from the published rules alone, without `syphus.config`, so that the two can be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from syphus.exchange import Usage

CLIENT_LEFT = 499  #: the status of a request whose client disconnected before the answer; its cost is billed
BATCH_TIER = "batch"  #: of the lines of a batch
_TIERS = {
    BATCH_TIER: Fraction(1, 2),
    "flex": Fraction(1, 2),
    "priority": Fraction(2),
    "fast": Fraction(2),
    "ultrafast": Fraction(3),
}


class Tariff(NamedTuple):
    """What a model costs: dollars for a million tokens. Above `long_above` prompt tokens the rest applies as well."""

    input: float = 0.0
    output: float = 0.0
    cached_input: float = 0.0
    cache_write: float = 0.0
    long_above: float = 0.0
    long_input: float = 1.0  #: factor of all input
    long_output: float = 1.0
    factor: float = 1.0  #: of everything, such as 1.1 for a regional host

    def dollars(self, usage: Usage, tier: str) -> Fraction:
        """Return what one request costs that was served in this tier."""
        plain = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
        read = (
            plain * _exact(self.input)
            + usage.cached_tokens * _exact(self.cached_input)
            + usage.cache_write_tokens * _exact(self.cache_write)
        )
        written = usage.completion_tokens * _exact(self.output)
        if 0 < self.long_above < usage.prompt_tokens:
            read, written = read * _exact(self.long_input), written * _exact(self.long_output)
        return (read + written) * _exact(self.factor) * _TIERS.get(tier, 1) / 1_000_000


def _exact(number: float) -> Fraction:
    return Fraction(str(number))


def read_tariffs(tariffs: Mapping[str, Mapping[str, float]]) -> dict[str, Tariff]:
    """Return the tariffs by model. Raises `ValueError` for an unknown field or something that is not a number."""
    for model, fields in tariffs.items():
        unknown = [name for name in fields if name not in Tariff._fields]
        if unknown:
            raise ValueError(f"tariffs: {model} has {unknown[0]}; the fields are {', '.join(Tariff._fields)}.")
        if not all(isinstance(value, int | float) and value >= 0 for value in fields.values()):
            raise ValueError(f"tariffs: {model} must have numbers of at least 0.")
    return {model: Tariff(**fields) for model, fields in tariffs.items()}


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
    dollars: Fraction = Fraction(0)  #: what it costs, by the tariff of the model that served it
    images: tuple[str, ...] = ()  #: "640x480 JPEG low" for each, in order
    in_batch: bool = False  #: whether it was a line of a batch


@dataclass(slots=True)
class ServerStats:
    """Counters since the start or the last reset.

    `ok` counts the complete answers that arrived. `dup_requests` counts requests with the same messages as an earlier
    one, `dup_after_ok` those whose messages had already been answered with `ok`: they were paid for twice. `dollars`
    are the bill, `dollars_answered` the part of it for answers that no fault changed.

    A line of a batch counts like a request once it is answered, except in `requests` and the two counters in flight: it
    counts in `batch_lines` instead. `batch_calls` counts the calls of the Batch API by name.
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
    dollars: Fraction = Fraction(0)
    dollars_answered: Fraction = Fraction(0)
    batch_lines: int = 0
    batch_calls: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        """Count a request that has arrived."""
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def end(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        self.in_flight -= not record.in_batch
        self.by_status[record.status] += 1
        if record.fault:
            self.by_fault[record.fault] += 1
        self.billed += record.billed
        self.dollars += record.dollars
        if record.status == 200 and not record.fault:
            self.dollars_answered += record.dollars
        self.tokens_in += record.prompt_tokens
        self.tokens_out += record.completion_tokens
        self.tokens_cached += record.cached_tokens
        self.tokens_cache_written += record.cache_write_tokens

    def as_dict(self) -> dict[str, object]:
        """Return all counters as JSON values."""
        values: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        values["by_status"] = {str(status): count for status, count in sorted(self.by_status.items())}
        values["dollars"], values["dollars_answered"] = float(self.dollars), float(self.dollars_answered)
        values["batch_calls"] = dict(sorted(self.batch_calls.items()))
        values["by_fault"] = dict(sorted(self.by_fault.items()))
        return values
