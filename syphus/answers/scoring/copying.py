"""Heuristics against copying: from an in-context example, from another query's answer, or from the answer itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from syphus.answers.scoring.candidates import Candidate, ScoringContext
from syphus.answers.scoring.words import Word, is_common, tokenize

_LENGTH = 5  #: consecutive words in a phrase
_MIN_DISTINCTIVE = 2  #: words that must carry meaning and not be in the annotation; other phrases match by chance

Phrase = tuple[str, ...]


def no_copy_of_examples(candidate: Candidate, context: ScoringContext) -> tuple[float, str]:
    """Return 1 minus the share of phrases that an example has, too: half the mean, half the worst answer."""
    known = _example_phrases(context)
    return _score_copies(candidate, known.__contains__, "from an example")


def no_copy_of_others(candidate: Candidate, context: ScoringContext) -> tuple[float, str]:
    """Return 1 minus the share of phrases that another query's answer has, too: half the mean, half the worst."""
    known = _phrases_of_others(context)
    here = candidate.query.text

    def elsewhere(phrase: Phrase) -> bool:
        return any(text != here for text in known.get(phrase, ()))

    return _score_copies(candidate, elsewhere, "from another query")


def no_repeats(candidate: Candidate, _: ScoringContext) -> tuple[float, str]:
    """Return 1 minus the share of phrases that came before in the candidate's answers."""
    earlier: set[Phrase] = set()
    repeated, count = [], 0
    for pair in candidate.pairs:
        for phrase in _phrases(pair.answer):
            count += 1
            repeated += [phrase] if _stems(phrase) in earlier else []
            earlier.add(_stems(phrase))
    return 1 - len(repeated) / max(count, 1), f"repeated: {_phrase_text(repeated[0])}" if repeated else ""


def _score_copies(candidate: Candidate, is_foreign: Callable[[Phrase], bool], where: str) -> tuple[float, str]:
    own = frozenset(word.stem for word in tokenize(candidate.query.text))
    shares, found = [], []
    for pair in candidate.pairs:
        phrases = list(_phrases(pair.answer))
        copied = [phrase for phrase in phrases if is_foreign(_stems(phrase)) and _is_distinctive(_stems(phrase), own)]
        shares.append(1 - len(copied) / max(len(phrases), 1))
        found += copied[:1]
    score = (sum(shares) / len(shares) + min(shares)) / 2 if shares else 1.0
    return score, f"{where}: {_phrase_text(found[0])}" if found else ""


def _is_distinctive(phrase: Phrase, own: frozenset[str]) -> bool:
    return sum(not is_common(stemmed) and stemmed not in own for stemmed in phrase) >= _MIN_DISTINCTIVE


@lru_cache(maxsize=4)
def _example_phrases(context: ScoringContext) -> frozenset[Phrase]:
    return frozenset(_stems(phrase) for text in context.example_answers for phrase in _phrases(text))


@lru_cache(maxsize=4)
def _phrases_of_others(context: ScoringContext) -> Mapping[Phrase, set[str]]:
    """Return, by phrase, the annotations whose answers contain it."""
    known: dict[Phrase, set[str]] = {}
    for other in context.others:
        for pair in other.pairs:
            for phrase in _phrases(pair.answer):
                known.setdefault(_stems(phrase), set()).add(other.query.text)
    return known


def _phrases(text: str) -> Iterator[tuple[Word, ...]]:
    found = tokenize(text)
    for start in range(len(found) - _LENGTH + 1):
        yield found[start : start + _LENGTH]


def _phrase_text(phrase: tuple[Word, ...]) -> str:
    return " ".join(word.text for word in phrase)


def _stems(phrase: tuple[Word, ...]) -> Phrase:
    return tuple(word.stem for word in phrase)
