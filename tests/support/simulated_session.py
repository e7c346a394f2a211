"""Sessions of the loop in simulated time: a wait of an hour takes no time, and a test gives the same result everywhere.

Everything but the server, the clock and the thread that commits is the real thing, the ledger included.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wire import completion

from syphus.config.model_table import PromptCache
from syphus.endpoints.chat_reply import classify_chat_reply
from syphus.endpoints.classify import ReplyVerdict
from syphus.endpoints.connections import NoReplyError, NoReplyKind, Reply
from syphus.endpoints.request import RequestBuilder
from syphus.exchange import Completion, Request
from syphus.ledger.inputs import register
from syphus.ledger.records import Entry, Records, Row, StoredAnswer
from syphus.ledger.sessions import begin_session
from syphus.ledger.store import Store, open_for_writing
from syphus.pipeline.admission import AdmissionController
from syphus.pipeline.budget import Budget, TokenEstimate
from syphus.pipeline.deadlines import Deadlines
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.loop import Loop
from syphus.pipeline.prompt_caches import PromptCaches
from syphus.pipeline.retry import RetryPolicy
from syphus.pipeline.sender import RequestSender
from syphus.pipeline.session_context import SessionContext, SessionLimits, SessionStats
from syphus.pipeline.stage import Judgement, Stage
from syphus.pipeline.work_queue import WorkQueue
from syphus.pipeline.writer import Writer
from syphus.simulator.chat_request import read_chat
from syphus.simulator.prompt_cache import CacheLookup, SimulatedCache
from syphus.simulator.prompt_reader import PromptReader
from syphus.types import Message, Outcome, Query, State

STAGE = "generate"
_LONGEST = 86_400.0  # simulated seconds, after which a session hangs


class SimulatedTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer as soon as there is nothing else to do."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self._advance))

    def time(self) -> float:
        return self._now

    def _advance(self, seconds: float) -> None:
        self._now += seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self._advance(timeout)
        return ready


@dataclass
class FakeServer:
    """A server in simulated time. `sent_at` and `answered_at` are the times of its requests and of its answers.

    With `per_minute` it has a token bucket of `burst_seconds`, states it in headers, and refuses what exceeds it. It
    refuses what exceeds `max_concurrency` without stating it. `script` are its first replies; None is an answer. With a
    `cache` it reports what each request reads and writes, and `read` and `written` are the sums, of `tokens`.
    """

    host: str = "api.example.com"
    latency: float = 1.0
    per_minute: Mapping[str, float] = field(default_factory=dict)
    burst_seconds: float = 1.0
    charge: float = 3300.0  #: tokens that a request takes out of the bucket of tokens
    max_concurrency: int = 10**9
    script: Sequence[Reply | None] = ()
    refuse: Callable[[bytes], Reply | None] = lambda body: None  #: a reply by the body of the request
    down_until: float = 0.0
    cache: SimulatedCache | None = None
    tokens: int = 0
    read: int = 0
    written: int = 0
    sent_at: list[float] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    refused: int = 0
    in_flight: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(1)
        self._levels = {what: limit / 60 * self.burst_seconds for what, limit in self.per_minute.items()}
        self._filled_at = 0.0

    async def send(self, body: bytes) -> Reply:
        now = asyncio.get_running_loop().time()
        number = len(self.sent_at)
        self.sent_at.append(now)
        if now < self.down_until:
            raise NoReplyError(NoReplyKind.RESET)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        lookup = self._look_up(body, now)
        try:
            scripted = self.script[number] if number < len(self.script) else None
            reply = scripted or self.refuse(body) or self._refusal(now)
            await asyncio.sleep(0.01 if reply else self.latency * self._rng.uniform(0.8, 1.2))
        finally:
            self.in_flight -= 1
        if reply is not None:
            self.refused += reply.status == 429
            return reply
        self.answered_at.append(asyncio.get_running_loop().time())
        return Reply(200, self._headers(), completion(**self._usage(body, lookup)))

    def _look_up(self, body: bytes, now: float) -> CacheLookup | None:
        if self.cache is None:
            return None
        chat = read_chat(body)
        return self.cache.look_up(chat, chat.model, now)

    def _usage(self, body: bytes, lookup: CacheLookup | None) -> dict[str, Any]:
        if self.cache is None or lookup is None:
            return {}
        self.cache.store(lookup, self.answered_at[-1])
        tokens = PromptReader().read(read_chat(body).messages).tokens
        read, written = lookup.cached_tokens, lookup.cache_write_tokens
        self.tokens, self.read, self.written = self.tokens + tokens, self.read + read, self.written + written
        details = {"cached_tokens": read, "cache_write_tokens": written}
        return {"usage": {"prompt_tokens": tokens, "completion_tokens": 20, "prompt_tokens_details": details}}

    def classify(self, body: bytes, request: Request, headers: Mapping[str, str]) -> ReplyVerdict:
        return classify_chat_reply(body, request.size, headers)

    def renew_token(self) -> bool:
        return False

    async def close(self) -> None:
        pass

    def _refusal(self, now: float) -> Reply | None:
        for what, limit in self.per_minute.items():
            full = limit / 60 * self.burst_seconds
            self._levels[what] = min(full, self._levels[what] + (now - self._filled_at) * limit / 60)
        self._filled_at = now
        charges = {what: self.charge if what == "tokens" else 1.0 for what in self.per_minute}
        if self.in_flight > self.max_concurrency or any(self._levels[what] < charges[what] for what in charges):
            return Reply(429, self._headers(), b'{"error": {"message": "Slow down."}}')
        for what, charge in charges.items():
            self._levels[what] -= charge
        return None

    def _headers(self) -> dict[str, str]:
        headers = {f"x-ratelimit-limit-{what}": f"{limit:.0f}" for what, limit in self.per_minute.items()}
        remaining = {f"x-ratelimit-remaining-{what}": f"{int(level)}" for what, level in self._levels.items()}
        return {**headers, **remaining}


@dataclass(frozen=True)
class Prompt:
    """What comes before each row, and to which model it goes; `rules` are what the client knows of its cache."""

    messages: Sequence[Message] = ()
    model: str = "chat"
    rules: PromptCache | None = None


NO_PROMPT = Prompt()


class AcceptAll(Stage):
    """A stage that accepts every answer. `prompt` comes before the text of a row."""

    name = STAGE

    def __init__(self, prompt: Prompt = NO_PROMPT) -> None:
        self._messages = prompt.messages
        self._builder = RequestBuilder(prompt.model, {"max_tokens": 3200}, cache=prompt.rules)

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        own = Message(role="user", content=row.query.text)
        return self._builder.request([*self._messages, own], shared=len(self._messages))

    def judge(self, row: Row, completion: Completion) -> Judgement:
        return Judgement(Outcome(State.OK))

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:
        return ""


class _ImmediateWriter(Writer):
    """Writes each entry in the event loop's own thread, so that no simulated time passes. The caller commits."""

    def __init__(self, store: Store, records: Records) -> None:
        super().__init__(store, records, None, lambda: None)

    async def put(self, entry: Entry) -> bool:
        self._records.write(entry)
        return True

    async def keep(self, name: str, value: str) -> None:
        pass

    def count_request(self, *_: object, **__: object) -> None:
        pass


