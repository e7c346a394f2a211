"""The starts and ends of the command over one run, the settings they worked with, and small facts about the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from syphus.ledger.store import Store

Settings = Mapping[str, object]  #: JSON values; what answers depend on, and the prompt in full


class Session(NamedTuple):
    """One start of the command. `ended` is None while it works, and for ever where it was killed."""

    id: int
    started: float
    ended: float | None
    threads: int
    endpoint: str
    version: str
    stopped: str
    seconds: float


def get_meta(store: Store, name: str) -> object:
    """A small fact about the run, or None."""
    value: object = store.read_value("SELECT value FROM meta WHERE name = ?", name)
    return value


def set_meta(store: Store, name: str, value: str | float | bytes | None) -> None:
    """Notes a small fact, without committing."""
    store.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)


def last_settings(store: Store, stage: str) -> dict[str, object] | None:
    """The settings that the newest session of a stage worked with; None where there was none."""
    settings = store.read_value(
        "SELECT settings FROM session JOIN spec ON spec = spec.id WHERE stage = ? ORDER BY session.id DESC LIMIT 1",
        stage,
    )
    return dict(orjson.loads(settings)) if settings else None


def begin_session(
    store: Store, stage: str, settings: Settings, threads: int, endpoint: str, version: str, now: float
) -> int:
    """Notes the start of a session; returns its number. `now` is seconds since the epoch. Commits."""
    text = orjson.dumps(settings, option=orjson.OPT_SORT_KEYS).decode()
    store.execute("INSERT OR IGNORE INTO spec (created, settings) VALUES (?, ?)", now, text)
    ((spec,),) = store.read_uncommitted("SELECT id FROM spec WHERE settings = ?", text)
    session = store.execute(
        "INSERT INTO session (stage, spec, started, threads, endpoint, version) VALUES (?, ?, ?, ?, ?, ?)",
        *(stage, spec, now, threads, endpoint, version),
    ).lastrowid
    store.commit()
    assert session is not None
    return session


def end_session(store: Store, session: int, stopped: str, seconds: float, now: float) -> None:
    """Notes how a session ended: `stopped` is empty where nothing was left to do. Commits."""
    store.execute("UPDATE session SET ended = ?, stopped = ?, seconds = ? WHERE id = ?", now, stopped, seconds, session)
    store.commit()


def sessions(store: Store, stage: str) -> list[Session]:
    """All sessions of a stage, oldest first."""
    rows = store.read(
        "SELECT id, started, ended, threads, endpoint, version, stopped, seconds FROM session WHERE stage = ? "
        "ORDER BY id",
        stage,
    )
    return [Session(*row) for row in rows]


def has_sessions(store: Store) -> bool:
    """Whether any stage has ever begun to ask."""
    return store.read_one("SELECT 1 FROM session LIMIT 1") is not None


def is_simulated_run(store: Store) -> bool | None:
    """Whether the answers of the newest session that says so were made up; None where none does."""
    row = store.read_one(
        "SELECT settings ->> 'simulated' FROM session JOIN spec ON spec = spec.id "
        "WHERE settings ->> 'simulated' IS NOT NULL ORDER BY session.id DESC LIMIT 1"
    )
    return bool(row[0]) if row else None


def unfinished_calls(store: Store) -> int:
    """Calls, of all stages, that were in flight at the most when sessions were killed, or that are now."""
    calls = store.read_value(
        "SELECT sum(min(threads, (SELECT count(*) FROM query WHERE query.stage = session.stage AND "
        "position IS NOT NULL))) FROM session WHERE ended IS NULL"
    )
    return int(calls or 0)


def all_settings(store: Store, stage: str) -> list[dict[str, object]]:
    """The settings of all sessions of a stage, oldest first, each once."""
    rows = store.read(
        "SELECT settings FROM spec WHERE id IN (SELECT spec FROM session WHERE stage = ?) ORDER BY id", stage
    )
    return [dict(orjson.loads(row[0])) for row in rows]
