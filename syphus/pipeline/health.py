"""Detects that an endpoint is down or of no use: if many different rows fail, the rows are not at fault.

A row that fails alone uses up its own attempts. If several different rows fail with no answer in between, the endpoint
is down. It is then probed with one request at a time, at growing intervals, and the failures cost no row an attempt. An
endpoint that gives no answer for too long is given up, with every row still pending; one that has never answered is
given up much sooner.

Only requests that were sent after the newest answer count. If a dozen requests hang among thousands of answers, all of
them end at the same moment, when nothing else is in flight any more; that says nothing about the endpoint. In the same
way, only an answer to a request that was sent later shows that a row which got none was refused by itself.

A rate limit does not refuse one row while others are answered. How likely that would be by
chance follows from how often rows were refused that were answered later.

If the first answers of a run all fail alike, more of them would be a waste of money: the end token is missing and every
answer is cut off, the model only thinks, or the parser reads nothing. Until one answer is good, or fails in another
way, the outcomes of such rows are held. Their answers are saved at once. If the run stops, its rows are pending, and
under the same settings each finds its answer in the ledger.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from syphus.errors import ProviderError
from syphus.ledger.records import Entry, Row
from syphus.pipeline.stage import Judgement
from syphus.types import Outcome

OUTAGE_THRESHOLD = 5  #: different rows that must fail without an answer in between
SURELY_DOWN = 3  #: failed requests without an answer in between, after which people hear that an endpoint is down
MAX_PROBE_INTERVAL = 60.0  #: seconds
ENOUGH = 16  #: rows whose answers fail alike, before any other
MAX_FIRST_ATTEMPTS = 4  #: failed requests after which an endpoint that has never answered is given up
CHANCE = 1e-4  #: that a row is refused so often although it is like the others; below it, the row is at fault
MIN_REFUSALS = 3  #: of a row with answers to others in between, before it is at fault
CALM, UNCALM = 0.02, 0.15  #: shares of refusals of rows that were answered later
MAX_SIGNED = 500  # characters of a text that may be one that is said to everybody

_VARIABLE = re.compile(r"\S*\d\S*|\s+")


def signature(text: str) -> str:
    """Return what identifies a short text: its words but those with digits, such as ids. It is "" for a long text."""
    return f"= {_VARIABLE.sub(' ', text).strip().lower()}" if len(text) <= MAX_SIGNED else ""


@dataclass(slots=True)
class _Refused:
    sent_at: float
    count: int = 1  #: refusals with answers to others in between
    alone: bool = False  #: the newest one was that of this row alone


class EndpointHealth:
    """The health of one endpoint. Times are seconds of a monotonic clock."""

    def __init__(self, max_outage: float, first_wait: float, now: float) -> None:
        self._max_outage = max_outage
        self._first_wait = first_wait
        self.last_answer_at = now  # or the start
        self.blamed: set[int] = set()  #: rows that fail while others are answered: they say nothing about the endpoint
        self._failed_rows: set[int] = set()
        self._failures = 0
        self._in_a_row = 0  # failures since the newest answer
        self._asked_to_wait = 0.0  # seconds, since the newest answer
        self._waits_until = 0.0
        self.has_answered = False
        self.down_since: float | None = None
        self.probe_at = 0.0  #: when the next request may be sent while the endpoint is down
        self.proved_at = -math.inf  #: when the newest of the requests was sent that were answered
        self.useful_at = -math.inf  #: the same for answers that were of use, or at least unlike those before
        self.canned: str | None = None  #: the signature of the text that everybody gets while the endpoint is down
        self._refused: dict[int, _Refused] = {}
        self._answers = 0
        self._recovered = 0  # refusals of rows that were answered later

    def record_answer(self, now: float, row: int = -1, sent_at: float = -math.inf) -> None:
        """Record an answer to a request of `row`, sent at `sent_at`: the endpoint is up."""
        self._answers += 1
        self.proved_at = max(self.proved_at, sent_at)
        self.canned = None
        if self._refused and (refused := self._refused.pop(row, None)) is not None:
            self._recovered += refused.count
        self.has_answered = True
        self.down_since = None
        self.last_answer_at = now
        self._failed_rows.clear()
        self._failures = self._in_a_row = 0
        self._asked_to_wait = 0.0

    def record_first_request(self, now: float) -> None:
        """Record that the first request is sent: there could be no answer before it."""
        self.last_answer_at = now

    def record_wait(self, seconds: float, now: float) -> None:
        """Record that the endpoint asks to wait: that long it can't answer, but it may not put us off for ever."""
        further = max(0.0, now + seconds - max(now, self._waits_until))
        self._asked_to_wait = min(self._max_outage, self._asked_to_wait + further)
        self._waits_until = max(self._waits_until, now + seconds)

    def record_idle(self, seconds: float, now: float) -> None:
        """Record that nothing was sent in the last `seconds`, so that there could be no answer."""
        self.last_answer_at += now - max(self.last_answer_at, now - seconds)

    def record_failure(self, row: int, sent_at: float, now: float) -> None:
        """Record that a request of `row`, sent at `sent_at`, got no answer, perhaps not because of the row."""
        if row in self.blamed:
            return
        if sent_at < (self.last_answer_at if self.down_since is None else self.down_since):
            return  # what has happened since is newer
        self._failures += 1
        self._in_a_row += 1
        self._failed_rows.add(row)
        if self.down_since is None and (len(self._failed_rows) >= OUTAGE_THRESHOLD or not self.has_answered):
            self.down_since = now
            self._failures = 1
        if self.down_since is not None:
            self.probe_at = now + min(MAX_PROBE_INTERVAL, self._first_wait * 2 ** min(self._failures, 12))

    @property
    def is_surely_down(self) -> bool:
        """Whether enough requests failed, with no answer in between, to tell people that it is down."""
        return self.down_since is not None and (self.canned is not None or self._in_a_row >= SURELY_DOWN)

    def declare_down(self, now: float, canned: str) -> None:
        """Count the endpoint as down because everybody gets the same text, whose signature is `canned`."""
        self.canned = canned
        if self.down_since is None:
            self.down_since, self._failures = now, 0
        self.probe_at = max(now, self.probe_at)

    def record_refusal(self, row: int, sent_at: float) -> bool:
        """Record that a request was refused by a rate limit; return whether that is probably about this row alone."""
        share, refused = self._refused_share, self._refused.get(row)
        if refused is None:
            others = any(each.sent_at >= self.proved_at and not each.count > 1 for each in self._refused.values())
            refused = self._refused[row] = _Refused(sent_at)
            refused.alone = share < CALM and not others
        elif refused.sent_at < self.proved_at:
            refused.sent_at, refused.count = sent_at, refused.count + 1
            refused.alone = share < UNCALM
        else:
            refused.sent_at, refused.alone = sent_at, False
        return refused.alone

    def is_refused_alone(self, row: int) -> bool:
        """Return whether the newest refusal of a row was probably about this row alone."""
        refused = self._refused.get(row)
        return refused is not None and refused.alone

    def refusals_of(self, row: int) -> int:
        """Return how often a row was refused although others were answered in between."""
        refused = self._refused.get(row)
        return refused.count if refused else 0

    def is_always_refused(self, row: int) -> bool:
        """Return whether a row is refused so often that it can't be by chance."""
        count = self.refusals_of(row)
        return count >= MIN_REFUSALS and self._refused_share**count < CHANCE

    @property
    def _refused_share(self) -> float:
        return (self._recovered + 1) / (self._answers + self._recovered + 2)

    def should_give_up(self, now: float) -> bool:
        """Return whether no row is likely to succeed here soon. Call it after a request without an answer."""
        if not self.has_answered and self._failures >= MAX_FIRST_ATTEMPTS:
            return True
        return self.seconds_since_answer(now) - self._asked_to_wait > self._max_outage

    def seconds_since_answer(self, now: float) -> float:
        """Return the seconds since the newest answer, or since the start."""
        return now - self.last_answer_at


