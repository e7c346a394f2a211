"""Grounding: what an answer says that the annotation does not support.

The words that carry meaning are compared by their stems. Supported is what the annotation has, what means the same, and
what it has a kind of ("bird" by "duck"); parts of what it has ("wing") and words of the system message are passed over.
Of the rest, numbers and names weigh most, then things that can be seen ("violin"), then nouns behind "a", "several" or
a number, and least all other words, for an answer may reason. In other languages than English, where things and names
can't be told, all words weigh the same. What stands in a sentence with "might" or "likely" is
told as a guess, and weighs less.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache

from syphus.answers.cleaning.rules import Check, Context, Rule
from syphus.answers.scoring.candidates import Candidate, ScoringContext
from syphus.answers.scoring.lexicon import is_thing, related_words, supporting_words, synonyms, wholes_of_parts
from syphus.answers.scoring.words import Word, are_comparable, content_stems, is_common, seems_english, stem, tokenize
from syphus.types import Pair

# FOLDED from annotation_facts.py:
# What an annotation supports: its words with their kin, and its numbers with what they count.

_BOX_LABEL = re.compile(r"^[ \t]*([^\W\d_][\w -]{0,30}):[ \t]*\[", re.MULTILINE)
_MAX_COUNTED_WORDS = 4  #: words behind a number that it may count
_FRAMES = ("image", "picture", "photo", "frame", "video", "clip", "scene", "panel")

KNOWN, SUBSET, PERHAPS, FOREIGN = 0.0, 0.15, 0.25, 1.0  #: how far a number is from being supported


@dataclass(frozen=True, slots=True)
class AnnotationFacts:
    """The stems of an annotation; its numbers, alone and by the stems that they count; lines like `dog: [box]`."""

    stems: frozenset[str]
    numbers: frozenset[float]
    digits: frozenset[str]
    counted: dict[str, frozenset[float]]
    labelled: Counter[str]

    def supports(self, stemmed: str) -> bool:
        """Whether the annotation has the word, one that means the same, or a kind of it."""
        return stemmed in self.stems or not self.stems.isdisjoint(supporting_words().get(stemmed, ()))

    def has_whole_of(self, stemmed: str) -> bool:
        """Whether it is a part of something that the annotation has."""
        return not self.stems.isdisjoint(wholes_of_parts().get(stemmed, ()))

    def number_doubt(self, number: Word, counts: frozenset[str]) -> float:
        """From KNOWN to FOREIGN: `counts` are the stems of what the number seems to count.

        One is known of everything, and two is what many a plural may mean. A lower number than the annotation has may
        count some of them.
        """
        if number.value is None:
            return KNOWN if number.text in self.digits else FOREIGN
        if number.value in (0, 1) or counts & _frames():
            return KNOWN
        kinds = counts.union(*(related_words().get(each, ()) for each in counts))
        told = frozenset[float]().union(*(self.counted.get(each, frozenset()) for each in kinds))
        most = sum(self.labelled[each] for each in kinds)
        if number.value in told or number.value == most:
            return KNOWN
        if told or most:
            return SUBSET if number.value < max((*told, most)) else FOREIGN
        if number.value in self.numbers:
            return KNOWN
        return PERHAPS if number.value == 2 else FOREIGN


@lru_cache(maxsize=4_000)
def read_annotation_facts(annotation: str) -> AnnotationFacts:
    """The facts of an annotation as the model gets to see it."""
    found = tokenize(annotation)
    counted: dict[str, frozenset[float]] = {}
    for number, counts in counted_numbers(found):
        if number.value is not None:
            for each in counts:
                counted[each] = counted.get(each, frozenset()) | {number.value}
    values = frozenset(word.value for word in found if word.value is not None)
    digits = frozenset(word.text for word in found if word.text[0].isdecimal())
    labelled = Counter(stem(label.split()[-1].casefold()) for label in _BOX_LABEL.findall(annotation))
    return AnnotationFacts(frozenset(word.stem for word in found), values, digits, counted, labelled)


def counted_numbers(found: Sequence[Word]) -> Iterator[tuple[Word, frozenset[str]]]:
    """The numbers among some words, each with the stems of what it may count: the next words that carry meaning."""
    for place, word in enumerate(found):
        if word.value is not None or word.text[0].isdecimal():
            yield (
                word,
                frozenset()
                if word.ends_phrase
                else frozenset(_counted_stems(found[place + 1 : place + 1 + _MAX_COUNTED_WORDS])),
            )


def _counted_stems(behind: Sequence[Word]) -> Iterator[str]:
    """The stems of the first words in a row that carry meaning: "large passenger jets" of "three large ... jets in"."""
    begun = False
    for word in behind:
        telling = word.value is None and (word.stem in _frames() or not is_common(word.stem))
        if telling:
            yield word.stem
        begun = begun or telling
        if word.ends_phrase or word.value is not None or (begun and not telling):
            return


@cache
def _frames() -> frozenset[str]:
    return frozenset(map(stem, _FRAMES))


#: What each weighs that is not supported, where a supported word is 1.
_NUMBER, _NAME, _THING, _MENTIONED, _WORD = 2.0, 2.0, 1.5, 0.6, 0.15
_FOREIGN_WORD = 0.5  #: of another language than English
_START = 0.3  #: is supported of any answer, so that an answer like "Yes." is not held to be made up
_GUESSED = 0.3  #: of its weight is left in a sentence that guesses
_EACH = 0.9  #: is left of the score for each number, name and thing that is not supported, and not guessed
_LETTERS = re.compile(r"[a-z]+")
_SENTENCE = re.compile(r"(?<=[^\d\s][.!?])\s+|\n+")
_GUESS = re.compile(
    r"\b(?:may|might|could|can|would|should|perhaps|maybe|possibly|probably|potentially|(?:un)?likely|suggest(?:s|ing)?"
    r"|indicat(?:es?|ing)|impl(?:y|ies)|seem(?:s|ingly)?|appears? to|if|such as|often|usually|typically|generally)\b",
    re.IGNORECASE,
)
_INTRODUCING = frozenset(("a", "an", "another", "some", "several", "many", "few"))
_ABSTRACT = ("ance", "ence", "ing", "ion", "ism", "ity", "ment", "ness", "ship")
_ADJECTIVE = ("al", "ed", "ful", "ic", "ive", "ly", "ous")
_REACH = 3  #: words before a noun among which its article is
_NOT_COMPARED = 0.5  #: where the annotation and the answer are not of one script
_MOST_NAMED = 5
_MISSPELT = 0.8  #: how alike "umbrela" and "umbrella" are at the least

Weigh = Callable[[Word, Sequence[Word]], float]
"""Gives the weight of a word that is not supported, from the words before it."""


def grounding(candidate: Candidate, context: ScoringContext) -> tuple[float, str]:
    """The mean over the pairs, and the worst of them, half each."""
    if not candidate.pairs:
        return 0.0, "no pair"
    annotation = candidate.query.text
    told = " ".join(pair.answer for pair in candidate.pairs)
    if not are_comparable(annotation, told):
        return _NOT_COMPARED, "the annotation has no words to compare with"
    facts, taken = read_annotation_facts(annotation), content_stems(context.system_message)
    weigh = _weigh_english if seems_english(told) else _weigh_other_language
    found = [_score_pair(pair, facts, taken, weigh) for pair in candidate.pairs]
    scores = [score for score, _ in found]
    foreign = list(dict.fromkeys(word for _, named in found for word in named))
    return (sum(scores) / len(scores) + min(scores)) / 2, _describe_unsupported(foreign)


def _find_invented_things(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    annotation, answers = context.query.text, " ".join(pair.answer for pair in pairs)
    new = set(_LETTERS.findall(answers.lower())).difference(_LETTERS.findall(annotation.lower()))
    if context.query.images or not any(is_thing(word) and not is_common(stem(word)) for word in new):
        return  # a model that sees the images knows more
    if not are_comparable(annotation, answers):
        return
    facts = read_annotation_facts(annotation)
    for number, pair in enumerate(pairs, 1):
        for sentence in _SENTENCE.split(pair.answer):
            if _GUESS.search(sentence):
                continue
            for word in tokenize(sentence):
                made_up = is_thing(word.text) and not _is_supported(word, facts, frozenset())
                if made_up and not get_close_matches(word.stem, facts.stems, 1, _MISSPELT):
                    yield f"answer {number}: {word.text}"


#: A rule of cleaning for annotations that hold all that can be told: an answer that claims a thing which nothing in
#: the annotation supports is invalid. Guesses, words of other kinds and mended spelling are let through.
things_of_the_annotation: Rule = Check("a thing that the annotation does not hold", _find_invented_things)


def _score_pair(pair: Pair, facts: AnnotationFacts, taken: frozenset[str], weigh: Weigh) -> tuple[float, list[str]]:
    """A pair's score, and what in it is not supported, the gravest first."""
    supported = _START + sum(map(facts.supports, content_stems(pair.answer)))
    foreign: dict[str, float] = {}
    for sentence in _SENTENCE.split(pair.answer):
        share = _GUESSED if _GUESS.search(sentence) else 1.0
        for told, weight in _unsupported(sentence, facts, taken, weigh):
            foreign[told] = max(foreign.get(told, 0.0), share * weight)
    hard = sum(weight >= 1 for weight in foreign.values())
    score = supported / (supported + sum(foreign.values()))
    return score * _EACH**hard, sorted(foreign, key=lambda told: -foreign[told])


