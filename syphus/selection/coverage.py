"""Coverage: how much of what the annotation says comes up in the pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from syphus.selection.candidates import Background, Candidate
from syphus.selection.things import same
from syphus.selection.words import comparable, content, stem

_ENOUGH = 0.9  #: of the words is all of them: a synonym here and there
_ASKED = 0.5  #: counts a word that only a question has
_FEW, _HARDLY = 4, 0.1  #: words of an annotation that can be said in others ("nothing differs"); the least score then
_NOT_COMPARED = 0.5
_STATEMENT = re.compile(r"\n+|(?<=[.!?])[\s\"]+|\",\s*\"")
_KEYS = ("annotation", "caption", "description", "duration", "id", "sentence", "tag", "timestamp", "title")


def coverage(candidate: Candidate, _: Background) -> tuple[float, str]:
    """The mean over the annotation's statements of the share of their words that come up, where 90% is all."""
    annotation = candidate.query.text
    said = statements(annotation)
    if not said or not comparable(annotation, " ".join(pair.answer for pair in candidate.pairs)):
        return _NOT_COMPARED, "the annotation has no words to compare with"
    answered = _spoken_of(pair.answer for pair in candidate.pairs)
    asked = _spoken_of(pair.instruction for pair in candidate.pairs) - answered
    shares = [(len(each & answered) + _ASKED * len(each & asked)) / len(each) for each in said]
    missing = sum(not share for share in shares)
    score = min(1.0, sum(shares) / len(shares) / _ENOUGH)
    if len(frozenset[str]().union(*said)) < _FEW:
        score = max(score, _HARDLY)
    note = f"nothing of {missing} of {len(said)} statements comes up" if missing else ""
    return score, note


def _spoken_of(texts: Iterable[str]) -> frozenset[str]:
    """The stems of some texts, and of other words for the same things."""
    stems = frozenset[str]().union(*map(content, texts))
    return stems.union(*(same().get(each, ()) for each in stems))


@lru_cache(maxsize=4_000)
def statements(annotation: str) -> tuple[frozenset[str], ...]:
    """The annotation's lines and sentences, each as the stems of its words, no two alike, without names of fields."""
    keys = frozenset(map(stem, _KEYS))
    return tuple(dict.fromkeys(filter(None, (content(each) - keys for each in _STATEMENT.split(annotation)))))
