"""Heuristics against copying (from examples, other answers, or the answer itself), and for varied questions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import combinations

from syphus.answers.scoring.basic_quality import expected_pairs
from syphus.answers.scoring.candidates import Candidate, ScoringContext
from syphus.answers.scoring.words import Word, content_stems, is_common, jaccard_similarity, tokenize

_LENGTH = 5  #: consecutive words in a phrase
_MIN_DISTINCTIVE = 2  #: words that must carry meaning and not be in the annotation; other phrases match by chance
_ALONE = 0.5  #: the score of a single question, which can't vary
_YES_NO = "is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might"
_TYPES = {
    "how many": r"how many|how much|what (?:is the )?number",
    "how": r"how",
    "why": r"why|(?:for )?what reason|what (?:might|may|could|can) be the (?:reason|purpose)",
    "where": r"where|in (?:which|what) (?:room|place|direction|part)",
    "when": r"when|at what (?:time|point)",
    "who": r"who|whose|whom",
    "which": r"(?:in |on |at |of |to |from |with )?which",
    "what colour": r"(?:what|which) colou?r",
    "what happens": r"what (?:is|are|was|were|does|did|ha[sv]e?) [\w ]*?(?:do(?:ing|ne)?|happen(?:s|ed|ing)?|changed?)",
    "what if": r"what (?:if|might|may|could|can|would|will|should)",
    "what": r"(?:in |on |at |of |to |from |with )?what",
    "yes or no": _YES_NO,
}  # fmt: skip
_ORDER = ("how many", "how", "why", "where", "when", "who", "what colour", "which", "what happens", "what if", "what")
_PATTERNS = {name: re.compile(rf"(?:{_TYPES[name]})\b", re.IGNORECASE) for name in (*_ORDER, "yes or no")}

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


def question_type(question: str) -> str:
    """Return one of a dozen types by the first words: "how many", "why", "yes or no"; "tell" for other texts."""
    start = question.strip()
    return next((name for name, pattern in _PATTERNS.items() if pattern.match(start)), "tell")


def variety(candidate: Candidate, context: ScoringContext) -> tuple[float, str]:
    """Return the mean of the variety of openings, the variety of types, and the distance between the questions' words.

    A single question scores 0.5, or 1 if exactly one is expected.
    """
    questions = [pair.instruction for pair in candidate.pairs]
    if len(questions) == 1 == expected_pairs(context)[1]:
        return 1.0, ""
    if len(questions) < 2:
        return (_ALONE if questions else 0.0), "one question" if questions else "no question"
    openings = [" ".join(question.casefold().split()[:2]) for question in questions]
    types = [question_type(question) for question in questions]
    stems = [content_stems(question) for question in questions]
    distances = [1 - jaccard_similarity(one, other) for one, other in combinations(stems, 2)]
    shares = (_share_of_different(openings), _share_of_different(types, 4), sum(distances) / len(distances))
    common = max(types, key=types.count)
    note = f"{types.count(common)} of {len(types)} ask {common!r}" if 2 * types.count(common) > len(types) > 2 else ""
    return sum(shares) / len(shares), note


def _share_of_different(values: list[str], enough: int = 8) -> float:
    """Return 0 if all values are the same, and 1 if all, or at least `enough`, are different."""
    return (len(set(values)) - 1) / (min(len(values), enough) - 1) if len(set(values)) < enough else 1.0
