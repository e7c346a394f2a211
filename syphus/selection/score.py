"""Candidates scored by all heuristics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syphus.errors import PluginError
from syphus.selection.candidates import Background, Candidate, Heuristic, Scored
from syphus.selection.heuristics import HEURISTICS

_BARRED = 0.5  #: of its total is left to a candidate that can't be chosen, so that it stands below those that can


def score_all(
    candidates: Iterable[Candidate],
    background: Background,
    heuristics: Sequence[Heuristic] = HEURISTICS,
    extra: Sequence[Heuristic] = (),
) -> list[Scored]:
    """Scores each candidate, in the order they come.

    `extra` are more heuristics: a plugin's own, a judge's verdicts. One with the name of another takes its place, and
    one of weight 0 is shown and not counted. What a heuristic raises is not caught: run a plugin's by `PluginCode.run`.
    Raises PluginError where one returns something else than a number from 0 to 1 and a text.
    """
    table = list({each.name: each for each in (*heuristics, *extra)}.values())
    return [_scored(candidate, background, table) for candidate in candidates]


def _scored(candidate: Candidate, background: Background, table: Sequence[Heuristic]) -> Scored:
    results = {each.name: _checked(each, each.score(candidate, background)) for each in table}
    barred = tuple(each.name for each in table if results[each.name][0] < each.floor)
    weights = sum(each.weight for each in table)
    total = sum(each.weight * results[each.name][0] for each in table) / weights if weights else 0.0
    return Scored(
        candidate,
        {name: score for name, (score, _) in results.items()},
        total * (_BARRED if barred else 1.0),
        {name: note for name, (_, note) in results.items() if note},
        barred,
    )


def _checked(heuristic: Heuristic, result: object) -> tuple[float, str]:
    match result:
        case (int() | float() as score, str() as note) if 0 <= score <= 1:
            return float(score), note
    raise PluginError(
        f"heuristic {heuristic.name!r} must return a number from 0 to 1 and a text, it returned {result!r:.80}"
    )
