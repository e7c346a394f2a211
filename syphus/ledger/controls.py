"""The settings of a session that can be changed while it works, and what people have changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from syphus.ledger.control_desk import STOP, ControlName, ControlRequest, ControlSettings, ControlValue
from syphus.ledger.store import Columns, Store
from syphus.text import format_budget

_CHANGES = "SELECT at, who, name, before, after, problem FROM control WHERE {} ORDER BY n"


class ControlChange(NamedTuple):
    """What somebody has changed while a session worked. With a `problem`, nothing was changed."""

    at: float  #: seconds since the epoch
    who: str
    name: str  #: of the setting, or "stop"
    before: ControlValue
    after: ControlValue
    problem: str = ""

    def describe(self) -> str:
        """Return it for people: `threads 16 (was 8)`, `max-cost $5.00 (was none)`, `paused`."""
        if self.name in (STOP, ControlName.PAUSED):
            return "stopped" if self.name == STOP else "paused" if self.after else "resumed"
        return f"{self.name.replace('_', '-')} {self.shown(self.after)} (was {self.shown(self.before)})"

    def shown(self, value: ControlValue) -> str:
        """Return a value of this setting for people."""
        if value is None or isinstance(value, bool):
            return {None: "none", True: "yes", False: "no"}[value]
        return format_budget(value) if self.name == ControlName.MAX_COST else f"{value:,.10g}"


class SessionControls(NamedTuple):
    """The settings of a session that can be changed while it works: as the command gives them, and as they are."""

    given: ControlSettings
    in_force: ControlSettings

    def dumps(self) -> str:
        """Return them as JSON."""
        return orjson.dumps({name: each.as_json() for name, each in self._asdict().items()}).decode()


def read_controls(store: Store) -> SessionControls | None:
    """Return the settings of the newest session; None if an earlier version began it, or if there is none."""
    text = store.read_value("SELECT controls FROM session ORDER BY id DESC LIMIT 1")
    if text is None:
        return None
    values = orjson.loads(text)
    return SessionControls(ControlSettings(**values["given"]), ControlSettings(**values["in_force"]))


def write_changes(
    store: Store, session: int, request: ControlRequest, changes: Iterable[ControlChange], controls: SessionControls
) -> None:
    """Write what became of a request into the open transaction, and the settings that are in force from now on.

    A session counts for as many requests in flight, when it is killed, as it may ever have had.
    """
    store.executemany(
        "INSERT INTO control (request, session, at, who, name, before, after, problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(request.id, session, each.at, each.who, each.name),
                *(orjson.dumps(value).decode() for value in (each.before, each.after)),
                each.problem,
            )
            for each in changes
        ],
    )
    store.execute(
        "UPDATE session SET controls = ?, threads = max(threads, ?) WHERE id = ?",
        *(controls.dumps(), controls.in_force.threads, session),
    )


def changes_of_request(store: Store, request: str) -> list[ControlChange]:
    """Return what became of a request; nothing while the run has not read it."""
    return [_change(row) for row in store.read(_CHANGES.format("request = ?"), request)]


def all_changes(store: Store) -> list[ControlChange]:
    """Return everything that was changed while the run worked, in all stages, oldest first."""
    return _real_changes(_change(row) for row in store.read(_CHANGES.format("true")))


def changes_by_session(store: Store, stage: str) -> Mapping[int, list[ControlChange]]:
    """Return what was changed in each session of a stage."""
    found: dict[int, list[ControlChange]] = defaultdict(list)
    for session, *row in store.read(
        "SELECT session, at, who, name, before, after, problem FROM control WHERE session IN "
        "(SELECT id FROM session WHERE stage = ?) ORDER BY n",
        stage,
    ):
        found[session] += _real_changes([_change(tuple(row))])
    return found


def _real_changes(changes: Iterable[ControlChange]) -> list[ControlChange]:
    """Return the changes that changed something."""
    return [each for each in changes if not each.problem and each.before != each.after]


def _change(row: Columns) -> ControlChange:
    at, who, name, before, after, problem = row
    return ControlChange(at, who, name, orjson.loads(before), orjson.loads(after), problem)
