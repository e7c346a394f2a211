"""Heuristics that compare answers with the annotation: grounding, and coverage.

Grounding: how well the annotation supports what an answer says. Words that carry meaning are compared by their stems.
Supported are the annotation's words, their synonyms, and kinds of its things ("bird" by "duck"). Parts of its things
("wing") and words of the system message do not count. Of the rest, numbers and names weigh most, then visible things
("violin"), then nouns after "a", "several" or a number, and least all other words, because an answer may reason. In
languages other than English, things and names are not known and all words weigh the same. Words in a sentence with
"might" or "likely" are a guess and weigh less.

Coverage: how much of what the annotation says is mentioned in the pairs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from syphus.answers.scoring.candidates import Candidate, ScoringContext
from syphus.answers.scoring.lexicon import (
    is_thing,
    related_words,
    supporting_words,
    synonyms,
    wholes_of_parts,
)
from syphus.answers.scoring.words import (
    Word,
    are_comparable,
    content_stems,
    is_common,
    seems_english,
    split_sentences,
    stem,
    tokenize,
)
from syphus.types import Pair

# What an annotation supports: its words with related ones, and its numbers with what they count.

_BOX_LABEL = re.compile(r"^[ \t]*([^\W\d_][\w -]{0,30}):[ \t]*\[", re.MULTILINE)
_MAX_COUNTED_WORDS = 4  #: words after a number that it may count
_FRAMES = ("image", "picture", "photo", "frame", "video", "clip", "scene", "panel")

KNOWN, SUBSET, UNCERTAIN, UNKNOWN = 0.0, 0.15, 0.25, 1.0  #: how doubtful a number is


@dataclass(frozen=True, slots=True)
class AnnotationFacts:
    """What an annotation says.

    `stems` are its words, `numbers` their values, `digits` the numbers as written, `counted` the numbers by the stem of
    what they count, and `boxes` how many lines like `dog: [0.1, 0.2, 0.3, 0.4]` there are, by the stem of the label.
    """

    stems: frozenset[str]
    numbers: frozenset[float]
    digits: frozenset[str]
    counted: dict[str, frozenset[float]]
    boxes: Counter[str]

    def supports(self, stemmed: str) -> bool:
        """Return whether the annotation has the word, a synonym, or a kind of it."""
        return stemmed in self.stems or not self.stems.isdisjoint(supporting_words().get(stemmed, ()))

    def has_whole_of(self, stemmed: str) -> bool:
        """Return whether the word is a part of something that the annotation has."""
        return not self.stems.isdisjoint(wholes_of_parts().get(stemmed, ()))

    def number_doubt(self, number: Word, counts: frozenset[str]) -> float:
        """Return the doubt about a number, from KNOWN to UNKNOWN; `counts` are the stems of what it seems to count.

        There is one of everything, and a plural may mean two. A lower number than the annotation's may count some of
        the things.
        """
        if number.value is None:
            return KNOWN if number.text in self.digits else UNKNOWN
        if number.value in (0, 1) or counts & _frames():
            return KNOWN
        kinds = counts.union(*(related_words().get(each, ()) for each in counts))
        stated = frozenset[float]().union(*(self.counted.get(each, frozenset()) for each in kinds))
        boxes = sum(self.boxes[each] for each in kinds)
        if number.value in stated or number.value == boxes:
            return KNOWN
        if stated or boxes:
            return SUBSET if number.value < max((*stated, boxes)) else UNKNOWN
        if number.value in self.numbers:
            return KNOWN
        return UNCERTAIN if number.value == 2 else UNKNOWN


@lru_cache(maxsize=1_000)
def read_annotation_facts(annotation: str) -> AnnotationFacts:
    """Read the facts of an annotation, given as the text that the model sees."""
    found = tokenize(annotation)
    counted: dict[str, frozenset[float]] = {}
    for number, counts in counted_numbers(found):
        if number.value is not None:
            for each in counts:
                counted[each] = counted.get(each, frozenset()) | {number.value}
    values = frozenset(word.value for word in found if word.value is not None)
    digits = frozenset(word.text for word in found if word.text[0].isdecimal())
    boxes = Counter(stem(label.split()[-1].casefold()) for label in _BOX_LABEL.findall(annotation))
    return AnnotationFacts(frozenset(word.stem for word in found), values, digits, counted, boxes)


def counted_numbers(found: Sequence[Word]) -> Iterator[tuple[Word, frozenset[str]]]:
    """Yield each number among the words, with the stems of what it may count: the next words that carry meaning."""
    for index, word in enumerate(found, 1):
        if word.value is not None or word.text[0].isdecimal():
            following = () if word.ends_phrase else found[index : index + _MAX_COUNTED_WORDS]
            yield word, frozenset(_counted_stems(following))


def _counted_stems(following: Sequence[Word]) -> Iterator[str]:
    """Yield the stems of the first consecutive words with meaning: "red cars" of "two red cars in the"."""
    started = False
    for word in following:
        has_meaning = word.value is None and (word.stem in _frames() or not is_common(word.stem))
        if has_meaning:
            yield word.stem
        started = started or has_meaning
        if word.ends_phrase or word.value is not None or (started and not has_meaning):
            return


@cache
def _frames() -> frozenset[str]:
    return frozenset(map(stem, _FRAMES))


# Grounding.

#: The weights of unsupported words; a supported word weighs 1.
_NUMBER, _NAME, _THING, _INTRODUCED, _WORD = 2.0, 2.0, 1.5, 0.6, 0.15
_OTHER_LANGUAGE_WORD = 0.5  #: in languages other than English
_BASE_SUPPORT = 0.3  #: counts as supported in every answer, so that "Yes." does not score 0
_GUESS_FACTOR = 0.3  #: multiplies the weights in a sentence that guesses
_CLAIM_FACTOR = 0.9  #: multiplies the score for each number, name and thing that is claimed without support
#: Words of a sentence that guesses, for text in lower case: a pattern that ignores case takes five times as long.
GUESS = re.compile(
    r"\b(?:may|might|could|can|would|should|perhaps|maybe|possibly|probably|potentially|(?:un)?likely|suggest(?:s|ing)?"
    r"|indicat(?:es?|ing)|impl(?:y|ies)|seem(?:s|ingly)?|appears? to|if|such as|often|usually|typically|generally)\b",
)
_INTRODUCING = frozenset(("a", "an", "another", "some", "several", "many", "few"))
_ABSTRACT = ("ance", "ence", "ing", "ion", "ism", "ity", "ment", "ness", "ship")
_ADJECTIVE = ("al", "ed", "ful", "ic", "ive", "ly", "ous")
_REACH = 3  #: how many words before a noun its article may be
_NOT_COMPARED = 0.5  #: the score if annotation and answers are in different languages
_MAX_SHOWN = 5  #: words in a note

Weigh = Callable[[Word, Sequence[Word]], float]
"""Returns the weight of an unsupported word, given the words before it."""


def grounding(candidate: Candidate, context: ScoringContext) -> tuple[float, str]:
    """Return the mean score of the pairs and the score of the worst pair, half each."""
    if not candidate.pairs:
        return 0.0, "no pair"
    annotation = candidate.query.text
    answers = " ".join(pair.answer for pair in candidate.pairs)
    if not are_comparable(annotation, answers):
        return _NOT_COMPARED, "the annotation has no words to compare with"
    facts, ignored = read_annotation_facts(annotation), content_stems(context.system_message)
    weigh = _weigh_english if seems_english(answers) else _weigh_other_language
    results = [_score_pair(pair, facts, ignored, weigh) for pair in candidate.pairs]
    scores = [score for score, _ in results]
    unsupported = list(dict.fromkeys(word for _, words in results for word in words))
    return (sum(scores) / len(scores) + min(scores)) / 2, _describe_unsupported(unsupported)


def _score_pair(pair: Pair, facts: AnnotationFacts, ignored: frozenset[str], weigh: Weigh) -> tuple[float, list[str]]:
    """Return a pair's score, and its unsupported words, heaviest first."""
    supported = _BASE_SUPPORT + sum(map(facts.supports, content_stems(pair.answer)))
    weights: dict[str, float] = {}
    for sentence in split_sentences(pair.answer):
        factor = _GUESS_FACTOR if GUESS.search(sentence.lower()) else 1.0
        for word, weight in _unsupported(sentence, facts, ignored, weigh):
            weights[word] = max(weights.get(word, 0.0), factor * weight)
    claims = sum(weight >= 1 for weight in weights.values())
    score = supported / (supported + sum(weights.values()))
    return score * _CLAIM_FACTOR**claims, sorted(weights, key=lambda word: -weights[word])


