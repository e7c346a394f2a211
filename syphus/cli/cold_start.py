"""The commands that try prompts: cold-start, compare and describe. Thin, as those in cli.py."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from syphus.answers.parsing.pairs import render_pairs
from syphus.answers.scoring import Scored
from syphus.cli.streams import say
from syphus.cli.summary import going_on
from syphus.cold_start.advice import shortcoming_lines
from syphus.cold_start.review import ACCEPT, EDIT, REJECT, Decision
from syphus.cold_start.search import ColdStartResult
from syphus.errors import ConfigError, InterruptError
from syphus.text import SIMULATED_NOTICE, align_columns, format_dollars, one_line, pluralize

if TYPE_CHECKING:
    from syphus.cold_start.compare import ComparisonResult

# FOLDED from trials.py:
# The sentences and tables after a cold start or a comparison.


def searched(ended: ColdStartResult, command: str) -> list[str]:
    """How a cold start ended: what was found or is missing, what to try, what it has cost, where it is."""
    found, spending = ended.found, ended.report.spending
    cost = "cost unknown" if ended.report.cost is None else format_dollars(ended.report.cost)
    lines = [str(ended.stopped_by)] if ended.stopped_by is not None else []
    if found.satisfactory:
        lines.append(f"Satisfactory: {pluralize(len(found.examples), 'in-context example')}.")
    elif found.best or found.missing:  # otherwise nothing was proven, one way or the other
        lines.append("Not satisfactory." + (" The best set is kept." if found.best else ""))
        lines += shortcoming_lines(found)
    lines.append(f"{pluralize(spending.requests, 'request')}, {cost} in this run so far")
    if ended.report.simulated:
        lines.append(SIMULATED_NOTICE)
    if ended.files:
        lines.append(f"Files: {', '.join(ended.files)}")
    return [*lines, going_on(ended.stopped_by, command)] if ended.stopped_by is not None else lines


def compared(done: ComparisonResult) -> list[str]:
    """The table: a line a number, a column a prompt and model; then each against the first."""
    head = ["", *(each.name for each in done.variants)]
    rows = [head, *([name, *cells] for name, cells in done.rows())]
    lines = align_columns(rows, 1)
    lines += [one_line(f"{name}: {told}", 300) for name, told in done.gain_lines()]
    return lines


# FOLDED from review.py:
# A person's review of candidates, in the terminal: each is shown, and a letter decides; `e` opens an editor.

_ASKED = "[a]ccept, [r]eject, [e]dit, [q]uit? "
_LEFT = "The review was left. What was decided is kept; go on with the same command."


class TerminalReviewer:
    """Shows candidates on stderr, and reads a line of stdin for each."""

    def decide(self, scored: Scored, number: int, count: int, problem: str) -> Decision:
        """The person's decision. Raises `InterruptError` where there is no more to be read, or at `q`."""
        if problem:
            say(f"That can't be an example: {problem}.")
        else:
            self._show(scored, number, count)
        while True:
            match self._read():
                case "a" | "accept":
                    return Decision(ACCEPT)
                case "r" | "reject":
                    return Decision(REJECT)
                case "e" | "edit":
                    edited = edit_text(_text(scored))
                    return Decision(EDIT, edited) if edited != _text(scored) else Decision(ACCEPT)
                case "q" | "quit" | None:
                    raise InterruptError(_LEFT)

    def _show(self, scored: Scored, number: int, count: int) -> None:
        candidate = scored.candidate
        say(f"--- example {number} of {count}: query {candidate.query.id}, score {scored.total:.2f}")
        say(candidate.user_turn)
        say("---")
        say(_text(scored))
        for name, note in scored.notes.items():
            say(f"  {name} {scored.scores[name]:.2f}: {note}")

    def _read(self) -> str | None:
        """A word, in small letters; None at the end of the input."""
        sys.stderr.write(_ASKED)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not sys.stdin.isatty():
            say(line.strip())
        return line.strip().lower() if line else None


def _text(scored: Scored) -> str:
    candidate = scored.candidate
    return candidate.answer.strip() if not candidate.pairs else render_pairs(candidate.pairs)


def edit_text(text: str) -> str:
    """The text as it comes out of the person's editor. Raises `ConfigError` where there is none."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.txt"
        path.write_text(f"{text}\n", encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)  # noqa: S603 - the person's own editor
        except (OSError, subprocess.CalledProcessError) as error:
            why = error.strerror if isinstance(error, OSError) else f"exit code {error.returncode}"
            raise ConfigError(f"The editor {editor!r} (VISUAL or EDITOR) failed: {why}.") from error
        return path.read_text(encoding="utf-8").strip()
