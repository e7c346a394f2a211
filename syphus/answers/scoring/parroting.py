"""Heuristics against parrots: answers that hand on the annotation, and answers that only repeat their question.

Both are well grounded and cover everything, so no other heuristic sees them. As an example, a parrot teaches the model
to parrot: "What type of toilet is shown in a bare room?" "A toilet is shown in a bare room."
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache, lru_cache

from syphus.answers.cleaning.unfinished import EMPTY_WORDS
from syphus.answers.scoring.candidates import Candidate, ScoringContext
from syphus.answers.scoring.copying import question_type
from syphus.answers.scoring.lexicon import synonyms
from syphus.answers.scoring.words import Word, stem, tokenize
from syphus.types import Pair

_NAMING, _RUN = 4, 7  #: consecutive words: fewer than 4 name a thing, 7 nobody takes from an annotation by chance
_SHORT_RUN = 0.5  #: what a word of a run counts that is shorter than `_RUN`
_MOST = 0.85  #: a larger share of copied words is an annotation that is handed on
_RECITAL = 0.25  #: the score of one statement of the annotation as the answer to a question that could be any
_FEW = 3  #: telling words; shorter answers can't be others
_YES, _NO = 0.5, 0.75  #: scores of answers that confirm or deny their question and say nothing else

#: Words that say nothing about what is seen, so that an answer that adds only these adds nothing.
_EMPTY = f"""
    {EMPTY_WORDS} if then such to in on at with for from by into about just really actually clearly
    being doing must shall should one ones answer
"""
#: Words that answer "where".
_PLACES = """
    above across against along among around at behind below beneath beside besides between beyond by down in inside
    into near next off on onto opposite outside over past through to toward towards under underneath up upon
"""
_STATEMENT = re.compile(r"\n+|(?<=[.!?])[\s\"]+")
_CHOICE = re.compile(r"\bor\b|\n", re.IGNORECASE)
_DENIAL = re.compile(r"\b(?:no|not|none|nothing|nobody|never|neither|nowhere|without)\b|n['\u2019]t\b", re.IGNORECASE)


def own_words(candidate: Candidate, _: ScoringContext) -> tuple[float, str]:
    """Return 1 minus the square of the share of words in long runs that are copied from the annotation.

    One answer in the annotation's words does no harm. An annotation that is handed on as answers teaches the model to
    parrot: the score is 0 if nearly all words are copied. For this, short runs count half, because things have the same
    names in both, and whole sentences of the annotation count fully.
    """
    annotation = candidate.query.text
    long_shares, handed_on, found = [], [], ""
    for pair in candidate.pairs:
        words = tokenize(pair.answer)
        long, run = _copied(words, annotation, _RUN)
        found = found or run
        long_shares.append(len(long) / max(len(words), 1))
        handed_on.append(_handed_on(words, long, annotation))
    if not handed_on:
        return 1.0, ""
    if sum(handed_on) / len(handed_on) > _MOST:
        return 0.0, f"hands on the annotation: {candidate.pairs[handed_on.index(max(handed_on))].answer[:60]}"
    share = sum(long_shares) / len(long_shares)
    return 1 - share**2, f"from the annotation: {found}" if found else ""


def _handed_on(words: Sequence[Word], long: Collection[int], annotation: str) -> float:
    """Return the share of the words that are copied; `long` are the places of those in long runs."""
    short, _ = _copied(words, annotation, _NAMING)
    full = set(long)
    start = 0
    for end, word in enumerate(words, 1):
        if word.ends_phrase:
            if _copied(words[start:end], annotation, max(end - start, _NAMING))[0]:
                full.update(range(start, end))
            start = end
    return (len(full) + _SHORT_RUN * len(short - full)) / max(len(words), 1)


def says_more(candidate: Candidate, _: ScoringContext) -> tuple[float, str]:
    """Return the mean over the pairs of whether the answer says something that its question does not.

    An answer to a question that asks for nothing in particular ("What has changed?") must say more than one statement
    of the annotation in its own words.
    """
    if not candidate.pairs:
        return 0.0, "no pair"
    stated = _statements(candidate.query.text)
    scores, notes = [], []
    for pair in candidate.pairs:
        score, why = _news(pair), "repeats its question"
        if score > _RECITAL and _recites(pair, stated):
            score, why = _RECITAL, "recites the annotation"
        scores.append(score)
        notes += [f"{why}: {pair.answer[:60]}"] * (score <= _RECITAL)
    return sum(scores) / len(scores), notes[0] if notes else ""


def _recites(pair: Pair, stated: Sequence[frozenset[str]]) -> bool:
    """Return whether the question has no word of the annotation, and the answer only those of one statement."""
    asked, told = (frozenset(_telling(tokenize(text), "")) for text in (pair.instruction, pair.answer))
    known = frozenset[str]().union(*stated)
    return len(told) >= _FEW and asked.isdisjoint(known) and any(told <= each for each in stated)


@lru_cache(maxsize=4_000)
def _statements(annotation: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(_telling(tokenize(each), "")) for each in _STATEMENT.split(annotation))


def _copied(words: Sequence[Word], annotation: str, length: int) -> tuple[set[int], str]:
    """Return the places of words in runs of at least `length` words copied from the annotation, and the first run."""
    known = _runs(annotation, length)
    places: set[int] = set()
    found = ""
    for start in range(len(words) - length + 1):
        run = words[start : start + length]
        if tuple(word.stem for word in run) in known:
            places.update(range(start, start + length))
            found = found or " ".join(word.text for word in run)
    return places, found


@lru_cache(maxsize=4_000)
def _runs(annotation: str, length: int) -> frozenset[tuple[str, ...]]:
    words = tokenize(annotation)
    runs = (words[start : start + length] for start in range(len(words) - length + 1))
    return frozenset(tuple(word.stem for word in run) for run in runs)


def _news(pair: Pair) -> float:
    """Return 1 if the answer says something that the question does not, 0 if not, less than 1 for a mere yes or no."""
    kind = question_type(pair.instruction)
    asked = frozenset(_telling(tokenize(pair.instruction), kind))
    known = asked.union(*(synonyms().get(each, ()) for each in asked))
    answered = frozenset(_telling(tokenize(pair.answer), kind))
    if answered - known - {"yes", "no"}:
        return 1.0
    if _CHOICE.search(pair.instruction) and not _CHOICE.search(pair.answer):
        return 1.0  # one of the things that the question offers
    if _DENIAL.search(pair.answer) and not _DENIAL.search(pair.instruction):
        return _NO
    return _YES if kind == "yes or no" else 0.0


def _telling(words: Sequence[Word], kind: str) -> Iterator[str]:
    """Yield the stems and numbers that tell something in an answer to a question of this kind."""
    for word in words:
        if word.value is not None:
            yield f"{word.value:g}"
        elif word.stem not in _empty() or (kind == "where" and word.text in _places()):
            yield word.stem


@cache
def _empty() -> frozenset[str]:
    return frozenset(stem(word) for word in _EMPTY.split())


@cache
def _places() -> frozenset[str]:
    return frozenset(_PLACES.split())
