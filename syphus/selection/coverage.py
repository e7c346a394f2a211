"""Coverage: how much of what the annotation says comes up in the pairs."""

from __future__ import annotations

from syphus.selection.candidates import Background, Candidate
from syphus.selection.words import content

_ENOUGH = 0.7  #: of the words: a synonym here and there, and what isn't worth telling
_MOST_NAMED = 3


def coverage(candidate: Candidate, _: Background) -> tuple[float, str]:
    """The mean over the annotation's lines of the share of their words that come up, where 70% is all."""
    lines = list(dict.fromkeys(filter(None, map(content, candidate.query.text.splitlines()))))
    if not lines:
        return 1.0, ""
    answered = frozenset[str]().union(*(content(pair.answer) for pair in candidate.pairs))
    asked = frozenset[str]().union(*(content(pair.instruction) for pair in candidate.pairs)) - answered
    shares = [(len(line & answered) + len(line & asked) / 2) / len(line) for line in lines]
    missing = sum(not line & (answered | asked) for line in lines)
    note = f"nothing of {missing} of {len(lines)} lines comes up" if missing else ""
    return min(1.0, sum(shares) / len(shares) / _ENOUGH), note
