"""Copying: what an answer has from the in-context examples or from another query's answer, and not from its own row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from syphus.selection.candidates import Background, Candidate
from syphus.selection.words import content, is_common, words

_LENGTH = 5  #: words in a row
_OWN_WORDS = 2  #: of them that carry meaning and are not in the annotation: the rest comes by chance

Phrase = tuple[str, ...]


def no_copy_of_examples(candidate: Candidate, background: Background) -> tuple[float, str]:
    """1 less the share of the answers' phrases that an in-context example has, too."""
    known = _of_examples(background)
    return _judged(candidate, known.__contains__, "from an example")


def no_copy_of_others(candidate: Candidate, background: Background) -> tuple[float, str]:
    """1 less the share of the answers' phrases that the answer to another query has, too."""
    known = _of_others(background)
    here = candidate.query.text

    def elsewhere(phrase: Phrase) -> bool:
        return any(text != here for text in known.get(phrase, ()))

    return _judged(candidate, elsewhere, "from another query")


def _judged(candidate: Candidate, is_foreign: Callable[[Phrase], bool], where: str) -> tuple[float, str]:
    own = content(candidate.query.text)
    phrases = [phrase for pair in candidate.pairs for phrase in _phrases(pair.answer)]
    copied = [phrase for phrase in phrases if is_foreign(phrase) and _telling(phrase, own)]
    return 1 - len(copied) / max(len(phrases), 1), f"{where}: {' '.join(copied[0])}" if copied else ""


def _telling(phrase: Phrase, own: frozenset[str]) -> bool:
    return sum(not is_common(stemmed) and stemmed not in own for stemmed in phrase) >= _OWN_WORDS


@lru_cache(maxsize=4)
def _of_examples(background: Background) -> frozenset[Phrase]:
    return frozenset(phrase for text in background.taught for phrase in _phrases(text))


@lru_cache(maxsize=4)
def _of_others(background: Background) -> Mapping[Phrase, set[str]]:
    """The annotations to which a phrase was answered."""
    known: dict[Phrase, set[str]] = {}
    for other in background.others:
        for pair in other.pairs:
            for phrase in _phrases(pair.answer):
                known.setdefault(phrase, set()).add(other.query.text)
    return known


def _phrases(text: str) -> Iterator[Phrase]:
    stems = [word.stem for word in words(text)]
    for start in range(len(stems) - _LENGTH + 1):
        yield tuple(stems[start : start + _LENGTH])
