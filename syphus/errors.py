"""Everything that can stop a command.

    SyphusError
    ├── UsageError            exit 2   something must be fixed before anything is sent
    │   ├── ConfigError                the endpoint, an option or the YAML config
    │   │   ├── AddressError           a base URL that is wrong, with the right one
    │   │   ├── NodesLostError         no node of a cluster is left
    │   │   └── NoEndpointError        no endpoint or no model is configured
    │   ├── InputError                 the annotations
    │   │   └── ImageError             an image that is sent with a query
    │   ├── DeclinedError              the user said no before money was spent
    │   ├── PromptError                a prompt file
    │   ├── PluginError                a dataset plugin
    │   └── RunError                   the run's folder: locked, unwritable, other settings, newer format
    ├── UnsatisfactoryError   exit 1   no satisfactory in-context examples, too many bad pairs, worse answers
    ├── ProviderError         exit 3   the endpoint refuses all requests: key, quota, deployment, outage
    ├── BudgetError           exit 4   the budget is spent
    ├── EnoughError           exit 0   as many pairs as were wanted are there
    ├── WaitingError          exit 6   requests wait in batches, and are collected later
    ├── GateError             exit 6   a pipeline waits for people at a gate
    ├── StorageError          exit 5   the disk: full, broken, gone
    │   └── OutputError                stdout or the log can't be written, although the work is done
    └── InterruptError        exit 130 Ctrl-C, or another signal to stop

Each message is one line for a person: what is wrong, where, and what to do. The failure of a single row is not an
error but an `Outcome`. Exit code 0 means that all is done, 1 that some rows did not end as ok.

What the operating system refuses becomes one of these in `machine_faults`, through which every command and every
function of the Python API runs. So code needs an `except OSError` only where it can do or say something better.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import ContextDecorator
from traceback import walk_tb
from types import TracebackType
from typing import Literal


class SyphusError(Exception):
    """The base class. `exit_code` is the exit code of the process."""

    exit_code = 1


class UsageError(SyphusError):
    """Something must be fixed before anything can be sent.

    `record` is the file and number of the record at fault, or None if the fault is not in a single record.
    `has_hint` says that the message names the option that leaves the record out.
    """

    exit_code = 2

    def __init__(self, message: str, record: tuple[str, int] | None = None, *, has_hint: bool = False) -> None:
        super().__init__(message)
        self.record = record
        self.has_hint = has_hint


class ConfigError(UsageError):
    """The endpoint, an option or the YAML config is wrong."""


class AddressError(ConfigError):
    """The base URL is wrong, and the right one is in the message."""


class NodesLostError(ConfigError):
    """No node is left of the cluster that requests are sent from."""


class NoEndpointError(ConfigError):
    """Neither the environment nor a config file names an endpoint, or none names a model."""


class InputError(UsageError):
    """The annotations can't be read; the message names the file and the record."""


class ImageError(InputError):
    """An image can't be sent. For an image of a query this becomes the outcome of its row.

    `problem` is the message without the image's name; `reason` is the problem without its details, so that equal
    reasons can be counted.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{short_name(name)}: {problem}")
        self.problem = problem
        self.reason = problem.partition(":")[0]


class DeclinedError(UsageError):
    """The user was asked before money is spent, and said no."""


class PromptError(UsageError):
    """A prompt file can't be read or used."""


class PluginError(UsageError):
    """A dataset plugin is missing, broken, or breaks its contract."""


class RunError(UsageError):
    """The run's folder can't be used as it is."""


class UnsatisfactoryError(SyphusError):
    """The answers so far are not good enough to continue; more of them would be a waste of money."""


class ProviderError(SyphusError):
    """No row can succeed at this endpoint at present. Rows without an outcome stay pending."""

    exit_code = 3


class BudgetError(SyphusError):
    """A request may cost more than what is left of the budget. `limit` names the one that is spent.

    It is "price" if the cost of the next request can't be bounded, and "shared" if it is that of several runs.
    """

    exit_code = 4

    def __init__(self, message: str, limit: Literal["requests", "cost", "price", "shared"]) -> None:
        super().__init__(message)
        self.limit = limit


