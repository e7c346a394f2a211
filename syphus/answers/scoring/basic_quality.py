"""Heuristics for basic quality: parses, keeps the rules, number of pairs, length, whole sentences, no leak."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from statistics import median

from syphus.answers.cleaning.rules import Context, Rule, clean, texts_with_places
from syphus.answers.cleaning.sent_texts import SentTexts
from syphus.answers.cleaning.source_mentions import MENTION_RULES
from syphus.answers.parsing.pairs import parse_pairs
from syphus.answers.scoring.candidates import Candidate, ScoringContext
from syphus.answers.scoring.words import NUMBERS
from syphus.text import split_words
from syphus.types import State

Bounds = tuple[int, int | None]

_SHORT, _LONG = 6, 300  #: words of an answer: fewer or more lower the score
_CLOSING = "['\"\u201d\u2019)\\]*]"  # quotation marks, brackets, the asterisks of Markdown
_ENDS = re.compile(rf"[.!?\u2026\u3002\uff01\uff1f\u0964]{_CLOSING}*\Z")  # Chinese and Hindi included
_COUNT_RULE = re.compile(r"not (?:(at least) )?(\d+)(?: to (\d+))? pairs?")
_COUNT = rf"(\d+|{'|'.join(NUMBERS)})"
_STATED_COUNT = re.compile(
    rf"(?:\b(exactly|at least|at most|up to) )?\b{_COUNT}(?: (?:to|or|and) {_COUNT}|-{_COUNT})? "
    r"(?:different |short |such )?(?:pairs?|questions?|question[- ](?:and[- ])?answer)\b",
    re.IGNORECASE,
)


def parses(candidate: Candidate, _: ScoringContext) -> tuple[float, str]:
    """Return 1 if the answer is complete and pairs could be parsed from it, else 0."""
    incomplete = candidate.state not in (State.OK, State.INVALID)
    if candidate.pairs and not incomplete:
        return 1.0, ""
    return 0.0, candidate.reason or (candidate.state if incomplete else "no pairs")


def keeps_rules(candidate: Candidate, context: ScoringContext) -> tuple[float, str]:
    """Return 1 if the answer was accepted and no cleaning rule rejects it, else 0."""
    if candidate.state is not State.OK:
        return 0.0, candidate.reason or candidate.state
    about = Context(candidate.query, _example_texts(context), candidate.asked)
    rejections = clean(candidate.pairs, context.rules, about).rejections
    notes = (f"{rule} ({place})" if place else rule for rule, place in rejections.items())
    return (0.0 if rejections else 1.0), "; ".join(notes)


def number_of_pairs(candidate: Candidate, context: ScoringContext) -> tuple[float, str]:
    """Return 1 for the expected number of pairs, less for each missing one, and at least 0.5 if there are too many."""
    least, most = expected_pairs(context)
    count = len(candidate.pairs)
    expected = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
    if count < least:
        return count / (least + 1), f"{count} of {expected}"
    if most is not None and count > most:
        return max(0.5, 1 - (count - most) / most), f"{count} instead of {expected}"
    return 1.0, ""


def answer_length(candidate: Candidate, _: ScoringContext) -> tuple[float, str]:
    """Return the mean over the answers; those below 6 or above 300 words score less than 1."""
    counts = [len(split_words(pair.answer)) for pair in candidate.pairs]
    if not counts:
        return 0.0, "no pair"
    scores = [min(1.0, count / _SHORT, _LONG / max(count, 1)) for count in counts]
    worst = counts[scores.index(min(scores))]
    return sum(scores) / len(scores), f"an answer of {worst} word{'s' * (worst != 1)}" if min(scores) < 1 else ""


def whole_sentences(candidate: Candidate, _: ScoringContext) -> tuple[float, str]:
    """Return the share of answers that end with a complete sentence."""
    incomplete = [pair.answer for pair in candidate.pairs if not _ENDS.search(pair.answer.rstrip())]
    if not candidate.pairs:
        return 0.0, "no pair"
    note = f"ends in mid-sentence: ...{incomplete[0][-20:]}" if incomplete else ""
    return 1 - len(incomplete) / len(candidate.pairs), note


@lru_cache(maxsize=4)
def expected_pairs(context: ScoringContext) -> Bounds:
    """Return the minimum and maximum number of pairs (None: no maximum).

    They come from the context itself, or from its rules, its system message, or the other candidates, in this order.
    """
    if context.least is not None or context.most is not None:
        return context.least or 1, context.most
    return (
        _bounds_from_rules(context.rules) or bounds_from_message(context.system_message) or _bounds_from_others(context)
    )


def _bounds_from_rules(rules: Iterable[Rule]) -> Bounds | None:
    found = next(filter(None, (_COUNT_RULE.fullmatch(rule.name) for rule in rules)), None)
    if found is None:
        return None
    least = int(found[2])
    return least, None if found[1] else int(found[3] or least)


def bounds_from_message(message: str) -> Bounds | None:
    """Return the least and the most pairs (None: no maximum) that a message asks for, None if it says nothing."""
    found = _STATED_COUNT.search(message)
    if found is None:
        return None
    word, least, *others = found.groups()
    most = next(filter(None, others), None)
    first, last = _number(least), _number(most or least)
    if (word or "").lower() in ("at most", "up to"):
        return 1, last
    return max(first, 1), None if (word or "").lower() == "at least" else last


def _bounds_from_others(context: ScoringContext) -> Bounds:
    counts = [len(each.pairs) for each in context.others if each.pairs]
    if len(counts) > 1 == max(counts):
        return 1, 1
    return (max(1, int(median(counts)) // 2) if counts else 1), None


def _number(text: str) -> int:
    return int(text) if text.isdigit() else int(NUMBERS[text.lower()])


@lru_cache(maxsize=4)
def _example_texts(context: ScoringContext) -> SentTexts:
    asked, found = "", []
    for turn in context.examples:
        if turn["role"] == "assistant":
            pairs = parse_pairs(turn["content"]).pairs
            found += [(asked, text) for pair in pairs for text in (pair.instruction, pair.answer)]
        else:
            asked = turn["content"]
    return SentTexts(found)


# Leaks: pairs that mention the notes that the model was given, or show their syntax.

_NOTES = (
    "descriptions?|captions?|annotations?|narrations?|metadata|bounding box(?:es)?|coordinates?|sentences?|notes?"
    "|prompts?"
)
_MENTIONED_NOTES = re.compile(
    rf"\b(?:the|this|these|those|your) (?:given |provided |above )?({_NOTES})\b(?! of (?:the|this|a)\b)", re.IGNORECASE
)
_SYNTAX = re.compile(r"\[\s*\d+(?:\.\d+)?\s*,")


def no_leak(candidate: Candidate, _: ScoringContext) -> tuple[float, str]:
    """Return 0 if a text mentions the notes or shows coordinates, else 1."""
    rejections = clean(candidate.pairs, MENTION_RULES, Context(candidate.query)).rejections
    if rejections:
        return 0.0, next(iter(rejections.values()))
    annotation = candidate.query.text.casefold()
    for place, text in texts_with_places(candidate.pairs):
        found = _MENTIONED_NOTES.search(text)
        if found and found[1].casefold().rstrip("s") not in annotation:
            return 0.0, f"{place}: {found[0]}"
        if _SYNTAX.search(text):
            return 0.0, f"{place}: coordinates"
    return 1.0, ""
