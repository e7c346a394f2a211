"""Sessions (starts and ends of the command on a run), their settings, and small facts about the run."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import orjson

from syphus.ledger.controls import ControlChange, SessionControls, changes_by_session
from syphus.ledger.parts import marks
from syphus.ledger.schema import BILLS
from syphus.ledger.store import Store
from syphus.types import State
from syphus.version import __version__

Settings = Mapping[str, object]  #: JSON values: everything that answers depend on, and the full prompt


class Session(NamedTuple):
    """One start of the command."""

    id: int
    started: float  #: seconds since the epoch
    ended: float | None  #: None while it runs, and if it was killed
    threads: int  #: maximum concurrent requests
    endpoint: str
    version: str  #: of Syphus
    stopped: str  #: why it stopped early, or ""
    seconds: float
    changes: tuple[ControlChange, ...] = ()  #: of its settings, while it worked


class ColdStartState(StrEnum):
    """How far a cold start has come."""

    SEARCHING = "searching"  #: in progress, or killed
    STOPPED = "stopped"  #: by a person, a budget, an endpoint or the disk
    SATISFACTORY = "satisfactory"
    ACCEPTED = "accepted"  #: better by more than chance, and taken as the user asked for
    UNSATISFACTORY = "unsatisfactory"


class ColdStartRecord(NamedTuple):
    """What the newest cold start of a run has found. Shares and scores are of the best set's held-out answers."""

    state: ColdStartState
    rounds: int = 0  #: that were begun
    examples: int = 0  #: in the best set
    asked: int = 0  #: held-out answers that prove it; 0 if nothing was proven, and then the numbers below are 0
    valid_share: float = 0.0
    plain_share: float = 0.0  #: without examples
    score: float = 0.0
    gain: tuple[float, float, float] = (0.0, 0.0, 0.0)  #: in score over no examples: mean, and 95% interval
    missing: tuple[str, ...] = ()  #: what keeps the set from being satisfactory
    advice: tuple[str, ...] = ()  #: what to try
    stopped: str = ""  #: what stopped it, in one line
    requests: int = 0  #: of all cold starts of the run


_COLD_START_META = "cold start result"
_COLD_START_STAGES = "(stage = 'cold start' OR stage LIKE 'cold start %')"


def note_cold_start(store: Store, record: ColdStartRecord) -> None:
    """Store what a cold start has found so far, and commit."""
    set_meta(store, _COLD_START_META, orjson.dumps(record._asdict()).decode())
    store.commit()


def read_cold_start(store: Store) -> ColdStartRecord | None:
    """Return what the newest cold start of a run has found, None if there was none.

    A version before this record noted only whether the set was satisfactory, and what was missing.
    """
    requests = store.read_value(
        f"SELECT sum(requests) FROM attempt JOIN session ON session.id = attempt.session WHERE {_COLD_START_STAGES}"
    )
    noted = orjson.loads(str(get_meta(store, _COLD_START_META) or "null"))
    if noted:
        lists = {name: tuple(noted[name]) for name in ("gain", "missing", "advice")}
        return ColdStartRecord(**{**noted, **lists, "state": ColdStartState(noted["state"]), "requests": requests or 0})
    before = orjson.loads(str(get_meta(store, "cold start") or "null"))
    if before:
        state = ColdStartState.SATISFACTORY if before["satisfactory"] else ColdStartState.UNSATISFACTORY
        examples = len(before["in_context"]) // 2
        return ColdStartRecord(state, examples=examples, missing=tuple(before["missing"]), requests=requests or 0)
    return ColdStartRecord(ColdStartState.STOPPED, requests=requests) if requests else None


def get_meta(store: Store, name: str) -> object:
    """Return a small fact about the run, or None."""
    value: object = store.read_value("SELECT value FROM meta WHERE name = ?", name)
    return value


def set_meta(store: Store, name: str, value: str | float | bytes | None) -> None:
    """Store a small fact about the run, without committing."""
    store.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)


