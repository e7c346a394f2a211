"""The command `translate`. Thin, as those in cli.py."""

from __future__ import annotations

import re
from collections.abc import Sequence

from syphus.cli.summary import closing_files, cost, going_on, numbers, without_retry
from syphus.formats.report import TranslationResult
from syphus.text import MADE_UP, pluralize
from syphus.types import State

# FOLDED from translating.py:
# The sentences that people read after translating.

_BY_LANGUAGE = re.compile(r"(.*)_([a-z]{2})(\.[a-z]+)")


def closing(done: TranslationResult, command: str) -> list[str]:
    """How it ended: the cause if it was stopped, the languages, the files, and the command that goes on."""
    report = done.report
    lines = [str(done.stopped_by)] if done.stopped_by is not None else []
    assert report.translation is not None
    lines += [
        *numbers(report.translation),
        f"{cost(report)} over {pluralize(len(report.sessions), 'session')}, in all.",
    ]
    if report.simulated:
        lines.append(MADE_UP)
    gaps = sum(done.missing_context.values())
    if gaps:
        what = pluralize(gaps, "translated round lacks", "translated rounds lack")
        kept = "kept, as --partial says" if done.partial else "left out; --partial keeps them"
        lines.append(f"{what} earlier rounds in the same language: {kept}.")
    lines += closing_files(_together(done.files))
    states = {state: sum(each.counts.states[state] for each in report.translation.languages) for state in State}
    if done.stopped_by is not None:
        lines.append(going_on(done.stopped_by, command))
    elif bad := [
        state.value for state in (State.INVALID, State.TRUNCATED, State.REFUSED, State.FAILED) if states[state]
    ]:
        lines.append(f"Ask those again: {without_retry(command)} --retry {','.join(bad)}")
    return lines


def _together(files: Sequence[str]) -> list[str]:
    """`SD_instructions_zh.json` and the others of its kind as `SD_instructions_{zh,ja}.json`."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for file in files:
        found = _BY_LANGUAGE.fullmatch(file)
        kinds.setdefault((found[1], found[3]) if found else (file, ""), []).append(found[2] if found else "")
    return [
        f"{name}_{{{','.join(codes)}}}{end}" if len(codes) > 1 else f"{name}_{codes[0]}{end}" if codes[0] else name
        for (name, end), codes in kinds.items()
    ]
