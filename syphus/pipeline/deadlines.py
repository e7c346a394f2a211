"""How long one request may take: what the latencies so far suggest, and at most what the user allows.

A timeout on each read is not enough: a server that sends a byte every ten seconds never exceeds it. One task looks
at the clock and ends what is overdue: a single timer for a thousand requests. The clock does not count the time that
the computer slept.

A request is overdue if it takes several times as long as nearly all others, and requests that were sent after it have
their answers. If the whole server slows down or stands still, nothing overtakes anything, so nothing is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from syphus.endpoints.connections import NoReplyKind

MAX_TICK = 0.25  #: seconds between two looks at the clock
MAX_GAP = 4.0  #: seconds between two readings of the clock; a longer gap was sleep
FLOOR = 7.0  #: seconds; TCP repeats a lost packet after up to 6.2 s, so a shorter silence may be the network's
MIN_ANSWERS = 20  #: before these, only the user's timeout counts
_WINDOW = 1000  #: answers that are looked at
_USUAL, _RARE = 0.95, 0.995  #: quantiles of their latencies
_USUAL_FACTOR, _RARE_FACTOR = 4.0, 1.5
_PATIENT_FACTOR = 3.0  #: for a request that nothing has overtaken, or if too many were given up already
_OVERTAKEN_BY = 3  #: answers to later requests that show that the server works
_FREE_GIVE_UPS, _GIVE_UPS_PER_ANSWER = 5.0, 0.02  #: requests that may be given up early
_LONGER = 2.0  #: an answer may become this many times as long as the longest so far


class AwakeClock:
    """Called for the time: the seconds that this process was awake. `monotonic` is the underlying clock.

    A laptop sleeps, a process is stopped and continued, and the system's monotonic clock keeps running. On waking,
    every deadline would have passed, with the answers waiting in the sockets' buffers, and every outage would look
    hours long. This clock leaves such gaps out. It must be read every second or so, or idling would look like sleep;
    `Deadlines` does that.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last = monotonic()
        self._slept = 0.0

    def __call__(self) -> float:
        """Return the time in seconds, without the gaps."""
        now = self._monotonic()
        gap, self._last = now - self._last, now
        if gap > MAX_GAP:
            self._slept += gap - 1.0
        return now - self._slept


class Latencies:
    """The newest latencies of one endpoint, in seconds, and the deadline that follows from them.

    Recording costs next to nothing; the rest is computed when somebody asks, which is about once a second.
    """

    def __init__(self) -> None:
        self._answers: deque[tuple[float, int, float]] = deque(maxlen=_WINDOW)  # seconds, tokens, when it was sent
        self._count = 0
        self._computed_at = 0  # the count then
        self._usual = self._rare = self._longest_answer = 0.0
        self._given_up = 0

    def record_answer(self, seconds: float, tokens: int, sent_at: float) -> None:
        """Record the duration and the tokens of an answer to a request that was sent at `sent_at`."""
        self._answers.append((seconds, tokens, sent_at))
        self._count += 1

    def record_give_up(self) -> None:
        """Record that a request was given up early: the more there are, the longer the others may take."""
        self._given_up += 1

    def usual(self) -> float | None:
        """Return the 95th percentile, or None as long as there are too few answers."""
        if self._count < MIN_ANSWERS:
            return None
        self._compute()
        return self._usual

    def deadline(self) -> float | None:
        """Return the seconds after which a request is overdue, or None as long as there are too few answers.

        The rare slow answers must fit as well as the usual ones, and an answer twice as long as the longest so far.
        """
        if self._count < MIN_ANSWERS:
            return None
        self._compute()
        return max(FLOOR, _USUAL_FACTOR * self._usual, _RARE_FACTOR * self._rare, self._longest_answer)

    def is_overtaken(self, sent_at: float) -> bool:
        """Return whether several requests that were sent after `sent_at` have their answers."""
        later = 0
        for _, _, other in reversed(self._answers):
            later += other > sent_at
            if later >= _OVERTAKEN_BY:
                return True
        return False

    def answers_since(self, moment: float) -> tuple[int, float]:
        """Return how many of the newest answers came after a moment, and when the last of them came."""
        count, newest = 0, moment
        for seconds, _, sent_at in reversed(self._answers):
            if sent_at + seconds <= moment:
                break
            count, newest = count + 1, max(newest, sent_at + seconds)
        return count, newest

    @property
    def may_give_up(self) -> bool:
        """Whether few enough requests were given up so far, so that another one costs little."""
        return self._given_up < _FREE_GIVE_UPS + _GIVE_UPS_PER_ANSWER * self._count

    def _compute(self) -> None:
        if self._computed_at == self._count:
            return
        self._computed_at = self._count
        ordered = sorted(seconds for seconds, _, _ in self._answers)
        self._usual = ordered[int(_USUAL * (len(ordered) - 1))]
        self._rare = ordered[int(_RARE * (len(ordered) - 1))]
        self._longest_answer = self._seconds_of_longest_answer()

    def _seconds_of_longest_answer(self) -> float:
        """Return the seconds for an answer twice as long as the longest, by the best line through the answers."""
        n = len(self._answers)
        mean_seconds = sum(seconds for seconds, _, _ in self._answers) / n
        mean_tokens = sum(tokens for _, tokens, _ in self._answers) / n
        spread = sum((tokens - mean_tokens) ** 2 for _, tokens, _ in self._answers)
        if not spread:
            return 0.0
        together = sum((tokens - mean_tokens) * (seconds - mean_seconds) for seconds, tokens, _ in self._answers)
        longest = _LONGER * max(tokens for _, tokens, _ in self._answers)
        return mean_seconds + max(0.0, together / spread) * (longest - mean_tokens)


