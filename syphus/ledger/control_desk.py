"""The desk where people leave changes for a run that is working: a folder beside the ledger.

A change is a file that is written under another name and then renamed, so it is always whole, and neither several
people nor the run ever wait for each other. The run looks into the folder a few times a second; that takes
microseconds. It notes in the ledger what it did, which is the reply, and removes the file. Nothing of this needs locks
or sockets, so it works on every file system that a ledger works on.

A change names the process that it is for. What an earlier process has left is dropped when a new one begins.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypedDict

import orjson

from syphus.errors import ConfigError, RunError

FOLDER = "control"  #: in the folder of a run, while changes wait
STOP = "stop"  #: a change that is not a setting
_SUFFIX = ".json"
_MAX_BYTES = 64_000  # of a file
_MAX_WHO = 100  # characters
_MOST = 10**15  #: of any limit: more fits neither JSON nor the ledger exactly
_MOST_AT_ONCE = 100  # files that are read in one look

ControlValue = int | float | bool | None  #: of a setting; None lifts a limit


class ControlName(StrEnum):
    """The settings that can be changed while a run works."""

    THREADS = "threads"
    RPM = "rpm"
    TPM = "tpm"
    MAX_COST = "max_cost"
    MAX_REQUESTS = "max_requests"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The settings of a working run that can be changed. None means no limit."""

    threads: int = 1  #: maximum concurrent requests
    rpm: float | None = None  #: requests per minute at each endpoint
    tpm: float | None = None  #: tokens per minute at each endpoint
    max_cost: float | None = None  #: dollars, over all sessions
    max_requests: int | None = None  #: over all sessions
    paused: bool = False  #: nothing is sent

    def with_changes(self, changes: Mapping[str, ControlValue]) -> ControlSettings:
        """Return the settings after checked changes."""
        return replace(self, **changes)  # type: ignore[arg-type]  # `check_changes` has checked each by its name

    def stricter(self, other: ControlSettings) -> ControlSettings:
        """Return settings under which nothing is sent that either of two settings forbids."""

        def lower(name: str) -> float | None:
            limits = [limit for each in (self, other) if (limit := getattr(each, name)) is not None]
            return min(limits, default=None)

        limits = {each.name: lower(each.name) for each in fields(self) if each.name != ControlName.PAUSED}
        return ControlSettings(**limits, paused=self.paused or other.paused)  # type: ignore[arg-type]  # of both

    def as_json(self) -> dict[str, ControlValue]:
        """Return them by name."""
        return asdict(self)


class ControlValues(TypedDict, total=False):
    """Changes as they are written in Python; see `ControlSettings`."""

    threads: int
    rpm: float | None
    tpm: float | None
    max_cost: float | None
    max_requests: int | None
    paused: bool


class ControlRequest(NamedTuple):
    """Changes that somebody asks for. `problem` says why they can't be read, and is "" if they can."""

    id: str
    at: float  #: seconds since the epoch
    who: str
    run: str  #: the process that is to change, as `process_name` gives it; "" for any
    changes: Mapping[str, ControlValue]
    stop: bool = False
    problem: str = ""
    file: str = ""


def process_name(pid: int, host: str) -> str:
    """Return the name of a process that works on a run, as changes give it."""
    return f"{pid} {host}"


def check_changes(changes: Mapping[str, object]) -> dict[str, ControlValue]:
    """Return changes by the names of settings, with their types. Raises `ConfigError` for what can't be set."""
    return {name: _checked(name, value) for name, value in changes.items()}


def _checked(name: str, value: object) -> ControlValue:
    flag = f"--{name.replace('_', '-')}"
    if name not in list(ControlName):
        raise ConfigError(f"{flag}: can't be changed while a run works. These can: {', '.join(ControlName)}.")
    if name == ControlName.PAUSED:
        if not isinstance(value, bool):
            raise ConfigError("paused: must be true or false.")
        return value
    if isinstance(value, int | float) and math.inf > abs(value) > _MOST:
        raise ConfigError(f"{flag}: must be at most {_MOST:,}.")
    is_whole = name in (ControlName.THREADS, ControlName.MAX_REQUESTS)
    if value is None:
        if name == ControlName.THREADS:
            raise ConfigError("--threads: must be a whole number.")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{flag} {value}: must be a {'whole ' if is_whole else ''}number or none.")
    if is_whole and value != int(value):
        raise ConfigError(f"{flag} {value:g}: must be a whole number.")
    if name == ControlName.THREADS and value < 1:
        raise ConfigError(f"--threads {value:g}: must be at least 1; --pause sends nothing.")
    if name in (ControlName.RPM, ControlName.TPM) and value <= 0:
        raise ConfigError(f"{flag} {value:g}: must be more than 0; --pause sends nothing.")
    if value < 0:
        raise ConfigError(f"{flag} {value:g}: must be at least 0.")
    return int(value) if is_whole else float(value)


