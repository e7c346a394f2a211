"""The cleaning rule against invented things: an answer claims what nothing in the annotation supports.

Things are those of the lexicon and, if the ratings of `norms.py` are there, all words for what can be seen. A thing
that is introduced ("a lantern", "two tins") is a claim. One that is spoken of as known ("the floor") may follow from
the scene and is a doubt. What is denied ("no lantern"), guessed, compared or a figure of speech is no claim.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from enum import Enum
from functools import cache, lru_cache

from syphus.answers.cleaning.dataset_rules import find_names
from syphus.answers.cleaning.rules import Check, Context, Doubt, Rule, describe_match, searchable, texts_with_places
from syphus.answers.cleaning.sent_texts import PHRASE, split_words
from syphus.answers.scoring.grounding import GUESS, AnnotationFacts, is_supported, read_annotation_facts
from syphus.answers.scoring.lexicon import is_thing, names_of_things, related_words, supporting_words, synonyms
from syphus.answers.scoring.norms import is_concrete, norms
from syphus.answers.scoring.words import Word, are_comparable, is_common, split_sentences, stem, tokenize
from syphus.types import Pair

_LETTERS = re.compile(r"[a-z]+")
_NO_LETTER = {code: " " for code in range(128) if not chr(code).islower()}
_SEEN = re.compile(r"\bc(?:an|ould) (?:(?:also|clearly|now|still) )?(?:be )?(?:seen?|spotted|observed|found|noticed)\b")
#: What is asked for more than is seen: the answer may speak of things that are not there. Like `GUESS`, for lower case.
_ASKS_TO_EXPLAIN = re.compile(
    r"\b(?:why|could|might|may|would|should|what (?:if|for)|purpose|reasons?|benefits?|how (?:does?|can|would)|need)\b",
)
_LEAST_STEM, _LONGEST_ENDING = 4, 2  #: letters
_MISSPELT = 0.8  #: minimum similarity of a misspelt word: "umbrela" and "umbrella"
_REACH = 3  #: how many words before a noun its article may be
_DENIAL_REACH = 6  #: how many words before a noun what denies it may be
_DENIES = frozenset(
    ("no", "not", "without", "nor", "neither", "never", "nothing", "instead", "rather", "hardly", "cannot")
)
_DEFINITE = frozenset(("the", "his", "her", "its", "their", "your", "my", "this", "that", "these", "those"))
_ARTICLES = frozenset(("a", "an", "another", "some", "several", "many", "few"))
_LINKS = frozenset(("and", "with", "of", "more"))
_COMPARES = frozenset(("like", "as", "than"))
_PLACES = tuple(map(stem, ("road", "room", "water", "building", "land", "weather", "furniture", "paper")))
_ANYWHERE = tuple(
    map(stem, ("floor", "wall", "ceiling", "door", "window", "roof", "light", "sun", "sky", "audience", "crowd"))
)
_FIGURE_WORDS = range(2, 6)  #: lengths of expressions
#: What people are called who have names in the annotation.
_PERSONS = frozenset(
    ("man", "men", "woman", "women", "boy", "girl", "boys", "girls", "lady", "guy", "person", "people", "couple")
)


def _words_of_letters(text: str) -> set[str]:
    """Return the runs of the letters a to z, in lower case; splitting takes a third of matching."""
    lowered = text.lower()
    return set(lowered.translate(_NO_LETTER).split() if lowered.isascii() else _LETTERS.findall(lowered))


@lru_cache(maxsize=1)
def _known_things() -> frozenset[str]:
    return names_of_things() | norms().concrete | {f"{word}s" for word in norms().concrete}


def _find_invented_things(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    annotation = context.query.text
    if context.query.images:
        return  # the model knows more than the annotation says
    answers = " ".join(pair.answer for pair in pairs)
    new = _known_things().intersection(_words_of_letters(answers)).difference(_words_of_letters(annotation))
    if not new:
        return
    if not (are_comparable(annotation, answers) or _says_nothing_differs(annotation)):
        return
    facts = read_annotation_facts(annotation)
    may_be_named = new.isdisjoint(_PERSONS) or not find_names(annotation)
    known: dict[str, bool] = {}  # whether the annotation has each thing in some form
    for number, pair in enumerate(pairs, 1):
        for sentence in split_sentences(pair.answer):
            for index, word in _things_in(sentence):
                if word.text not in new or not (may_be_named or word.text not in _PERSONS):
                    continue
                if word.text not in known:
                    known[word.text] = is_supported(word, facts, frozenset()) or _is_another_form(word, facts)
                if not known[word.text] and (claim := _claim_of(sentence, index)) is not _Claim.NONE:
                    place = f"answer {number}: {word.text}"
                    is_sure = claim is _Claim.INTRODUCED and not _ASKS_TO_EXPLAIN.search(pair.instruction.lower())
                    yield place if is_sure else Doubt(place)


def _find_things_of_examples(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find what a pair has from an in-context example, in the example's words: "closer to the entrance"."""
    phrases, annotation = context.sent.example_phrases, context.query.text
    if searchable(pairs).vocabulary.isdisjoint(phrases) or context.query.images or not annotation.strip():
        return
    if context.sent.is_example(annotation) or context.sent.is_example(context.asked):
        return
    facts = read_annotation_facts(annotation)
    for place, text in texts_with_places(pairs):
        words = split_words(text)
        for end in range(PHRASE, len(words) + 1):
            run = tuple(words[end - PHRASE : end])
            if run in phrases.get(run[-1], ()) and _is_foreign(run[-1], facts):
                yield describe_match(place, " ".join(run))