class Deadlines:
    """Ends requests that are overdue; none takes longer than `seconds` by `clock`.

    Use it as an async context manager around a session. If it fails itself, `on_fault` is called, since nothing ends
    a request any more.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._attempts: dict[Attempt, None] = {}  # in the order in which they were sent
        self._alarms: list[tuple[float, Callable[[], None]]] = []
        self._watcher: asyncio.Task[None] | None = None
        self.on_fault: Callable[[Exception], None] | None = None

    async def __aenter__(self) -> Deadlines:
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._watcher is not None
        self._watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher

    def limit(self, latencies: Latencies | None = None, times_given_up: int = 0) -> Attempt:
        """Return an async context manager that raises `TimeoutError` if its block takes too long.

        With the endpoint's `latencies`, it follows them; each time that the same row was given up doubles it.
        """
        return Attempt(self._attempts, self._clock, latencies, times_given_up)

    def call_after(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function after `seconds` of the clock."""
        self._alarms.append((self._clock() + seconds, function))

    def oldest_age(self) -> float:
        """Return the seconds that the oldest request in flight has taken so far, or 0 if there is none."""
        oldest = next(iter(self._attempts), None)
        return 0.0 if oldest is None else self._clock() - oldest.sent_at

    async def _watch(self) -> None:
        try:
            while True:
                await asyncio.sleep(min(MAX_TICK, self.seconds / 4))
                now = self._clock()
                self._end_overdue(now)
                due = [alarm for alarm in self._alarms if alarm[0] <= now]
                for alarm in due:
                    self._alarms.remove(alarm)
                    alarm[1]()
        except Exception as error:
            if self.on_fault is None:
                raise
            self.on_fault(error)

    def _end_overdue(self, now: float) -> None:
        shortest = min(FLOOR, self.seconds)
        for attempt in list(self._attempts):
            age = now - attempt.sent_at
            if age < shortest:
                return  # the others are younger
            if age >= self.seconds:
                attempt.end(NoReplyKind.TIMEOUT)
            elif self._is_overdue(attempt, now - attempt.heard_at) and attempt.latencies is not None:
                attempt.latencies.record_give_up()
                attempt.end(NoReplyKind.GIVEN_UP)

    def _is_overdue(self, attempt: Attempt, silence: float) -> bool:
        latencies = attempt.latencies
        deadline = latencies.deadline() if latencies is not None else None
        if latencies is None or deadline is None:
            return False
        deadline *= 2.0**attempt.times_given_up
        if silence < deadline:
            return False
        overtaken, affordable = latencies.is_overtaken(attempt.sent_at), latencies.may_give_up
        if overtaken and affordable:
            return True
        is_among_few = len(self._attempts) <= _OVERTAKEN_BY  # too few to overtake it
        return (overtaken or (is_among_few and affordable)) and silence >= _PATIENT_FACTOR * deadline


class Attempt:
    """One request in flight. asyncio's own timeout knows how to cancel and to undo that; only its end is managed here.

    After a `TimeoutError`, `ended_by` says why.
    """

    __slots__ = ("_attempts", "_clock", "_timeout", "ended_by", "heard_at", "latencies", "sent_at", "times_given_up")

    def __init__(
        self,
        attempts: dict[Attempt, None],
        clock: Callable[[], float],
        latencies: Latencies | None,
        times_given_up: int,
    ) -> None:
        self._attempts = attempts
        self._clock = clock
        self._timeout = asyncio.timeout(None)
        self.latencies = latencies
        self.times_given_up = times_given_up
        self.sent_at = self.heard_at = 0.0
        self.ended_by = NoReplyKind.TIMEOUT

    async def __aenter__(self) -> Attempt:
        await self._timeout.__aenter__()
        self.sent_at = self.heard_at = self._clock()
        self._attempts[self] = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._attempts.pop(self, None)
        await self._timeout.__aexit__(kind, error, trace)  # turns its own cancellation into a TimeoutError

    def hear(self) -> None:
        """Note that bytes of the answer have come."""
        self.heard_at = self._clock()

    def end(self, reason: NoReplyKind) -> None:
        """End the request with a `TimeoutError`, if it is still in flight."""
        if self in self._attempts:
            del self._attempts[self]
            self.ended_by = reason
            self._timeout.reschedule(asyncio.get_running_loop().time())