def _unsupported(text: str, facts: AnnotationFacts, taken: frozenset[str], weigh: Weigh) -> Iterator[tuple[str, float]]:
    """Each word or number that nothing supports, with its weight."""
    found = tokenize(text)
    for place, word in enumerate(found):
        if word.value is None and not _is_supported(word, facts, taken):
            yield f"'{word.text}'", weigh(word, found[:place])
    for number, counts in counted_numbers(found):
        if doubt := facts.number_doubt(number, counts):
            yield number.text, _NUMBER * doubt


def _is_supported(word: Word, facts: AnnotationFacts, taken: frozenset[str]) -> bool:
    """Whether a word is supported, or is none that says something of its own."""
    return word.stem in taken or is_common(word.stem) or facts.supports(word.stem) or facts.has_whole_of(word.stem)


def _weigh_english(word: Word, before: Sequence[Word]) -> float:
    if word.is_name or is_thing(word.text):
        return _NAME if word.is_name else _THING
    return _MENTIONED if _is_introduced(word, before) else _WORD


def _weigh_other_language(word: Word, before: Sequence[Word]) -> float:  # noqa: ARG001 - as the other
    return _FOREIGN_WORD


def _is_introduced(word: Word, before: Sequence[Word]) -> bool:
    """Whether a word seems a noun that is spoken of for the first time: "a small xylophone", "several drones"."""
    if word.text.endswith(_ABSTRACT + _ADJECTIVE):
        return False
    for other in reversed(before[-_REACH:]):
        if other.ends_phrase:
            return False
        if other.text in _INTRODUCING or other.value is not None:
            return True
    return False


