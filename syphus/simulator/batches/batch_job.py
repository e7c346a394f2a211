"""One batch: its states over time, and how the API shows it; and the clock of all batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum

_VALIDATING_SHARE, _MOST_VALIDATING = 0.1, 60.0  # of a batch's duration, and the most seconds
_FINALIZING_SHARE = 0.05
_MOST_CANCELLING = 600.0
_LATE_FILES = 600.0
_HALF = 0.5
Json = dict[str, object]


class BatchStatus(StrEnum):
    """The states of a batch."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether no other state follows."""
        return self in {BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}


@dataclass(slots=True)
class BatchJob:
    """One batch. Times are seconds since the epoch; 0 is "not yet", or never for `expires_at`.

    `number` counts the batches of a server from 0; `duration` are the seconds that it takes if nothing goes wrong.
    """

    id: str
    number: int
    input_file_id: str
    endpoint: str
    metadata: dict[str, str] | None
    created_at: float
    duration: float
    expires_at: float
    azure: bool
    key: str
    fault: str = ""
    output_expires_after: int = 0
    status: BatchStatus = BatchStatus.VALIDATING
    model: str = ""
    errors: list[Json] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)  #: of states: "in_progress_at", "failed_at" and so on
    total: int = 0  #: lines; known once they are validated, like `tokens`
    tokens: int = 0
    answered: int = 0  #: lines whose turn has come, in the order of the work
    written: dict[str, int] = field(default_factory=dict)  #: bytes of the result files with these lines
    completed: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None

    @property
    def validated_at(self) -> float:
        """When validation ends."""
        return self.created_at + min(_MOST_VALIDATING, _VALIDATING_SHARE * self.duration)

    @property
    def ends_at(self) -> float:
        """When it is completed, unless something goes wrong."""
        return self.created_at + self.duration

    @property
    def finalizes_at(self) -> float:
        """When all lines are answered, unless something goes wrong."""
        return self.ends_at - _FINALIZING_SHARE * self.duration

    @property
    def cancelled_at(self) -> float:
        """When cancelling ends, once it has begun."""
        return self.times["cancelling_at"] + min(_MOST_CANCELLING, _VALIDATING_SHARE * self.duration)

    def lines_answered_at(self, time: float) -> int:
        """Return how many lines are answered by then. Cancelling, expiry and failure stop the work."""
        if "in_progress_at" not in self.times:
            return 0
        begun = self.times["in_progress_at"]
        if "cancelling_at" in self.times:
            time = min(time, self.times["cancelling_at"])
        if self.expires_at:
            time = min(time, self.expires_at)
        whole = self.finalizes_at - begun
        share = min(1.0, max(0.0, (time - begun) / whole)) if whole > 0 else 1.0
        if self.fault.startswith(("fails_late", "expires")):
            share = min(share, _HALF)
        return int(share * self.total)

    def cancel(self, now: float) -> None:
        """Begin to cancel it. Does nothing in `cancelling` and the final states."""
        if not self.status.final and self.status is not BatchStatus.CANCELLING:
            self.enter(BatchStatus.CANCELLING, now)

    def begin(self, total: int, tokens: int, model: str, at: float) -> None:
        """Begin the work: the lines are valid."""
        self.total, self.tokens, self.model = total, tokens, model
        self.enter(BatchStatus.IN_PROGRESS, at)

    def fail(self, errors: list[Json], at: float) -> None:
        """End it in `failed`, with these errors."""
        self.errors = errors
        self.enter(BatchStatus.FAILED, at)

    def next_status(self, now: float) -> tuple[BatchStatus, float] | None:
        """Return the next state that follows by the clock, and since when; None if it is too early for one.

        A state after `validating` is for the caller to find out.
        """
        match self.status:
            case BatchStatus.CANCELLING:
                if now >= self.cancelled_at and self.fault != "stuck_cancelling":
                    return BatchStatus.CANCELLED, self.cancelled_at
            case BatchStatus.IN_PROGRESS | BatchStatus.FINALIZING:
                return self._after_work(now)
        return None

    def _after_work(self, now: float) -> tuple[BatchStatus, float] | None:
        begun, finalizes = self.times["in_progress_at"], self.finalizes_at
        if self.fault.startswith("fails_late"):
            half = begun + _HALF * (finalizes - begun)
            return (BatchStatus.FAILED, half) if now >= half else None
        expires = self.fault.startswith("expires") or (
            self.expires_at < self.ends_at and not self.fault.startswith("stuck")
        )
        if self.expires_at and expires:
            finalizes = math.inf
            if now >= self.expires_at:
                return BatchStatus.EXPIRED, self.expires_at
        if self.status is BatchStatus.IN_PROGRESS:
            in_time = now >= finalizes and self.fault != "stuck_in_progress"
            return (BatchStatus.FINALIZING, finalizes) if in_time else None
        in_time = now >= self.ends_at and self.fault != "stuck_finalizing"
        return (BatchStatus.COMPLETED, self.ends_at) if in_time else None

    def enter(self, status: BatchStatus, at: float) -> None:
        """Enter a state, such as one that `next_status` returned."""
        self.status = status
        self.times[f"{status}_at"] = at

    def as_dict(self, now: float) -> Json:
        """Return the batch object of the API, with the lies of its fault."""
        shown = self._file_ids(now)
        show = self.times.get
        stamps = {
            f"{status}_at": int(show(f"{status}_at", 0)) or None for status in BatchStatus if status != "validating"
        }
        errors = {"object": "list", "data": self.errors} if self.errors else None
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": None if self.fault == "null_endpoint" else self.endpoint,
            "model": self.model or None,
            "errors": errors,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": str(self.status),
            **shown,
            "created_at": int(self.created_at),
            "expires_at": int(self.expires_at) or None,
            **stamps,
            "request_counts": self._counts(),
            "usage": self._usage() if self.status.final else None,
            "metadata": None if self.fault == "null_metadata" else self.metadata,
        }

    def _file_ids(self, now: float) -> Json:
        output, error = self.output_file_id, self.error_file_id
        match self.fault:
            case "null_output":
                output = None
            case "late_files" if now < self.times.get("completed_at", 0) + _LATE_FILES:
                output = error = None
            case "empty_file_ids" if self.status.final:
                output, error = output or "", error or ""
        return {"output_file_id": output, "error_file_id": error}

    def _counts(self) -> dict[str, int]:
        if self.fault.endswith("counts_zero"):
            return {"total": 0, "completed": 0, "failed": 0}
        if self.fault == "counts_all_done" and self.status.final:
            return {"total": self.total, "completed": self.total, "failed": 0}
        return {"total": self.total, "completed": self.completed, "failed": self.failed}

    def _usage(self) -> Json:
        return {
            "input_tokens": self.tokens_in,
            "input_tokens_details": {"cached_tokens": self.tokens_cached},
            "output_tokens": self.tokens_out,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.tokens_in + self.tokens_out,
        }

    def as_json(self) -> Json:
        """Return all fields, to be stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Json) -> BatchJob:
        """Return the batch whose `as_json` was stored."""
        job = cls(**stored)  # type: ignore[arg-type]  # what `as_json` wrote
        job.status = BatchStatus(job.status)
        return job


class BatchClock:
    """Tells the simulated time, in seconds since the epoch. It starts at the time of the day, or later at `start`.

    `ticks` returns seconds of a clock that does not go back; `speed` is how many simulated seconds pass in one of them.
    """

    def __init__(self, ticks: Callable[[], float], speed: float, start: float = 0.0) -> None:
        self._ticks = ticks
        self._speed = speed
        self._since = ticks()
        self._reached = max(time.time(), start)

    def now(self) -> float:
        """Return the simulated time."""
        return self._reached + (self._ticks() - self._since) * self._speed

    def advance(self, seconds: float) -> None:
        """Advance the clock by `seconds`."""
        self._reached += seconds

    def run_at(self, speed: float) -> None:
        """Continue at another speed."""
        self._reached, self._since = self.now(), self._ticks()
        self._speed = speed