def _is_foreign(noun: str, facts: AnnotationFacts) -> bool:
    """Return whether nothing in the annotation supports a noun, and no scene has such a thing unsaid."""
    word = Word(noun, stem(noun))
    return not (
        noun in _PERSONS
        or word.stem in _settings()
        or is_supported(word, facts, frozenset())
        or _is_another_form(word, facts)
    )


def _find_unsupported(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    yield from _find_things_of_examples(pairs, context)
    yield from _find_invented_things(pairs, context)


def _says_nothing_differs(annotation: str) -> bool:
    """Return whether an annotation has words, but none with a meaning, as in "there is no difference"."""
    return bool(annotation.strip()) and annotation.isascii()


class _Claim(Enum):
    """What a sentence says of a thing."""

    NONE = "nothing that can be wrong"
    OF_THE_KNOWN = "that it is there, as the reader knows"
    INTRODUCED = "that it is there"


@lru_cache(maxsize=2_000)
def _things_in(sentence: str) -> tuple[tuple[int, Word], ...]:
    """Return the known things that a sentence names, each with its place among the words. A guess names none."""
    things = [
        (index, word)
        for index, word in enumerate(tokenize(sentence))
        if word.text in _known_things() and not is_common(word.stem)
    ]
    return () if things and GUESS.search(_SEEN.sub(" ", sentence.lower())) else tuple(things)


@lru_cache(maxsize=2_000)
def _claim_of(sentence: str, index: int) -> _Claim:
    """Return what a sentence says of the thing at a place."""
    found = tokenize(sentence)
    if _is_no_claim(found, index):
        return _Claim.NONE
    return _Claim.INTRODUCED if _is_introduced(found, index) else _Claim.OF_THE_KNOWN


def _is_introduced(found: Sequence[Word], index: int) -> bool:
    """Return whether a thing is claimed: after "a", a number or "and", as a bare plural, or as known but no setting."""
    if not is_thing(found[index].text) and not (is_concrete(found[index].text) and _begins_phrase(found, index)):
        return False
    for each in reversed(found[max(0, index - _REACH) : index]):
        if each.text in _DEFINITE:
            return is_thing(found[index].text) and found[index].stem not in _settings()
        if each.ends_phrase:
            return False
        if each.text in _ARTICLES or each.value is not None:
            return True
        if each.text in _LINKS:  # what is before it introduces another noun: "two pages of text"
            return is_thing(found[index].text)
    return found[index].text.endswith("s")


@cache
def _settings() -> frozenset[str]:
    """Return the stems of things that a scene has without anybody saying so: its ground, walls, sky and weather."""
    kinds = supporting_words()
    return frozenset(_ANYWHERE).union(*(kinds.get(each, frozenset()) | {each} for each in _PLACES))


def _begins_phrase(found: Sequence[Word], index: int) -> bool:
    """Return whether a word is the noun of its phrase, not one before another noun, as "stone" in "a stone wall"."""
    following = found[index + 1 : index + 2]
    return found[index].ends_phrase or not following or is_common(following[0].stem)


def _is_no_claim(found: Sequence[Word], index: int) -> bool:
    """Return whether a thing is denied, a figure of speech, or what something is for: "shade for visitors"."""
    before = found[max(0, index - _REACH) : index]
    return _is_denied(found, index) or _is_figurative(found, index) or any(each.text == "for" for each in before)


def _is_another_form(word: Word, facts: AnnotationFacts) -> bool:
    """Return whether the annotation has a thing in another form, or one that it follows from.

    The annotation has another form of the word ("rain" of "a rainy day"), a more general thing ("pedestrians" of
    "people"), its parts ("screwdriver" of "screw driver"), or another spelling.
    """
    if not facts.stems.isdisjoint(related_words().get(word.stem, ())):
        return True
    return any(
        _is_form_of(word.stem, each) or (word.text.startswith(each) and word.text[len(each) :] in facts.stems)
        for each in facts.stems
    )


@lru_cache(maxsize=20_000)
def _is_form_of(one: str, other: str) -> bool:
    """Return whether two stems are forms of one word, or of words of which one supports the other."""
    kinds = (one, *supporting_words().get(one, ()))
    return any(_are_forms(kind, other) for kind in kinds) or any(
        _are_alike(each, other) for each in (one, *synonyms().get(one, ()))
    )


def _are_alike(one: str, other: str) -> bool:
    """Return whether two stems are so similar that one may be misspelt."""
    if 2 * min(len(one), len(other)) < _MISSPELT * (len(one) + len(other)):
        return False
    matcher = SequenceMatcher(None, other, one)
    return matcher.quick_ratio() >= _MISSPELT and matcher.ratio() >= _MISSPELT


def _is_denied(found: Sequence[Word], index: int) -> bool:
    """Return whether a word before the thing, in its clause, denies it."""
    for each in reversed(found[max(0, index - _DENIAL_REACH) : index]):
        if each.ends_phrase:
            return False
        if each.text in _DENIES or each.text.endswith("n't"):
            return True
    return False


def _is_figurative(found: Sequence[Word], index: int) -> bool:
    """Return whether a thing is a comparison, a measure, or part of an expression that means nothing visible."""
    word, before = found[index], found[max(0, index - _REACH) : index]
    following = found[index + 1].text if index + 1 < len(found) and not word.ends_phrase else ""
    if any(each.text in _COMPARES for each in before) or (word.text in ("couple", "sea", "wave") and following == "of"):
        return True
    if word.text not in _words_of_figures():
        return False
    figures = norms().figures
    texts = [each.text for each in found]
    for length in _FIGURE_WORDS:
        for start in range(max(0, index - length + 1), index + 1):
            if " ".join(texts[start : start + length]) in figures:
                return True
    return False


@cache
def _words_of_figures() -> frozenset[str]:
    return frozenset(word for figure in norms().figures for word in figure.split())


def _are_forms(one: str, other: str) -> bool:
    """Return whether one stem is the other with a short ending: "rain" and "raini", "wood" and "wooden"."""
    short, long = sorted((one, other), key=len)
    return len(short) >= _LEAST_STEM and len(long) - len(short) <= _LONGEST_ENDING and long.startswith(short)


#: A cleaning rule for complete annotations: an answer is invalid if it claims a thing that nothing in the annotation
#: supports. Guesses, denials, figures of speech, other words and corrected spelling are allowed.
things_of_the_annotation: Rule = Check("a thing that the annotation does not hold", _find_unsupported)
