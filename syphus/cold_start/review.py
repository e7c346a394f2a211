"""Review of candidates by a person before the proof: accept, reject or edit. Each decision is stored."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import orjson

from syphus.answers.parsing.pairs import render_pairs
from syphus.answers.scoring import Candidate, Scored
from syphus.errors import ConfigError, InterruptError
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.types import State

ACCEPT, REJECT, EDIT = "accept", "reject", "edit"

_META = "cold start review"  # meta: {key of a candidate: [verb] or [verb, text]}


class Decision(NamedTuple):
    """What a person decides: ACCEPT, REJECT, or EDIT with the answer as it should be."""

    verb: str
    text: str = ""


class Reviewer(Protocol):
    """Asks a person. `problem` says why the last edited text can't be used, or is ""."""

    def decide(self, scored: Scored, number: int, count: int, problem: str) -> Decision:
        """Return the decision on candidate `number` of `count`. Raises `InterruptError` if the person quits."""
        ...


class Reviews:
    """The decisions in a run's ledger. Without a `reviewer`, nobody is asked.

    `make_candidate` makes a candidate from another one and the text that a person wrote instead.
    """

    def __init__(
        self, store: Store, reviewer: Reviewer | None, make_candidate: Callable[[Candidate, str], Candidate]
    ) -> None:
        self._store = store
        self._reviewer = reviewer
        self._make_candidate = make_candidate
        stored = orjson.loads(str(get_meta(store, _META) or "{}"))
        self._decisions = {key: Decision(*value) for key, value in stored.items()}

    @property
    def rejected(self) -> set[str]:
        """The keys of the rejected candidates."""
        return {key for key, decision in self._decisions.items() if decision.verb == REJECT}

    @property
    def edited(self) -> dict[str, str]:
        """The edited answers, by the keys of the original candidates."""
        return {key: decision.text for key, decision in self._decisions.items() if decision.verb == EDIT}

    def rewrite(self, candidate: Candidate, text: str) -> Candidate:
        """Return the candidate with the answer that a person wrote."""
        return self._make_candidate(candidate, text)

    def review(self, chosen: list[Scored]) -> bool:
        """Ask about the candidates without a decision; return whether all of these are accepted."""
        if self._reviewer is None:
            return True
        accepted = True
        for number, scored in enumerate(chosen, 1):
            key = scored.candidate.key
            if key in self._decisions:
                continue
            decision = self._decide(self._reviewer, scored, number, len(chosen))
            self._decisions[key] = decision
            stored = {name: list(each) for name, each in self._decisions.items()}
            set_meta(self._store, _META, orjson.dumps(stored).decode())
            self._store.commit()
            accepted = accepted and decision.verb == ACCEPT
        return accepted

    def _decide(self, reviewer: Reviewer, scored: Scored, number: int, count: int) -> Decision:
        problem = ""
        while True:
            decision = reviewer.decide(scored, number, count, problem)
            if decision.verb != EDIT:
                return decision
            edited = self._make_candidate(scored.candidate, decision.text)
            if edited.state is State.OK:
                return decision
            problem = edited.reason or edited.state


_QUESTION = "[a]ccept, [r]eject, [e]dit, [q]uit? "
_LEFT = "The review was interrupted. Your decisions are saved. Run the same command again to resume."


class TerminalReviewer:
    """Shows candidates with `say`, and reads a decision for each from stdin; `e` opens an editor."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def decide(self, scored: Scored, number: int, count: int, problem: str) -> Decision:
        """Ask for a decision. Raises `InterruptError` at `q`, or at the end of stdin."""
        if problem:
            self._say(f"This can't be an example: {problem}.")
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
        self._say(f"--- example {number} of {count}: query {candidate.query.id}, score {scored.total:.2f}")
        self._say(candidate.user_turn)
        self._say("---")
        self._say(_text(scored))
        for name, note in scored.notes.items():
            self._say(f"  {name} {scored.scores[name]:.2f}: {note}")

    def _read(self) -> str | None:
        """Read a word in lower case; None at the end of stdin."""
        sys.stderr.write(_QUESTION)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not sys.stdin.isatty():
            self._say(line.strip())
        return line.strip().lower() if line else None


def _text(scored: Scored) -> str:
    candidate = scored.candidate
    return candidate.answer.strip() if not candidate.pairs else render_pairs(candidate.pairs)


def edit_text(text: str) -> str:
    """Return the text after the user has edited it. Raises `ConfigError` if the editor fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.txt"
        path.write_text(f"{text}\n", encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)  # noqa: S603 - the user's own editor
        except (OSError, subprocess.CalledProcessError) as error:
            why = error.strerror if isinstance(error, OSError) else f"exit code {error.returncode}"
            raise ConfigError(f"The editor {editor!r} (VISUAL or EDITOR) failed: {why}.") from error
        return path.read_text(encoding="utf-8").strip()