def leave_request(folder: Path, request: ControlRequest) -> Path:
    """Leave changes for the run in `folder`; return their file. Raises `RunError` if the folder can't be written."""
    data = orjson.dumps(
        {
            "id": request.id,
            "at": request.at,
            "who": request.who[:_MAX_WHO],
            "run": request.run,
            "changes": dict(request.changes),
            "stop": request.stop,
        }
    )
    desk = folder / FOLDER
    path = desk / f"{time.time_ns():020d}-{request.id}{_SUFFIX}"  # read in the order in which they were left
    try:
        for _ in range(2):  # a run that ends removes the folder
            desk.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                beside = desk / f".{request.id}"
                beside.write_bytes(data)
                beside.replace(path)
                return path
    except OSError as error:
        raise RunError(f"{desk} can't be written: {error.strerror}.") from error
    raise RunError(f"{desk} can't be written: it is removed again and again.")


def new_request(who: str, run: str, changes: Mapping[str, object], stop: bool = False) -> ControlRequest:
    """Return a request with an id of its own. Raises `ConfigError` for what can't be set."""
    return ControlRequest(str(uuid.uuid4()), time.time(), who, run, check_changes(changes), stop)


@dataclass
class ControlDesk:
    """The side of the run: reads what was left, and holds what was changed since the process began.

    `process` is its name as `process_name` gives it.
    """

    folder: Path
    process: str
    changed: dict[str, ControlValue] = field(default_factory=dict)  #: settings that replace those of the command
    has_begun: bool = False  #: a stage of this process has run
    _kept: set[str] = field(default_factory=set)  # files that could not be removed

    def look(self) -> list[ControlRequest]:
        """Return what was left since the last look, in its order. A file that can't be read is one with a problem."""
        try:
            with os.scandir(self.folder / FOLDER) as entries:
                names = sorted({each.name for each in entries if each.name.endswith(_SUFFIX)} - self._kept)
        except OSError:  # as nearly always: nobody has left anything
            return []
        return [self._read(name) for name in names[:_MOST_AT_ONCE]]

    def remove(self, request: ControlRequest) -> None:
        """Remove a request that was dealt with, so that it is never read again."""
        try:
            (self.folder / FOLDER / request.file).unlink(missing_ok=True)
        except OSError:
            self._kept.add(request.file)

    def clear(self) -> int:
        """Remove everything that waits, and the folder; return how many requests those were."""
        count, desk = 0, self.folder / FOLDER
        with contextlib.suppress(OSError):
            for name in os.listdir(desk):  # noqa: PTH208 - only the names matter
                with contextlib.suppress(OSError):
                    (desk / name).unlink()
                    count += name.endswith(_SUFFIX)
            desk.rmdir()
        return count

    def _read(self, name: str) -> ControlRequest:
        path = self.folder / FOLDER / name
        stem = name.removesuffix(_SUFFIX)
        try:
            if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
                raise ValueError("not a file that Syphus wrote")
            values = orjson.loads(path.read_bytes())
            who = str(values["who"])[:_MAX_WHO]
            request = ControlRequest(
                str(values["id"]), float(values["at"]), who, str(values["run"]), {}, bool(values["stop"]), file=name
            )
            if request.run not in ("", self.process):
                return request._replace(problem="It is for another process, which has ended.")
            return request._replace(changes=check_changes(dict(values["changes"])))
        except ConfigError as error:
            return request._replace(problem=str(error))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            return ControlRequest(stem, 0.0, "", "", {}, problem=f"It can't be read: {error}.", file=name)
