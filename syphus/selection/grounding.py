"""Grounding: what an answer says that the annotation does not support."""

from __future__ import annotations

from syphus.selection.candidates import Background, Candidate
from syphus.selection.words import comparable, content, words
from syphus.types import Pair

_NOT_COMPARED = 0.5


def grounding(candidate: Candidate, background: Background) -> tuple[float, str]:
    """The mean over the pairs, and the worst of them, half each."""
    if not candidate.pairs:
        return 0.0, "no pair"
    scores, foreign = [], []
    for pair in candidate.pairs:
        score, found = _supported(pair, candidate.query.text, background.system_message)
        scores.append(score)
        foreign += found
    score = (sum(scores) / len(scores) + min(scores)) / 2
    return score, f"not in the annotation: {', '.join(dict.fromkeys(foreign))}" if foreign else ""


def _supported(pair: Pair, annotation: str, system: str) -> tuple[float, list[str]]:
    if not comparable(annotation, pair.answer):
        return _NOT_COMPARED, []
    known = content(annotation)
    said = content(pair.answer) - content(system)
    foreign = [w.text for w in words(pair.answer) if w.stem in said - known]
    return (len(said & known) / len(said) if said else 1.0), foreign
