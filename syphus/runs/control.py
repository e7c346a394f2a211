"""A run while it works, seen from another process: how fast it is, and changes, left at its desk until it replies.

The reply is in the run's ledger. A run looks several times a second while it asks a model; while it reads its input or
writes its files, it does not, and takes a change as soon as it asks again.
"""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from syphus.errors import ConfigError, RunError
from syphus.formats.report import Report
from syphus.ledger.control_desk import (
    STOP,
    ControlSettings,
    ControlValue,
    ControlValues,
    leave_request,
    new_request,
    process_name,
)
from syphus.ledger.controls import ControlChange, SessionControls, all_changes, changes_of_request, read_controls
from syphus.ledger.schema import PACE_SECONDS
from syphus.ledger.store import LockHolder, Store, is_working, lock_holder, open_for_reading
from syphus.types import State

__all__ = ["ControlState", "ControlValues", "WorkingProcess", "change_line", "change_run", "control_state"]

WAIT_SECONDS = 10.0  #: for the reply
_LOOK_EVERY = 0.05  # seconds


_RATE_SECONDS = 60  #: over which the rate of a working run is measured


class WorkingProcess(NamedTuple):
    """What is known of the process that works on a run."""

    process: LockHolder | None  #: None if it is of an earlier version
    started: float  #: seconds since the epoch
    rows_per_minute: float  #: over the last minute
    seconds_left: float | None  #: at this rate, None if no row is pending, or none was done in the last minute
    last_answer: float | None  #: seconds ago


def working_now(store: Store, folder: Path, report: Report, now: float) -> WorkingProcess:
    """Return how fast a run is at the moment. `now` is in seconds since the epoch."""
    started = report.sessions[-1].started if report.sessions else now
    since = max(now - _RATE_SECONDS, started)
    rows = store.read_value("SELECT total(outcomes) FROM pace WHERE at > ?", since // PACE_SECONDS)
    newest = store.read_value("SELECT max(newest) FROM pace WHERE answers > 0")
    rate = 60 * float(rows) / max(now - (since // PACE_SECONDS + 1) * PACE_SECONDS, PACE_SECONDS)
    pending = report.counts.states[State.PENDING]
    left = 60 * pending / rate if rate and pending else None  # a translation is at work after the rows
    return WorkingProcess(lock_holder(folder), started, rate, left, None if newest is None else now - newest)


class ControlState(NamedTuple):
    """The settings of a run that can be changed while it works, and what was changed."""

    working: bool
    process: LockHolder | None  #: that works on the run, if it is known
    given: ControlSettings | None  #: of the newest session, as its command gives them; None of an earlier version
    in_force: ControlSettings | None  #: now, or when that session ended
    changes: tuple[ControlChange, ...] = ()  #: of all sessions, oldest first
    applied: tuple[ControlChange, ...] = ()  #: what became of the changes that were asked for
    is_waiting: bool = False  #: the run has not taken them yet

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values; times are in seconds since the epoch."""
        return {
            "working": self.working,
            "process": self.process._asdict() if self.process else None,
            "given": self.given.as_json() if self.given else None,
            "settings": self.in_force.as_json() if self.in_force else None,
            "changes": [each._asdict() for each in self.changes],
            "applied": [each._asdict() for each in self.applied],
            "waiting": self.is_waiting,
        }


def control_state(folder: Path) -> ControlState:
    """Return the settings of a run that can be changed while it works. Raises `RunError` if the folder is not a run."""
    store = open_for_reading(folder)
    try:
        with store.snapshot():
            controls, changes = read_controls(store), all_changes(store)
    finally:
        store.close()
    given, in_force = controls or (None, None)
    return ControlState(is_working(folder), lock_holder(folder), given, in_force, tuple(changes))


def change_run(
    folder: Path,
    changes: Mapping[str, object],
    stop: bool = False,
    who: str = "",
    wait: float = WAIT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ControlState:
    """Change settings of the run that is working in a folder, or stop it, and wait up to `wait` seconds for its reply.

    `changes` are by the names of `ControlSettings`; None lifts a limit. `who` is the person, by default the user of
    this process. Raises `RunError` if no process works on the run, and `ConfigError` for what can't be set, also if
    the run refuses it.
    """
    state = control_state(folder)
    if not state.working:
        raise RunError(f"No process is working on {folder}: there is nothing to change. Its next start takes options.")
    process = process_name(*state.process) if state.process else ""
    request = new_request(who or user_name(), process, changes, stop)
    file = leave_request(folder, request)
    until = clock() + wait
    while True:
        applied = _reply(folder, request.id)
        if applied or clock() >= until:
            break
        if not is_working(folder):
            applied = _reply(folder, request.id)
            break
        sleep(_LOOK_EVERY)
    for each in applied:
        if each.problem:
            raise ConfigError(f"The run refuses the change: {each.problem}")
    state = control_state(folder)
    if not applied and not state.working:
        file.unlink(missing_ok=True)
        raise RunError(f"The run in {folder} has ended before it could take the change.")
    return state._replace(applied=tuple(applied), is_waiting=not applied)


def _reply(folder: Path, request: str) -> list[ControlChange]:
    store = open_for_reading(folder)
    try:
        return changes_of_request(store, request)
    finally:
        store.close()


def user_name() -> str:
    """Return the name under which this process changes a run: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no name for the number of the user
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def control_lines(state: ControlState) -> list[str]:
    """Return the settings in force and what was changed, for people."""
    lines = [_process_line(state)]
    if state.in_force is None or state.given is None:
        lines.append("The run was begun by an earlier version, which keeps no settings that can be changed.")
    else:
        given = state.given.as_json()
        for name, value in state.in_force.as_json().items():
            was = "" if value == given[name] else f"  (its command: {_shown(name, given[name])})"
            lines.append(f"  {name.replace('_', '-'):<14}{_shown(name, value)}{was}")
    return [*lines, *map(change_line, state.changes)]


def change_line(change: ControlChange) -> str:
    """Return who has changed what, and when, for people."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change.at))
    return f"{at}  {change.who}: {change.describe()}"


def _process_line(state: ControlState) -> str:
    if not state.working:
        return "No process is working on this run. Its last session had these settings:"
    if state.process is None:
        return "A process is working on this run, with these settings:"
    return f"Process {state.process.pid} on {state.process.host} is working on this run, with these settings:"


def _shown(name: str, value: ControlValue) -> str:
    return ControlChange(0.0, "", name, None, value).shown(value)


def reply_lines(state: ControlState) -> list[str]:
    """Return what became of the changes that were asked for, for people."""
    if state.is_waiting:
        why = "it asks no model at the moment, or an earlier version began it"
        return [f"The run has not taken the change yet: {why}. It takes the change as soon as it asks again."]
    unchanged = [each for each in state.applied if each.before == each.after and each.name != STOP]
    return [f"{each.describe()}{', as before' if each in unchanged else ''}" for each in state.applied]


def changes_before(controls: SessionControls | None) -> str:
    """Return how the session before was changed while it worked, if this one starts from other settings; "" if not."""
    if controls is None or controls.given == controls.in_force:
        return ""
    given, last = controls.given.as_json(), controls.in_force.as_json()
    changes = [ControlChange(0.0, "", name, given[name], last[name]) for name in given if given[name] != last[name]]
    said = ", ".join(change.describe() for change in changes)
    return f"The session before was changed while it worked: {said}. This one starts from the settings of its command."