class HeldRow(NamedTuple):
    """A row with the outcome that it gets unless all rows fail: `answer` is the number of its answer."""

    row: Row
    outcome: Outcome
    answer: int


class FirstAnswers:
    """The answers of a run until it is known that they do not all fail alike."""

    def __init__(self, *, active: bool) -> None:
        self.is_active = active
        self._remedy = ""
        self._reasons: dict[int, str] = {}  # by row
        self._held: dict[int, HeldRow] = {}

    def note(self, entry: Entry, judgement: Judgement) -> None:
        """Note an answer that has just come. Those of earlier sessions say nothing about these settings."""
        if not self.is_active or entry.new_answer is None:
            return
        self._remedy = self._remedy or judgement.remedy
        self.is_active = bool(judgement.remedy) and judgement.remedy == self._remedy
        self._reasons[entry.row.n] = judgement.outcome.reason

    def hold(self, entry: Entry, outcome: Outcome) -> bool:
        """Hold the outcome of a row back, if it must be. It is for the caller to save the answer."""
        answer = entry.new_answer.n if entry.new_answer else entry.reused_answer
        known = {held.answer for held in self._held.values()} if entry.new_answer is None else ()
        if not self.is_active or answer is None or (entry.new_answer is None and answer not in known):
            return False
        self._held[entry.row.n] = HeldRow(entry.row, outcome, answer)
        return True

    def release(self, *, at_end: bool = False) -> list[HeldRow]:
        """Return the rows that need no longer be held: all of them once the answers differ, or at the end."""
        if (self.is_active and not at_end) or not self._held:
            return []
        held, self._held = list(self._held.values()), {}
        return held

    @property
    def error(self) -> ProviderError | None:
        """Why the run must stop, or None."""
        if not self.is_active or len(self._reasons) < ENOUGH:
            return None
        reason, _ = Counter(self._reasons.values()).most_common(1)[0]
        return ProviderError(
            f"The answers to the first {len(self._reasons)} rows all failed alike: {reason}. {self._remedy} "
            "These rows are pending, too, and their answers are kept."
        )
