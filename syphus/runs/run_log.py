"""What a run tells those who are not watching: `run.log` in its folder, and a command at its end (`--notify`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from syphus.errors import SyphusError
from syphus.formats.report import Report
from syphus.formats.translation_report import TRANSLATE_STAGE, TranslationReport
from syphus.ledger.store import Store
from syphus.pipeline.observer import Observer, RunView
from syphus.pipeline.progress_lines import ProgressFormatter, local_time
from syphus.runs.metrics_output import offer_metrics
from syphus.runs.prepare import RunContext
from syphus.text import format_spent, one_line, pluralize, printable
from syphus.types import State
from syphus.version import __version__

LOG_FILE, OLD_LOG_FILE = "run.log", "run.log.old"
MAX_LOG_BYTES = 1_000_000  #: of each of the two files: a log of this size becomes the old one
PROGRESS_EVERY = 600.0  #: seconds between two lines about the progress
_MAX_LINE = 2_000  # characters
_CODE_FOLLOWS = re.compile(r"-\w*[ce]")  # of sh, bash, python, perl, ...
NOTIFY_SECONDS = 30.0  #: after which a command that tells of the end is given up


class RunLog(Observer):
    """Passes everything on to another observer, and keeps it with the times in `run.log`, without secrets.

    Nothing is written before the first stage begins: running a finished run again changes no file. A log that can't be
    written stops nothing, since the ledger has all that counts. `most` is the size of each of the two files in bytes.
    """

    def __init__(
        self,
        folder: Path,
        observer: Observer,
        scrub: Callable[[str], str],
        now: Callable[[], datetime] = local_time,
        most: int = MAX_LOG_BYTES,
    ) -> None:
        self._folder = folder
        self._observer = observer
        self._scrub = scrub
        self._now = now
        self._most = most
        self._held: list[str] = []  # lines until the first stage begins
        self._file: IO[bytes] | None = None
        self._size = 0
        self.ending: Ending | None = None  #: how the command ended, once it has

    def end(self, report: Report | None, stopped_by: SyphusError | None, exit_code: int) -> None:
        """Keep how the command ended: its numbers if it has some, what stopped it, and its exit code."""
        self.ending = Ending(self._folder, report, stopped_by, exit_code)
        self.note(f"ends; {self.ending.message}")

    def say(self, line: str) -> None:
        """Pass a line on, and keep it."""
        self._observer.say(line)
        self.note(line)

    def event(self, line: str) -> None:
        """Pass a line on, and keep it."""
        self._observer.event(line)
        self.note(line)

    def note(self, line: str) -> None:
        """Keep a line that nobody sees now."""
        self._observer.note(line)
        text = one_line(printable(self._scrub(line)), _MAX_LINE)
        stamped = f"{self._now().isoformat(timespec='seconds')} {text}\n"
        if self._file is None:
            self._held.append(stamped)
        else:
            self._write(stamped)

    def confirm(self, question: str) -> bool | None:
        """Ask, and keep question and answer."""
        answer = self._observer.confirm(question)
        self.note(f"{question} {'nobody to ask' if answer is None else 'yes' if answer else 'no'}")
        return answer

    def reading(self, rows: int, share: float | None = None) -> None:
        """Pass it on."""
        self._observer.reading(rows, share)

    def converting(self, line: str) -> None:
        """Pass it on."""
        self._observer.converting(line)

    @contextlib.asynccontextmanager
    async def watching(self, view: RunView) -> AsyncIterator[None]:
        """Keep the begin, the progress and the end of a stage."""
        self._open()
        formatter = ProgressFormatter(view, self._now)
        self.note(f"{view.phase}: begins, {view.stats.states_before[State.PENDING]:,} to go")
        progress = asyncio.create_task(self._keep_progress(formatter))
        try:
            async with self._observer.watching(view):
                yield
        finally:
            progress.cancel()
            self.note(formatter.summary())

    async def _keep_progress(self, formatter: ProgressFormatter) -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY)
            self.note(formatter.line())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        if self._file is None:
            with contextlib.suppress(OSError):
                self._file = (self._folder / LOG_FILE).open("ab", buffering=0)
                self._size = self._file.tell()
            held, self._held = self._held, []
            for line in held:
                self._write(line)

    def _write(self, line: str) -> None:
        if self._file is None:
            return
        data = line.encode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError):
            if self._size + len(data) > self._most:
                self._file.close()
                (self._folder / LOG_FILE).replace(self._folder / OLD_LOG_FILE)
                self._file = (self._folder / LOG_FILE).open("ab", buffering=0)
                self._size = 0
            self._size += self._file.write(data)


@contextlib.contextmanager
def keep_log(store: Store, context: RunContext, observer: Observer, what: str) -> Iterator[RunLog]:
    """Keep `run.log` of the block, which is `what` for people, and run the command of `--notify` after it.

    The run's folder must be locked. The block calls `end` of what it gets, unless a `SyphusError` ends it.
    """
    options, config = context.options, context.config
    command = (options.notify or config.notify).strip()
    is_found = check_notify(command, observer)
    log = RunLog(store.folder, observer, context.redactor.scrub)
    limits = {
        "max cost": options.max_cost,
        "max requests": options.max_requests,
        "requests per minute": options.requests_per_minute,
        "tokens per minute": options.tokens_per_minute,
    }
    set_limits = "".join(f", {name} {value:,.10g}" for name, value in limits.items() if value is not None)
    where = f"process {os.getpid()} on {platform.node()}"
    model = f"{config.model} at {context.endpoint}"
    log.note(f"{what}: starts; Syphus {__version__}, {where}; {model}, {options.num_threads} in flight{set_limits}")
    sampling = {name: getattr(config, name) for name in ("temperature", "top_p", "max_tokens", "effort", "seed")}
    log.note("settings: " + ", ".join(f"{name} {value}" for name, value in sampling.items() if value is not None))
    try:
        with offer_metrics(options.metrics, store.folder, log.say):
            yield log
    except SyphusError as error:
        log.end(None, error, error.exit_code)
        raise
    finally:
        log.close()
        if log.ending is not None and is_found:
            notify_end(command, log.ending, observer)


class Ending(NamedTuple):
    """How a command ended, for `run.log` and `--notify`."""

    folder: Path
    report: Report | None  #: None if the command failed before it had one
    stopped_by: SyphusError | None
    exit_code: int

    @property
    def state(self) -> str:
        """`done`, `incomplete` (some rows are not ok), `stopped` (and can be resumed) or `failed`."""
        if self.exit_code == 0:
            return "done"
        return {1: "incomplete", 2: "failed"}.get(self.exit_code, "stopped")

    @property
    def message(self) -> str:
        """The ending in one line."""
        parts = [f"{self.folder}: {self.state}"]
        if self.report is not None:
            counted, dollars = self._states, self._cost
            states = ", ".join(f"{counted[state]:,} {state}" for state in State if counted[state])
            cost = "cost unknown" if dollars is None else format_spent(dollars, self.report.simulated)
            if translation := self._translation:
                languages = pluralize(len(translation.languages), "language")
                pairs = f"{pluralize(translation.pairs, 'pair')} in {languages}"
                parts.append(f"{pairs}: {states or '0 translations'}, {cost}")
            else:
                parts.append(f"{states or '0 queries'}, {pluralize(self.report.counts.pairs, 'pair')}, {cost}")
        return "; ".join([*parts, *([str(self.stopped_by)] if self.stopped_by else [])])

    def values(self) -> dict[str, object]:
        """Return the ending as JSON values; counts and cost are None where they are not known."""
        states = None if self.report is None else self._states
        pairs = None if self.report is None else self.report.counts.pairs
        if states is not None and self._translation:
            pairs = states[State.OK]
        return {
            "folder": str(self.folder.absolute()),
            "state": self.state,
            "exit_code": self.exit_code,
            "reason": str(self.stopped_by or ""),
            "message": self.message,
            "queries": states and sum(states.values()),
            **{state.value: states and states[state] for state in State},
            "pairs": pairs,
            "cost": self._cost,
        }

    @property
    def _translation(self) -> TranslationReport | None:
        """The translation, if that is the command that ended."""
        return self.report.translation if self.report is not None and self.report.stage == TRANSLATE_STAGE else None

    @property
    def _states(self) -> dict[State, int]:
        """How many queries are in each state; of a translation how many translations, over all languages."""
        if self._translation:
            return self._translation.states
        return dict.fromkeys(State, 0) if self.report is None else self.report.counts.states

    @property
    def _cost(self) -> float | None:
        """The dollars of the run; of a translation its own."""
        if self._translation and self.report is not None and self.report.of_translation is not None:
            return self.report.of_translation.cost
        return self.report and self.report.cost


def notify_end(command: str | None, ending: Ending, observer: Observer, seconds: float = NOTIFY_SECONDS) -> None:
    """Run a command that tells somebody of the end. No shell is involved, and whatever it does changes nothing else.

    Its arguments may have {folder}, {state}, {message} and the other names of `Ending.values`. It gets the same values
    in variables such as SYPHUS_STATE, and as JSON on its stdin. If it fails, or takes longer than `seconds`, one line
    says so.
    """
    if not command:
        return
    values = {name: "" if value is None else str(value) for name, value in ending.values().items()}
    try:
        words = split_command(command)
        arguments = [each if _is_code(words, i) else _filled(each, values) for i, each in enumerate(words)]
        if problem := _run(arguments, values, orjson.dumps(ending.values()), seconds):
            observer.say(f"--notify: {one_line(command, 100)} {problem}")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        observer.say(f"--notify: {one_line(command, 100)} can't be run: {reason}.")


def split_command(command: str) -> list[str]:
    """Return the words of a command, quoted as in a shell. Raises `ValueError` for a quote that does not end."""
    return shlex.split(command)


def check_notify(command: str | None, observer: Observer) -> bool:
    """Return whether the command of `--notify` is there. If not, say so: at the end, days later, nobody would know."""
    if not command:
        return False
    try:
        words = split_command(command)
    except ValueError as error:
        observer.say(f"--notify: {one_line(command, 100)}: {str(error).lower()}; no notification will be sent.")
        return False
    is_found = bool(words) and shutil.which(words[0]) is not None
    if not is_found:
        name = one_line(words[0], 100) if words else "the command"
        observer.say(f"--notify: {name} is not found; no notification will be sent.")
    if any(_is_code(words, i) and "{" in each for i, each in enumerate(words)):
        observer.say('--notify: nothing is replaced in code. Use "$SYPHUS_MESSAGE" instead of {message}, and so on.')
    return is_found


def _is_code(words: list[str], number: int) -> bool:
    """Return whether a word is code for a shell or another interpreter: a server's words must not get into it."""
    return number > 1 and bool(_CODE_FOLLOWS.fullmatch(words[number - 1]))


def _filled(argument: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        argument = argument.replace(f"{{{name}}}", value)
    return argument


def _run(arguments: list[str], values: dict[str, str], data: bytes, seconds: float) -> str:
    """Run a command to its end; return what went wrong, or ""."""
    variables = {f"SYPHUS_{name.upper()}": value.replace("\0", " ") for name, value in values.items()}
    with subprocess.Popen(  # noqa: S603 - the command that the user gave, without a shell
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
        start_new_session=True,  # Ctrl-C is for Syphus
    ) as process:
        try:
            _, errors = process.communicate(data, timeout=seconds)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return f"did not end within {seconds:g} s, and was given up."
            raise
    if not process.returncode:
        return ""
    said = one_line(errors.decode("utf-8", "replace").strip().rpartition("\n")[2], 200)
    return f"ended with code {process.returncode}{f': {said}' if said else ''}."
