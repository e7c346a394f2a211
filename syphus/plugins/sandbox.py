"""Runs a plugin's code: contains what it prints and raises, and limits its time and its network access."""

from __future__ import annotations

import ast
import linecache
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from pathlib import Path
from types import FrameType
from typing import ParamSpec, TypeVar

from syphus.errors import InputError, PluginError, SyphusError, UsageError
from syphus.io.record_reader import open_readers, position, position_of_failure
from syphus.io.text_files import Position
from syphus.text import did_you_mean, missing_key

P = ParamSpec("P")
T = TypeVar("T")

_NETWORK = frozenset({"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"})
_offline: ContextVar[bool] = ContextVar("offline", default=False)


class PluginCode:
    """The code of one plugin, called `name` in messages; `files` are the plugin's own source files.

    It runs in its own `contextvars` context, so that the current records of two plugins are never mixed up. `row` is
    the number of the current row, from 1, or 0.
    """

    def __init__(self, name: str, files: Collection[str]) -> None:
        self.name = name
        self.row = 0
        self._files = files
        self._context = copy_context()
        self._context.run(open_readers.set, (None,))

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function`. Its output goes to stderr, and the current folder is restored afterwards.

        Any exception, even `SystemExit`, becomes an error of one line with the traceback as its cause: `InputError` if
        a record was in use, otherwise `PluginError`. Errors of Syphus itself are passed on.
        """
        before = self._context.get(open_readers)
        try:
            with _printing, _same_folder():
                return self._context.run(function, *args, **kwargs)
        except SyphusError as error:
            self._context.run(traceback.clear_frames, error.__traceback__)
            raise
        except (Exception, SystemExit) as error:
            one_line_error = self._as_one_line(error, self._context.run(position_of_failure, before))
            self._context.run(traceback.clear_frames, error.__traceback__)  # frames may hold open files and gigabytes
            raise one_line_error from error

    def location(self) -> str:
        """Return the current record if a reader knows it, or else the plugin and the number of the row."""
        return self._location(self._context.run(position))

    def raising_line(self, error: BaseException) -> str:
        """Return `file.py:line`: the plugin's own line that raised."""
        if isinstance(error, SyntaxError) and error.filename and error.filename in self._files:
            return f"{Path(error.filename).name}:{error.lineno}"
        frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        readable = [frame for frame in frames if not frame[0].startswith("<")] or [("unknown", 0)]
        of_plugin = [frame for frame in frames if frame[0] in self._files] or readable
        file, line = of_plugin[-1]
        return f"{Path(file).name}:{line}"

    def _as_one_line(self, error: BaseException, record: Position | None) -> UsageError:
        problem = failed_lookup(error) or exception_as_line(error)
        message = f"{self._location(record)}: {problem} ({self.raising_line(error)})"
        return InputError(message, record.record) if record else PluginError(message)

    def _location(self, record: Position | None) -> str:
        return str(record or self.name) + (f": row {self.row}" if self.row and not record else "")


class _ToStderr:
    """Redirects stdout to stderr while any thread is inside: the first redirects it, the last restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._stdout = sys.stdout

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._stdout, sys.stdout = sys.stdout, sys.stderr
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                sys.stdout = self._stdout


_printing = _ToStderr()


class _same_folder:  # noqa: N801 - used like a function; one of contextlib would cost more than the code that it guards
    """Restores the current folder: paths of the run are relative to it, so a plugin must not move the output."""

    __slots__ = ("_folder", "_moves")

    def __enter__(self) -> None:
        _watch()
        self._moves = _moves.count
        if _moves.at_last_look != self._moves:  # asking for it takes as long as a short hook
            _moves.at_last_look, _moves.folder = self._moves, _current_folder()
        self._folder = _moves.folder

    def __exit__(self, *_: object) -> None:
        if _moves.count != self._moves and self._folder and self._folder != _current_folder():
            os.chdir(self._folder)


class _Moves:
    """How often this process has changed its folder, and where it was when somebody looked."""

    count = 0
    at_last_look = -1
    folder = ""


_moves = _Moves()


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""


def exception_as_line(error: BaseException) -> str:
    """Return an exception as one short line, such as `KeyError: 'caption'`."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(message.split())
    return (f"{type(error).__name__}: {text:.300}" if text else type(error).__name__) + _import_hint(error)


def _import_hint(error: BaseException) -> str:
    """Return how to import a name of Syphus that a plugin lacks or misspells; "" for anything else."""
    offered = [name for name in dir(sys.modules["syphus"]) if not name.startswith("_")]
    if isinstance(error, NameError):
        return f"; add: from syphus import {error.name}" if error.name in offered else ""
    if isinstance(error, ImportError) and error.name == "syphus":
        found = re.search(r"name '(\w+)'", error.msg)  # Python 3.11 has it in no attribute
        return did_you_mean(found[1], offered) if found else ""
    return ""


def failed_lookup(error: BaseException) -> str:
    """Return what a `KeyError` of `row["caption"]` means: that the row has no such key, and which it has.

    Return "" if the place that raised it does not look up a key of a dict that is still there. Nothing is evaluated
    except names, constants, and lookups in dicts and lists.
    """
    steps = list(traceback.walk_tb(error.__traceback__)) if isinstance(error, KeyError) and error.args else []
    if not steps:
        return ""
    frame, line = steps[-1]
    try:
        tree = ast.parse("".join(linecache.getlines(frame.f_code.co_filename)))
    except (SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and node.lineno <= line <= (node.end_lineno or 0):
            container, key = _value(node.value, frame), _value(node.slice, frame)
            if isinstance(container, dict) and key == error.args[0] and key not in container:
                is_plain = isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant)
                return missing_key(str(key), container, "" if is_plain else ast.unparse(node.value))
    return ""


def _value(node: ast.expr, frame: FrameType) -> object:
    """Return the value of an expression of names, constants and lookups, or None."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Subscript):
        container, key = _value(node.value, frame), _value(node.slice, frame)
        if isinstance(container, dict) and isinstance(key, str | int):
            return container.get(key)
        if type(container) in (list, tuple) and isinstance(key, int):
            return container[key] if -len(container) <= key < len(container) else None  # type: ignore[index,arg-type]  # a list
    return None


@contextmanager
def no_network() -> Iterator[None]:
    """Within the block, code of this thread that connects or looks up a host gets an `OSError`."""
    _watch()
    token = _offline.set(True)
    try:
        yield
    finally:
        _offline.reset(token)


@cache  # an audit hook stays for the life of the process
def _watch() -> None:
    sys.addaudithook(_audit)


def _audit(event: str, _: tuple[object, ...]) -> None:
    if event == "os.chdir":  # of os.fchdir, too
        _moves.count += 1
    elif event in _NETWORK and _offline.get():
        raise OSError("plugins have no network access while they are listed")


class PluginTimeoutError(Exception):
    """Raised in a plugin's code by `time_limit`."""


class _Alarm:
    """The ticks until the code under a time limit is interrupted; 0 if there is no such code."""

    ticks_left = 0


_TICKS = 10
_alarm = _Alarm()


class time_limit:  # noqa: N801 - used like a function, as _same_folder is
    """Interrupts Python code in its block that runs longer by raising a `PluginTimeoutError` in it.

    Only the time that the process was awake counts: the limit is a number of ticks of a timer, and a process that was
    stopped for hours gets just one of them when it wakes. If the interruption hits our own code around the plugin's,
    it becomes a `PluginError`.

    This uses a signal, so there is no limit outside the main thread, nor on systems without such signals (Windows).
    """

    __slots__ = ("_limited", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limited = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._limited:
            _expect_alarms()
            _alarm.ticks_left = _TICKS
            signal.setitimer(signal.ITIMER_REAL, self._seconds / _TICKS, self._seconds / _TICKS)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._limited:
            _alarm.ticks_left = 0
            signal.setitimer(signal.ITIMER_REAL, 0)
            if isinstance(error, PluginTimeoutError):
                raise PluginError(exception_as_line(error)) from error


@cache  # installing a handler costs more than the hooks that it guards
def _expect_alarms() -> None:
    signal.signal(signal.SIGALRM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of signal handlers
    if not _alarm.ticks_left or frame is None:  # the code has ended, and the signal comes late
        return
    _alarm.ticks_left -= 1
    if not _alarm.ticks_left and frame.f_code is not time_limit.__exit__.__code__:
        raise PluginTimeoutError("it took too long and was interrupted")