def run_id(store: Store) -> str:
    """Return what tells this run apart from all others; a new one is committed."""
    known = get_meta(store, "run id")
    if known is None:
        known = uuid.uuid4().hex
        set_meta(store, "run id", known)
        store.commit()
    return str(known)


def last_settings(store: Store, stage: str) -> dict[str, object] | None:
    """Return the settings of the newest session of a stage, or None if there is none."""
    settings = store.read_value(
        "SELECT settings FROM session JOIN spec ON spec = spec.id WHERE stage = ? ORDER BY session.id DESC LIMIT 1",
        stage,
    )
    return dict(orjson.loads(settings)) if settings else None


def newest_chat_settings(store: Store, without: Sequence[str]) -> dict[str, object] | None:
    """Return the settings of the newest session of any stage that asked a chat model, or None if there is none.

    Sessions of the stages `without` do not count.
    """
    settings = store.read_value(
        "SELECT settings FROM session JOIN spec ON spec = spec.id WHERE settings -> 'max_tokens' IS NOT NULL "
        f"AND stage NOT IN ({marks(without)}) ORDER BY session.id DESC LIMIT 1",
        *without,
    )
    return dict(orjson.loads(settings)) if settings else None


def begin_session(
    store: Store,
    stage: str,
    settings: Settings,
    threads: int,
    endpoint: str,
    now: float,
    controls: SessionControls | None = None,
) -> int:
    """Store the start of a session, commit, and return its number. `now` is in seconds since the epoch.

    `controls` are the settings that people may change while it works.
    """
    text = orjson.dumps(settings, option=orjson.OPT_SORT_KEYS).decode()
    store.execute("INSERT OR IGNORE INTO spec (created, settings) VALUES (?, ?)", now, text)
    ((spec,),) = store.read_uncommitted("SELECT id FROM spec WHERE settings = ?", text)
    session = store.execute(
        "INSERT INTO session (stage, spec, started, threads, endpoint, version, controls) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(stage, spec, now, threads, endpoint, __version__, controls and controls.dumps()),
    ).lastrowid
    store.commit()
    assert session is not None
    return session


def session_start(store: Store, session: int) -> float:
    """Return when a session began, in seconds since the epoch."""
    return float(store.read_value("SELECT started FROM session WHERE id = ?", session) or 0.0)


def end_session(store: Store, session: int, stopped: str, seconds: float, now: float) -> None:
    """Store the end of a session, and commit. `stopped` says why it ended early, or is empty."""
    store.execute("UPDATE session SET ended = ?, stopped = ?, seconds = ? WHERE id = ?", now, stopped, seconds, session)
    store.commit()


def forget_session(store: Store, session: int) -> None:
    """Remove the newest session, in which nothing was sent, and commit."""
    store.execute("DELETE FROM session WHERE id = ?", session)
    store.commit()


def sessions(store: Store, stage: str) -> list[Session]:
    """Return all sessions of a stage, oldest first."""
    rows = store.read(
        "SELECT id, started, ended, threads, endpoint, version, stopped, seconds FROM session WHERE stage = ? "
        "ORDER BY id",
        stage,
    )
    changes = changes_by_session(store, stage)
    return [Session(*row)._replace(changes=tuple(changes[row[0]])) for row in rows]


def count_sessions(store: Store, *, without: Sequence[str] = ()) -> int:
    """Count the sessions of all stages but those in `without`."""
    places = ", ".join("?" * len(without))
    return int(store.read_value(f"SELECT count(*) FROM session WHERE stage NOT IN ({places})", *without))


def answering_session(store: Store, stage: str) -> tuple[str, str] | None:
    """Return the model and the endpoint of the newest session of a stage that has an answer; None if none has."""
    row = store.read_one(
        "SELECT settings ->> 'model', endpoint FROM session JOIN spec ON spec = spec.id WHERE stage = ? "
        f"AND session.id IN (SELECT session FROM {BILLS}) ORDER BY session.id DESC LIMIT 1",
        stage,
    )
    return (str(row[0] or ""), str(row[1])) if row else None


