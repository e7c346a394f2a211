"""The progress of a stage as text: one long line for logs, or two or three lines that fit the width of a terminal.

What does not fit is left out, the least important first. Cost, share of the budget and the time of the end always stay.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from syphus.pipeline.budget import Budget
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.observer import RunView
from syphus.text import (
    cut,
    display_width,
    format_dollars,
    format_duration,
    format_end,
    format_spent,
    format_tokens,
    pluralize,
)
from syphus.types import State

RATE_OVER = 120.0  #: seconds that the rate is averaged over
_TOP_CAUSES = 3  #: causes of errors that are shown
_LONG_WAIT, _UNUSUAL = 20.0, 3.0  #: seconds, and times the usual latency: a request that waits longer is shown
_NOTABLE_WAIT = 5.0  #: seconds; a shorter wait for a limit is not shown
_LONGEST_BAR, _SHORTEST_BAR = 24, 8
_GAP = "  "
_ALWAYS, _STATES, _RATE, _PHASE, _EXTRA, _TOKENS, _CACHE = range(7)  # ranks: what has a higher one is left out earlier


class Segment(NamedTuple):
    """A part of a line; of those that do not fit, the ones with the highest rank are left out first."""

    text: str
    rank: int


def fit(segments: Sequence[Segment], width: int) -> str:
    """Return the segments in one line of at most `width` columns."""
    kept = [each for each in segments if each.text]
    while display_width(_joined(kept)) > width:
        highest = max(each.rank for each in kept)
        if highest == _ALWAYS or len(kept) == 1:
            return cut(_joined(kept), width)
        last = max(i for i, each in enumerate(kept) if each.rank == highest)
        del kept[last]
    return _joined(kept)


def _joined(segments: Sequence[Segment]) -> str:
    return _GAP.join(each.text for each in segments)


def local_time() -> datetime:
    """Return the time of day."""
    return datetime.now().astimezone()


class ProgressFormatter:
    """Formats the progress of a stage: how far it is, what it costs, when it ends, and what it is waiting for."""

    def __init__(self, view: RunView, now: Callable[[], datetime] = local_time) -> None:
        self._view = view
        self._now = now
        self._began = view.clock()
        self._readings: deque[tuple[float, int]] = deque([(view.clock(), 0)])

    @property
    def phase(self) -> str:
        """What the stage does, as people call it."""
        return self._view.phase

    @property
    def done(self) -> int:
        """Queries with an outcome, over all sessions."""
        stats = self._view.stats
        return stats.total - stats.states_before[State.PENDING] + stats.done

    @property
    def total(self) -> int:
        """Queries of the run."""
        return self._view.stats.total

    def read(self) -> None:
        """Record the current progress, for the rate."""
        now = self._view.clock()
        self._readings.append((now, self._view.stats.done))
        while len(self._readings) > 2 and now - self._readings[0][0] > RATE_OVER:
            self._readings.popleft()

    def rate(self) -> float:
        """Return the outcomes per second of this session, averaged over the last two minutes."""
        (began, before), (now, done) = self._readings[0], self._readings[-1]
        return (done - before) / (now - began) if now > began else 0.0

    # The lines.

    def line(self) -> str:
        """Return everything in one line, the most important first."""
        self.read()
        money = _money(self._view.admission.budget)
        trouble = self.trouble()
        texts = [self.phase, self._count(), self._share(), *(each.text for each in money), self._left()]
        texts += [self._view.batches(), *self._states(), self._retried(), self._rate(), self._tokens(), self._cached()]
        return _GAP.join(filter(None, texts)) + (f"  [{trouble}]" if trouble else "")

    def panel(self, width: int) -> list[str]:
        """Return two lines of at most `width` columns, and a third one if something went wrong or is waited for."""
        self.read()
        batches = [Segment(text, _ALWAYS)] if (text := self._view.batches()) else []
        third = fit([*batches, *self._waits(), *self._errors(), *self._limits()], width)
        return [self._bar_line(width), self._numbers_line(width), *([third] if third else [])]

    def summary(self) -> str:
        """Return the result of the stage in one line: `round 1, with the set: 40 of 40 in 8 s: 33 ok, 7 invalid`."""
        states, stats = self._view.stats.states, self._view.stats
        found = ", ".join(f"{states[state]:,} {state}" for state in State if states[state]) or "nothing"
        seconds = format_duration(self._view.clock() - self._began)
        money = ", ".join(each.text for each in _money(self._view.admission.budget)[:1])
        name = f"{self.phase}: " if self.phase else ""
        return f"{name}{stats.done:,} of {stats.states_before[State.PENDING]:,} in {seconds}: {found}; {money} so far"

    def _bar_line(self, width: int) -> str:
        phase, rate = Segment(self.phase, _PHASE), Segment(self._rate(), _RATE)
        rest = [Segment(self._count(), _ALWAYS), Segment(self._share(), _RATE), rate, Segment(self._left(), _ALWAYS)]
        line = fit([phase, *rest], width)
        room = min(_LONGEST_BAR, width - display_width(line) - len(_GAP))
        if room < _SHORTEST_BAR:
            return line
        bar = Segment(draw_bar(self.done, self.total, room), _RATE)
        return fit([phase, bar, *rest], width)

    def _numbers_line(self, width: int) -> str:
        money = _money(self._view.admission.budget)
        others = [
            Segment(self._retried(), _EXTRA),
            *money,
            Segment(self._tokens(), _TOKENS),
            Segment(self._cached(), _CACHE),
        ]
        states = [Segment(each, _STATES) for each in self._states()]
        if display_width(_joined([*states, *(each for each in money if each.rank == _ALWAYS)])) > width:
            states = [Segment(each, _STATES) for each in self._folded_states()]
        return fit([*states, *others], width)

    # Their parts.

    def _count(self) -> str:
        return f"{self.done:,} of {self.total:,}"

    def _share(self) -> str:
        return f"{self.done / self.total:.0%}" if self.total and self.done < self.total else ""

    def _states(self) -> list[str]:
        stats = self._view.stats
        return [
            f"{state} {stats.in_state(state):,}"
            for state in State
            if state is not State.PENDING and (stats.in_state(state) or state is State.OK)
        ]

    def _folded_states(self) -> list[str]:
        """Return the states in short: those that are not ok together."""
        stats = self._view.stats
        others = sum(stats.in_state(state) for state in State if state not in (State.OK, State.PENDING))
        return [f"ok {stats.in_state(State.OK):,}", f"not ok {others:,}"]

    def _retried(self) -> str:
        asked_again = self._view.stats.asked_again
        return f"retried {asked_again:,}" if asked_again else ""

    def _rate(self) -> str:
        rate = self.rate() * 60
        return f"{rate:,.0f}/min" if rate >= 1 or not self._waiting() else ""

    def _tokens(self) -> str:
        usage = self._view.stats.usage
        return f"{format_tokens(usage.prompt_tokens + usage.completion_tokens, short=True)} tokens"

    def _cached(self) -> str:
        usage = self._view.stats.usage
        return f"{usage.read_share:.0%} from the cache" if usage.cached_tokens or usage.cache_write_tokens else ""

    def _waiting(self) -> str:
        """Return `16 requests wait, the oldest for 2 min`, if the oldest takes much longer than answers usually do."""
        in_flight, age = self._view.admission.in_flight, self._view.oldest_age()
        if not in_flight or age <= max(_LONG_WAIT, _UNUSUAL * self._usual()) or self.total - self.done <= in_flight:
            return ""
        waits = "waits" if in_flight == 1 else "wait, the oldest"
        return f"{pluralize(in_flight, 'request')} {waits} for {format_duration(age)}"

    def _usual(self) -> float:
        """Return the seconds that answers usually take, 0 before the first."""
        return max((state.latencies.usual() or 0.0 for state in self._view.admission.endpoint_states), default=0.0)

    def _left(self) -> str:
        """Return `ETA 14:32 (2 min)`, or at the end of a run what it waits for: `last 3 answers, for 42 s so far`.

        A rate says nothing about the last rows, which are all in flight: each of them takes as long as it takes.
        """
        rows, rate = self.total - self.done, self.rate()
        if not rows or rate <= 0:
            return "ETA -" if rows else ""
        in_flight, age, usual = self._view.admission.in_flight, self._view.oldest_age(), self._usual()
        if rows <= in_flight and age > max(_NOTABLE_WAIT, usual):
            return f"last {pluralize(rows, 'answer')}, for {format_duration(age)} so far"
        seconds = max(1.0, rows / rate, usual if in_flight else 0.0)
        return f"ETA {format_end(self._now(), seconds)}"

    def trouble(self) -> str:
        """Return the errors by cause, and what the run is waiting for; "" if all is well."""
        return _GAP.join(each.text for each in [*self._errors(), *self._waits()])

    def _errors(self) -> list[Segment]:
        causes = self._view.stats.errors.most_common(_TOP_CAUSES)
        return [Segment(f"{count:,} {cause}", _EXTRA + number) for number, (cause, count) in enumerate(causes)]

    def _waits(self) -> list[Segment]:
        now = self._view.clock()
        states = self._view.admission.endpoint_states
        texts = [text for state in states if (text := self._state_of(state, now))]
        if self._view.admission.is_paused:
            texts.insert(0, "paused: nothing is sent (`syphus control FOLDER --resume`)")
        held = self._view.admission.waiting_until - now
        if held > _NOTABLE_WAIT and not texts and not self._view.stats.errors:
            texts.append(f"waiting until {self._clock_time(held)} for the limit{self._stated_limits()}")
        return [Segment(text, _STATES) for text in [*texts, self._waiting()]]

    def _state_of(self, state: EndpointState, now: float) -> str:
        host = state.endpoint.host
        if state.disabled_by is not None:
            return f"{host} is left out"
        if state.health.is_surely_down and state.health.down_since is not None:
            return f"{host} down since {self._clock_time(state.health.down_since - now)}"
        if state.paused_until > now + 1:
            limit = f" ({state.paused_for})" if state.paused_for else ""
            return f"waiting until {self._clock_time(state.paused_until - now)}: {host} asks to wait{limit}"
        return ""

    def _clock_time(self, seconds: float) -> str:
        """Return the time of day in `seconds` from now; negative for the past."""
        return f"{self._now() + timedelta(seconds=seconds):%H:%M:%S}"

    def _stated_limits(self) -> str:
        """Return ` of 60 requests and 90,000 tokens per minute`."""
        stated = [
            f"{limit:,.6g} {what}"
            for state in self._view.admission.endpoint_states
            for what, limit in state.per_minute.items()
        ]
        return f" of {' and '.join(stated)} per minute" if stated else ""

    def _limits(self) -> list[Segment]:
        """Return how much of the limit in requests is used, if one is known for all endpoints."""
        limits = [state.per_minute.get("requests", 0.0) for state in self._view.admission.endpoint_states]
        if not limits or not all(limits):
            return []
        answered = self.rate() * 60
        return [Segment(f"limit {sum(limits):,.0f}/min, {min(1.0, answered / sum(limits)):.0%} used", _CACHE)]


def draw_bar(done: int, total: int, width: int) -> str:
    """Return a bar of this width, filled by the share that is done."""
    filled = width * done // max(1, total)
    return f"{'━' * filled}{'╌' * (width - filled)}"


def _money(budget: Budget) -> list[Segment]:
    """Return what is spent of the budget, and then what may have been billed or is set aside for requests in flight."""
    parts = []
    if budget.price is None and not budget.is_simulated:
        parts.append(Segment("cost unknown", _STATES))
    else:
        parts.append(Segment(_of_limit(budget), _ALWAYS))
    if budget.max_requests is not None:
        share = f" ({budget.requests / budget.max_requests:.0%})" if budget.max_requests else ""
        rank = _ALWAYS if budget.max_cost is None else _STATES
        parts.append(Segment(f"{budget.requests:,} of {budget.max_requests:,} requests{share}", rank))
    if budget.maybe_billed:
        parts.append(Segment(f"+ {format_dollars(budget.maybe_billed)} perhaps", _STATES))
    if budget.max_cost is not None and budget.reserved > 0:
        parts.append(Segment(f"+ {format_dollars(budget.reserved)} reserved", _EXTRA))
    return parts


def _of_limit(budget: Budget) -> str:
    """Return `$2.07 of $40.00 (5%)`; what may have been billed counts in the share, since it can't be spent again."""
    spent = format_spent(budget.cost, budget.is_simulated)
    if budget.max_cost is None:
        return spent
    share = f" ({(budget.cost + budget.maybe_billed) / budget.max_cost:.0%})" if budget.max_cost else ""
    return f"{spent} of {format_dollars(budget.max_cost)}{share}"


class StopWatch:
    """Says once in a number of seconds that they have passed. `clock` gives seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def is_due(self, every: float) -> bool:
        """Return whether `every` seconds have passed, and begin to count again if so."""
        now = self._clock()
        if now - self._last < every:
            return False
        self._last = now
        return True