@dataclass(frozen=True)
class SimulatedSession:
    """How a session ended: the states in the ledger, what stopped it, its simulated seconds, and its statistics."""

    states: Counter[str]
    stopped_by: Exception | None
    seconds: float
    stats: SessionStats


def open_ledger(folder: Path, rows: int) -> tuple[Store, int]:
    """Open a ledger with so many rows, and begin a session; return both."""
    store = open_for_writing(folder)
    queries = [Query(f"q{number}", f"the door of house {number} is open") for number in range(rows)]
    register(store, STAGE, queries, lambda _: True, lambda _: None)
    return store, begin_session(store, STAGE, {}, 4, "", 0.0)


def simulate(
    folder: Path,
    servers: Sequence[FakeServer],
    rows: int,
    threads: int = 8,
    max_attempts: int = 3,
    prompt: Prompt = NO_PROMPT,
    budget: Budget | None = None,
    **limits: Any,
) -> SimulatedSession:
    """Run a session over so many rows. `limits` are those of `SessionLimits`."""
    given = {"max_rounds": 0, "max_wait": 600.0, "max_outage": 900.0, "first_wait": 0.5, **limits}
    store, number = open_ledger(folder, rows)
    with closing(store), asyncio.Runner(loop_factory=SimulatedTimeLoop) as runner:
        records = Records(store, STAGE, number)
        chosen = SessionLimits(threads=threads, **given)
        return runner.run(_session(store, records, servers, chosen, max_attempts, prompt, budget))


async def _session(
    store: Store,
    records: Records,
    servers: Sequence[FakeServer],
    limits: SessionLimits,
    max_attempts: int,
    prompt: Prompt,
    budget: Budget | None,
) -> SimulatedSession:
    clock = asyncio.get_running_loop().time
    ((rows,),) = store.read("SELECT count(*) FROM query")
    stats = SessionStats()
    retry = RetryPolicy(max_attempts, limits.first_wait, random.Random(0))
    writer = _ImmediateWriter(store, records)
    session = SessionContext(AcceptAll(prompt), records, writer, stats, retry, limits, trusted=False, clock=clock)
    states = [EndpointState(server, limits, {}, clock(), PromptCaches(prompt.rules)) for server in servers]
    budget = budget or Budget(None, None, None, 0.0, 0)
    admission = AdmissionController(states, budget, TokenEstimate(3200), clock)
    queue = WorkQueue(records.pending(), window=4 * limits.threads, clock=clock)
    admission.rows_to_come = lambda: rows - stats.done - queue.open_rows
    async with asyncio.timeout(_LONGEST), Deadlines(180.0, clock) as deadlines:
        loop = Loop(session, queue, admission, RequestSender(session, admission, deadlines))
        await loop.run(limits.threads)
    store.commit()
    found = Counter(state for (state,) in store.read("SELECT state FROM query"))
    return SimulatedSession(found, loop.stopped_by, clock(), stats)