def _unsupported(
    text: str, facts: AnnotationFacts, ignored: frozenset[str], weigh: Weigh
) -> Iterator[tuple[str, float]]:
    """Yield each unsupported word or number with its weight."""
    found = tokenize(text)
    for index, word in enumerate(found):
        if word.value is None and not is_supported(word, facts, ignored):
            yield f"'{word.text}'", weigh(word, found[:index])
    for number, counts in counted_numbers(found):
        if doubt := facts.number_doubt(number, counts):
            yield number.text, _NUMBER * doubt


def is_supported(word: Word, facts: AnnotationFacts, ignored: frozenset[str]) -> bool:
    """Return whether a word is supported, or carries no meaning of its own."""
    return word.stem in ignored or is_common(word.stem) or facts.supports(word.stem) or facts.has_whole_of(word.stem)


def _weigh_english(word: Word, before: Sequence[Word]) -> float:
    if word.is_name or is_thing(word.text):
        return _NAME if word.is_name else _THING
    return _INTRODUCED if _is_introduced(word, before) else _WORD


def _weigh_other_language(word: Word, before: Sequence[Word]) -> float:  # noqa: ARG001 - as the other
    return _OTHER_LANGUAGE_WORD


def _is_introduced(word: Word, before: Sequence[Word]) -> bool:
    """Return whether a word seems to be a noun that is mentioned first: "a small xylophone", "several drones"."""
    if word.text.endswith(_ABSTRACT + _ADJECTIVE):
        return False
    for other in reversed(before[-_REACH:]):
        if other.ends_phrase:
            return False
        if other.text in _INTRODUCING or other.value is not None:
            return True
    return False