def has_sessions(store: Store) -> bool:
    """Return whether any stage has ever started."""
    return store.read_one("SELECT 1 FROM session LIMIT 1") is not None


def is_simulated_run(store: Store) -> bool | None:
    """Return whether the run's answers are from the simulator, by its newest session that knows; None if none does."""
    row = store.read_one(
        "SELECT settings ->> 'simulated' FROM session JOIN spec ON spec = spec.id "
        "WHERE settings ->> 'simulated' IS NOT NULL ORDER BY session.id DESC LIMIT 1"
    )
    return bool(row[0]) if row else None


_QUERIES = (
    "SELECT total(times) FROM tally WHERE tally.stage = session.stage "
    f"AND kind IN ({', '.join(repr(state.value) for state in State)})"
)


def has_open_session(store: Store) -> bool:
    """Return whether a session has no end: a process works on the run, or was killed."""
    return store.read_one("SELECT 1 FROM session WHERE ended IS NULL LIMIT 1") is not None


def unfinished_calls(store: Store) -> int:
    """Return how many requests, at most, were open when sessions were killed, or are open now, in all stages."""
    calls = store.read_value(f"SELECT sum(min(threads, ({_QUERIES}))) FROM session WHERE ended IS NULL")
    return int(calls or 0)


def unfinished_cost(store: Store) -> tuple[float, int]:
    """Return the dollars that were reserved, at most, when sessions were killed, or are reserved now.

    The second number are the requests of such sessions that noted no dollars, counted as in `unfinished_calls`.
    """
    dollars, calls = store.read(
        f"SELECT total(reserved), sum(iif(reserved IS NULL, min(threads, ({_QUERIES})), 0)) FROM session "
        "WHERE ended IS NULL"
    )[0]
    return dollars, int(calls or 0)


def all_settings(store: Store, stage: str) -> list[dict[str, object]]:
    """Return the distinct settings of all sessions of a stage, oldest first."""
    rows = store.read(
        "SELECT settings FROM spec WHERE id IN (SELECT spec FROM session WHERE stage = ?) ORDER BY id", stage
    )
    return [dict(orjson.loads(row[0])) for row in rows]


class RequestKind(StrEnum):
    """What became of a request, as it is counted for its endpoint."""

    ANSWERED = "answered"
    LIMITED = "limited"  #: the server asked to wait
    REFUSED = "refused"  #: the server said no: a filter, a parameter, a key
    FAILED = "failed"  #: an error of the server, or no reply


class RequestCounts:
    """Numbers of requests by outcome since the last commit."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.maybe_billed: Counter[str] = Counter()
        self.unknown_tokens: Counter[str] = Counter()
        self.unknown_cost: dict[str, float] = defaultdict(float)  #: dollars beyond what the answers say
        self.by_endpoint: Counter[tuple[str, str, RequestKind]] = Counter()  #: by endpoint, cause and kind

    def add(
        self,
        cause: str,
        maybe_billed: bool,
        tokens: float,
        endpoint: str = "",
        kind: RequestKind = RequestKind.FAILED,
    ) -> None:
        """Count one request to an endpoint; `tokens` may have been billed although no answer came."""
        self.requests[cause] += 1
        self.by_endpoint[endpoint, cause, kind] += 1
        if maybe_billed:
            self.maybe_billed[cause] += 1
            self.unknown_tokens[cause] += int(tokens)

    def take(self, held: RequestCounts, answers: Counter[str] | None) -> None:
        """Move answered requests here: as many as there are `answers` by endpoint, or all of them."""
        for (endpoint, cause, kind), count in list(held.by_endpoint.items()):
            moved = count if answers is None else min(count, answers[endpoint])
            if moved:
                self.by_endpoint[endpoint, cause, kind] += moved
                self.requests[cause] += moved
                held.by_endpoint[endpoint, cause, kind] -= moved
                held.requests[cause] -= moved
        for cause, dollars in held.unknown_cost.items():
            if self.requests[cause]:
                self.unknown_cost[cause] += dollars
                held.unknown_cost[cause] = 0.0
