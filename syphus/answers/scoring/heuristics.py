"""The table of all heuristics, and `score_all`, which scores candidates by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syphus.answers.scoring import basic_quality, copying, grounding, parroting
from syphus.answers.scoring.candidates import Candidate, Heuristic, Scored, ScoringContext
from syphus.answers.scoring.copying import variety
from syphus.errors import PluginError

COPIES_NO_EXAMPLE = "copies no example"  #: the heuristic that finds answers copied from an in-context example

HEURISTICS: tuple[Heuristic, ...] = (
    Heuristic(
        "parses", 2, basic_quality.parses, "The answer is complete, and pairs could be parsed from it.", floor=1.0
    ),
    Heuristic("keeps the rules", 2, basic_quality.keeps_rules, "No cleaning rule rejects it.", floor=1.0),
    Heuristic(
        "number of pairs",
        1,
        basic_quality.number_of_pairs,
        "It has as many pairs as the rules or the system message ask for.",
        floor=0.5,
    ),
    Heuristic("grounding", 5, grounding.grounding, "The annotation supports what the answers say.", floor=0.4),
    Heuristic("coverage", 4, grounding.coverage, "The pairs cover what the annotation says.", floor=0.05),
    Heuristic("variety", 1, variety, "The questions differ in their openings, types and words."),
    Heuristic("length", 0.5, basic_quality.answer_length, "The answers are neither too short nor too long."),
    Heuristic("whole sentences", 2, basic_quality.whole_sentences, "The answers end with complete sentences."),
    Heuristic(
        COPIES_NO_EXAMPLE,
        1,
        copying.no_copy_of_examples,
        "No phrase is copied from an in-context example.",
        floor=0.8,
    ),
    Heuristic(
        "own words", 1.1, parroting.own_words, "The answers do not copy runs of words from the annotation.", floor=0.25
    ),
    Heuristic("says more", 4, parroting.says_more, "Each answer says more than its question.", floor=0.5),
    Heuristic(
        "copies no other",
        1,
        copying.no_copy_of_others,
        "No phrase is copied from the answer to another query.",
        floor=0.8,
    ),
    Heuristic("repeats nothing", 1, copying.no_repeats, "No answer repeats itself or another answer."),
    Heuristic("no leak", 1, basic_quality.no_leak, "Nothing mentions the notes that the model was given.", floor=1.0),
)

_BARRED_FACTOR = 0.5  #: multiplies the total of a candidate that may not be chosen


def score_all(
    candidates: Iterable[Candidate],
    context: ScoringContext,
    heuristics: Sequence[Heuristic] = HEURISTICS,
    extra: Sequence[Heuristic] = (),
) -> list[Scored]:
    """Score each candidate, in order.

    `extra` are more heuristics, such as a plugin's own or a judge's scores. A heuristic replaces an earlier one of the
    same name, and one of weight 0 is shown but not counted. Exceptions of heuristics pass through: run those of a
    plugin through `PluginCode.run`. Raises `PluginError` if one does not return a number from 0 to 1 and a text.
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
