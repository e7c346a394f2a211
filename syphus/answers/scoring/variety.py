"""Heuristic for the variety of questions: their openings, their types, and how different their words are."""

from __future__ import annotations

import re
from itertools import combinations

from syphus.answers.scoring.basic_quality import expected_pairs
from syphus.answers.scoring.candidates import Candidate, ScoringContext
from syphus.answers.scoring.words import content_stems, jaccard_similarity

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