class EnoughError(SyphusError):
    """As many pairs as were wanted are there. The other rows stay pending, and nothing is wrong."""

    exit_code = 0


class WaitingError(SyphusError):
    """Requests wait in batches, or in a file that was written for a server. The same command collects them later."""

    exit_code = 6


class GateError(SyphusError):
    """A pipeline waits at a gate for the decisions of people. The same command continues once they are there."""

    exit_code = 6


class StorageError(SyphusError):
    """The ledger can't be written. Nothing after the last commit counts as done."""

    exit_code = 5


class OutputError(StorageError):
    """stdout or the log file can't be written."""


class InterruptError(SyphusError):
    """The run was asked to stop. `immediate` is set after a second signal."""

    exit_code = 130
    immediate = False


#: What a disk says when it fails; anything else is about a path that was given.
_DISK_ERRORS = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.ENODEV, errno.ESTALE, errno.EMFILE,
    errno.ENFILE, errno.ENOMEM,
})  # fmt: skip
_MAX_SHOWN = 200  # characters of a name in a message


class machine_faults(ContextDecorator):  # noqa: N801 - used as a function: `with machine_faults():`
    """Turn what the operating system or a file name makes impossible into a `SyphusError` of one line.

    An error of a disk becomes a `StorageError`; one about a path, such as a name that is too long or may not be read,
    and a name that is not UTF-8, become an `InputError`.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and (found := _machine_error(error)) is not None:
            raise found from error


def is_disk_error(error: BaseException) -> bool:
    """Return whether the disk is full, broken or gone; anything else is about the path that was given."""
    if isinstance(error, OSError):
        return error.errno in _DISK_ERRORS
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR"))


def writing_error_type(error: BaseException) -> type[RunError | StorageError]:
    """Return the error that a run's folder which can't be written becomes: its own, or that of the disk."""
    return StorageError if is_disk_error(error) else RunError


def _machine_error(error: BaseException) -> SyphusError | None:
    if isinstance(error, BaseExceptionGroup):  # of several tasks: the first is the cause of the others
        return _machine_error(error.exceptions[0])
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):  # `Path.resolve`: a circular link
        error = error.__context__
    if isinstance(error, OSError):
        names = [short_name(name) for name in (error.filename, error.filename2) if name is not None]
        names = names or [short_name(name) for name in (_name_of_open_file(error),) if name]
        message = f"{' -> '.join(names) or type(error).__name__}: {error.strerror or error}"
        return (
            StorageError(f"{message}.") if is_disk_error(error) or error.errno == errno.EROFS else InputError(message)
        )
    if isinstance(error, UnicodeEncodeError | UnicodeDecodeError):
        return InputError(
            f"{short_name(error.object)}: a name or text that is not valid UTF-8; rename it or convert it"
        )
    sqlite3 = sys.modules.get("sqlite3")  # an error of it has loaded it; `--help` does without
    if sqlite3 is not None and isinstance(error, sqlite3.Error):
        return StorageError(f"A database can't be used: {error}.")
    return None


def _name_of_open_file(error: OSError) -> str:
    """Return the name of the file that was read or written when an error was raised; "" if there is none.

    The system names a file only when it is opened. What is open is a variable of the code that failed, or an attribute
    of its object.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        held = frame.f_locals.get("self")
        for value in (*frame.f_locals.values(), *getattr(held, "__dict__", {}).values()):
            name = getattr(value, "name", None) if isinstance(value, io.IOBase) else None
            if isinstance(name, str) and not name.startswith("<"):  # as <stdout>
                return name
    return ""


def short_name(name: object) -> str:
    r"""Return a file's name or a text, short enough for a line; what is not UTF-8 in it as `\udce9`."""
    text = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN // 2]}...{text[-_MAX_SHOWN // 2 :]}"