def _describe_unsupported(words: list[str]) -> str:
    more = f" and {len(words) - _MAX_SHOWN} more" if len(words) > _MAX_SHOWN else ""
    return f"not in the annotation: {', '.join(words[:_MAX_SHOWN])}{more}" if words else ""


# Coverage.

_FULL_SHARE = 0.9  #: a share of the words that counts as all of them, since there may be synonyms
_QUESTION_WORD = 0.5  #: what a word counts that only a question has
_FEW_WORDS, _LEAST_SCORE = 4, 0.1  #: annotations with fewer words ("nothing differs") score at least 0.1
_STATEMENT = re.compile(r"\n+|(?<=[.!?])[\s\"]+|\",\s*\"")
_KEYS = ("annotation", "caption", "description", "duration", "id", "sentence", "tag", "timestamp", "title")


def coverage(candidate: Candidate, _: ScoringContext) -> tuple[float, str]:
    """Return the mean share, over the annotation's statements, of the words that are mentioned; 90% counts as all."""
    annotation = candidate.query.text
    stated = statements(annotation)
    if not stated or not are_comparable(annotation, " ".join(pair.answer for pair in candidate.pairs)):
        return _NOT_COMPARED, "the annotation has no words to compare with"
    answered = _mentioned_stems(pair.answer for pair in candidate.pairs)
    asked = _mentioned_stems(pair.instruction for pair in candidate.pairs) - answered
    shares = [(len(each & answered) + _QUESTION_WORD * len(each & asked)) / len(each) for each in stated]
    missing = sum(not share for share in shares)
    score = min(1.0, sum(shares) / len(shares) / _FULL_SHARE)
    if len(frozenset[str]().union(*stated)) < _FEW_WORDS:
        score = max(score, _LEAST_SCORE)
    note = f"{missing} of {len(stated)} statements not mentioned" if missing else ""
    return score, note


def _mentioned_stems(texts: Iterable[str]) -> frozenset[str]:
    """Return the stems of the texts and of their synonyms."""
    stems = frozenset[str]().union(*map(content_stems, texts))
    return stems.union(*(synonyms().get(each, ()) for each in stems))


@lru_cache(maxsize=1_000)
def statements(annotation: str) -> tuple[frozenset[str], ...]:
    """Return the lines and sentences of an annotation as sets of stems, without duplicates and names of fields."""
    keys = frozenset(map(stem, _KEYS))
    return tuple(dict.fromkeys(filter(None, (content_stems(each) - keys for each in _STATEMENT.split(annotation)))))
