"""Candidates scored by all heuristics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syphus.answers.scoring import basic_quality as form
from syphus.answers.scoring import basic_quality as leaks
from syphus.answers.scoring import copying, grounding, variety
from syphus.answers.scoring import grounding as coverage
from syphus.answers.scoring.candidates import Candidate, Heuristic, Scored, ScoringContext
from syphus.errors import PluginError

# FOLDED from heuristics.py:
# The table of heuristics. Each is one small function in a module of its subject.

HEURISTICS: tuple[Heuristic, ...] = (
    Heuristic("parses", 2, form.parses, "Pairs could be read out of a whole answer.", floor=1.0),
    Heuristic("keeps the rules", 2, form.keeps_rules, "No rule of cleaning rejects anything in it.", floor=1.0),
    Heuristic(
        "number of pairs",
        1,
        form.number_of_pairs,
        "It has as many pairs as the rules or the system message ask for.",
        0.5,
    ),
    Heuristic("grounding", 5, grounding.grounding, "The annotation supports what the answers say.", floor=0.4),
    Heuristic("coverage", 4, coverage.coverage, "What the annotation says comes up.", floor=0.05),
    Heuristic("variety", 1, variety.variety, "The questions begin, ask and are about different things."),
    Heuristic("length", 0.5, form.answer_length, "The answers are neither a word or two nor a page."),
    Heuristic("whole sentences", 2, form.whole_sentences, "The answers end as sentences do."),
    Heuristic("copies no example", 1, copying.no_copy_of_examples, "No phrase is an in-context example's.", floor=0.8),
    Heuristic("copies no other", 1, copying.no_copy_of_others, "No phrase is another query's.", floor=0.8),
    Heuristic("repeats nothing", 1, copying.no_repeats, "No answer says again what another, or itself, has said."),
    Heuristic("no leak", 1, leaks.no_leak, "Nothing speaks of the notes that the model was given.", floor=1.0),
)


_BARRED_FACTOR = (
    0.5  #: of its total is left to a candidate that can't be chosen, so that it stands below those that can
)


def score_all(
    candidates: Iterable[Candidate],
    context: ScoringContext,
    heuristics: Sequence[Heuristic] = HEURISTICS,
    extra: Sequence[Heuristic] = (),
) -> list[Scored]:
    """Scores each candidate, in the order they come.

    `extra` are more heuristics: a plugin's own, a judge's verdicts. One with the name of another takes its place, and
    one of weight 0 is shown and not counted. What a heuristic raises is not caught: run a plugin's by `PluginCode.run`.
    Raises PluginError where one returns something else than a number from 0 to 1 and a text.
    """
    table = list({each.name: each for each in (*heuristics, *extra)}.values())
    return [_score(candidate, context, table) for candidate in candidates]


def _score(candidate: Candidate, context: ScoringContext, table: Sequence[Heuristic]) -> Scored:
    results = {each.name: _check_result(each, each.score(candidate, context)) for each in table}
    barred = tuple(each.name for each in table if results[each.name][0] < each.floor)
    weights = sum(each.weight for each in table)
    total = sum(each.weight * results[each.name][0] for each in table) / weights if weights else 0.0
    return Scored(
        candidate,
        {name: score for name, (score, _) in results.items()},
        total * (_BARRED_FACTOR if barred else 1.0),
        {name: note for name, (_, note) in results.items() if note},
        barred,
    )


def _check_result(heuristic: Heuristic, result: object) -> tuple[float, str]:
    match result:
        case (int() | float() as score, str() as note) if 0 <= score <= 1:
            return float(score), note
    raise PluginError(
        f"heuristic {heuristic.name!r} must return a number from 0 to 1 and a text, it returned {result!r:.80}"
    )