def _describe_unsupported(foreign: list[str]) -> str:
    more = f" and {len(foreign) - _MOST_NAMED} more" if len(foreign) > _MOST_NAMED else ""
    return f"not in the annotation: {', '.join(foreign[:_MOST_NAMED])}{more}" if foreign else ""


# FOLDED from coverage.py:
# Coverage: how much of what the annotation says comes up in the pairs.

_ENOUGH = 0.9  #: of the words is all of them: a synonym here and there
_ASKED = 0.5  #: counts a word that only a question has
_FEW, _HARDLY = 4, 0.1  #: words of an annotation that can be said in others ("nothing differs"); the least score then
_COVERAGE_NOT_COMPARED = 0.5
_STATEMENT = re.compile(r"\n+|(?<=[.!?])[\s\"]+|\",\s*\"")
_KEYS = ("annotation", "caption", "description", "duration", "id", "sentence", "tag", "timestamp", "title")


def coverage(candidate: Candidate, _: ScoringContext) -> tuple[float, str]:
    """The mean over the annotation's statements of the share of their words that come up, where 90% is all."""
    annotation = candidate.query.text
    said = statements(annotation)
    if not said or not are_comparable(annotation, " ".join(pair.answer for pair in candidate.pairs)):
        return _COVERAGE_NOT_COMPARED, "the annotation has no words to compare with"
    answered = _mentioned_stems(pair.answer for pair in candidate.pairs)
    asked = _mentioned_stems(pair.instruction for pair in candidate.pairs) - answered
    shares = [(len(each & answered) + _ASKED * len(each & asked)) / len(each) for each in said]
    missing = sum(not share for share in shares)
    score = min(1.0, sum(shares) / len(shares) / _ENOUGH)
    if len(frozenset[str]().union(*said)) < _FEW:
        score = max(score, _HARDLY)
    note = f"nothing of {missing} of {len(said)} statements comes up" if missing else ""
    return score, note


def _mentioned_stems(texts: Iterable[str]) -> frozenset[str]:
    """The stems of some texts, and of other words for the same things."""
    stems = frozenset[str]().union(*map(content_stems, texts))
    return stems.union(*(synonyms().get(each, ()) for each in stems))


@lru_cache(maxsize=4_000)
def statements(annotation: str) -> tuple[frozenset[str], ...]:
    """The annotation's lines and sentences, each as the stems of its words, no two alike, without names of fields."""
    keys = frozenset(map(stem, _KEYS))
    return tuple(dict.fromkeys(filter(None, (content_stems(each) - keys for each in _STATEMENT.split(annotation)))))
