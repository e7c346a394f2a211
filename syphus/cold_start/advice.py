"""What to try if no set was satisfactory. It follows from the answers, and is usually about the system message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import mean

from syphus.answers.scoring import Scored
from syphus.answers.scoring.heuristics import COPIES_NO_EXAMPLE
from syphus.cold_start.evaluation import MIN_JUDGED
from syphus.cold_start.plan import SearchResult, SearchRound
from syphus.text import one_line
from syphus.types import State

_LOW_SCORE = 0.7  #: a lower mean score is a problem
_OFTEN = 0.1  #: a larger share of the answers with a problem is one, too
_MAX_LINES = 3
_GOOD_SHARE = 0.95

#: What to change in the system message, by the name of the heuristic with a low score.
_FIXES = {
    "parses": "show the form of an answer in the system message, line by line, and say: nothing before or after it",
    "keeps the rules": "say in the system message what an answer must not say",
    "number of pairs": "state the number of pairs in the system message, in digits",
    "grounding": "say in the system message that everything in an answer must be supported by the annotation",
    "coverage": "say in the system message that answers should cover everything in the annotation",
    "variety": "name the kinds of questions you want in the system message",
    "length": "say in the system message how long an answer should be",
    "whole sentences": "ask for full sentences in the system message",
    COPIES_NO_EXAMPLE: "choose examples that differ more from the queries (--sample, --strategy diverse)",
    "own words": "say in the system message that the answers use words of their own",
    "says more": "say in the system message that no question gives away its answer, and that answers use other words",
    "copies no other": "say in the system message that each answer is about its own annotation alone",
    "no leak": "tell the model in the system message to write as if it saw the image, and to mention no notes about it",
}

#: What to try, by the state of the answers, if the system message is not at fault.
_FIXES_BY_STATE = {
    State.TRUNCATED: "leave answers more room (--max-tokens), or ask for fewer and shorter pairs in the system message",
    State.REFUSED: "say in the system message what the pairs are for, leave out what is refused, or use another model",
    State.FAILED: "check why they fail: `status` shows the reasons",
}


def find_shortcomings(rounds: Sequence[SearchRound], best: SearchRound | None, stopped: bool) -> list[str]:
    """Return what keeps the best set from being satisfactory, and why; `stopped` before it could be known."""
    if best is not None:
        return [*(best.proof.missing if best.proof else ["the set was not proven"]), *_causes(_read(best.with_set))]
    return [] if stopped else ["no answer could become an example", *_causes(_all_candidates(rounds))]


def _read(answers: Sequence[Scored]) -> Sequence[Scored]:
    """Return the answers that could be judged, or all if they are too few: then the others are what is wrong."""
    judged = [each for each in answers if each.candidate.state not in (State.REFUSED, State.FAILED)]
    return judged if len(judged) >= MIN_JUDGED * len(answers) else answers


def _all_candidates(rounds: Sequence[SearchRound]) -> list[Scored]:
    """Return the candidates of all rounds, each once."""
    return list({each.candidate.key: each for round_ in rounds for each in round_.scored}.values())


def _causes(answers: Sequence[Scored]) -> list[str]:
    """Return the most frequent reasons of invalid answers with their counts, and low scores with a note."""
    reasons = Counter(each.candidate.reason for each in answers if each.candidate.state is not State.OK)
    common = reasons.most_common(_MAX_LINES)
    invalid = [f"{count} of {len(answers)} answers: {one_line(reason, 90)}" for reason, count in common]
    low = [f"{name} {score:.2f}: {one_line(note, 90)}" for name, score, note in _low_scores(answers)]
    return [*invalid, *low[:_MAX_LINES]]


def shortcoming_lines(found: SearchResult) -> list[str]:
    """Return what is missing and what to try, one line each."""
    missing = [f"  missing: {each}" for each in found.missing]
    return [*missing, *(f"  to try:  {each}" for each in found.advice)]


def suggest_fixes(rounds: Sequence[SearchRound], best: SearchRound | None) -> list[str]:
    """Return what to try, the most promising first."""
    if best is None:
        return [*_fixes_for(_all_candidates(rounds)), "write one example by hand, and pin it: --pinned FILE"]
    fixes = []
    proof = best.proof
    if proof is not None and proof.plain_share >= _GOOD_SHARE and proof.valid_share >= _GOOD_SHARE:
        fixes.append(f"answers are good without examples, too ({proof.plain_share:.0%} valid): --cold-start never")
    if proof is not None and proof.gain.low <= 0 < proof.gain.mean and len(proof.missing) == 1:
        fixes.append(f"test on more than {proof.asked} queries: raise --held-out, or use a larger input")
    fixes += _fixes_for(best.with_set)
    if proof is not None and proof.copies:
        fixes.append(_FIXES[COPIES_NO_EXAMPLE])
    return list(dict.fromkeys(fixes)) or ["more rounds (--rounds), more queries (--sample), or another system message"]


def _fixes_for(scored: Sequence[Scored]) -> list[str]:
    """Return fixes for the frequent states of the answers, and for the low scores of the others."""
    states = Counter(each.candidate.state for each in scored)
    fixes = [fix for state, fix in _FIXES_BY_STATE.items() if states[state] > _OFTEN * len(scored)]
    read = [each for each in scored if each.candidate.state not in _FIXES_BY_STATE]
    fixes += (_FIXES.get(name, f"check on the page why {name!r} is low") for name, *_ in _low_scores(read))
    return list(dict.fromkeys(fixes))[:_MAX_LINES]


def _low_scores(scored: Sequence[Scored]) -> Iterator[tuple[str, float, str]]:
    """Yield name, mean and most common note of each heuristic with a low mean, first those that bar answers."""
    if not scored:
        return
    barring = Counter(name for each in scored for name in each.barred)
    means = {name: mean(each.scores[name] for each in scored) for name in scored[0].scores}
    for name in sorted(means, key=lambda name: (-barring[name], means[name])):
        if means[name] < _LOW_SCORE or barring[name] > _OFTEN * len(scored):
            notes = Counter(each.notes[name] for each in scored if name in each.notes)
            yield name, means[name], notes.most_common(1)[0][0] if notes else ""
