"""Finds names and colours that an annotation does not hold, by their form and their place in a sentence.

A name has a capital letter inside a sentence, or begins one and is no word of the language. A colour is wrong if the
annotation gives the same thing another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syphus.answers.cleaning.dataset_rules import CALENDAR
from syphus.answers.cleaning.rules import Check, Context, Doubt, Rule, describe_match, searchable
from syphus.answers.cleaning.sent_texts import split_words
from syphus.answers.scoring.lexicon import is_thing, related_words
from syphus.answers.scoring.norms import is_word, norms
from syphus.answers.scoring.words import COMMON, is_common, split_sentences, tokenize
from syphus.types import Pair

_GUESS = re.compile(
    r"\b(?:may|might|could|would|perhaps|maybe|possibly|probably|likely|seems?|appears?|suggests?|like|as if"
    r"|such as)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"\u201c'\u2018][^\"\u201d]*[\"\u201d'\u2019]")
_INSIDE = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+(?:[ -][A-Z][a-z]+)*\b")
_FIRST = re.compile(
    r"\A([A-Z][a-z]+)(?: ([A-Z][a-z]+))?(?='s\b| (?:and [A-Z]|is|was|has|had|will|wants|[a-z]+(?:s|ed)) )"
)
#: Endings of peoples and languages, which are words of the language: "Italian", "Japanese", "Turkish".
_PEOPLES = ("an", "ese", "ish", "ch", "ic")


def _find_new_names(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find names in answers that are in no annotation. In an image a name may be written, so these are not checked."""
    if context.query.images or not context.query.text.strip():
        return
    known = context.query.text.casefold()
    for number, pair in enumerate(pairs, 1):
        text = pair.answer
        if text[1:].islower() and text.partition(" ")[0].lower() in COMMON:
            continue
        sentences = split_sentences(text)
        firsts = [sentence.partition(" ")[0].rstrip(",'").lower() for sentence in sentences]
        if not _INSIDE.search(text) and all(first in COMMON or first in known for first in firsts):
            continue  # no capital inside, and no name at the beginning: most answers
        for sentence in split_sentences(_QUOTED.sub(" ", text)):
            for name in _names_in(sentence):
                words = name.split()
                if not any(word.casefold() in known or word.lower() in CALENDAR for word in words):
                    place = describe_match(f"answer {number}", name)
                    yield Doubt(place) if _GUESS.search(sentence) else place


def _names_in(sentence: str) -> Iterable[str]:
    for match in _INSIDE.finditer(sentence):
        if not match[0].endswith(_PEOPLES) or " " in match[0]:
            yield match[0]
    first = _FIRST.match(sentence)
    if first and _is_no_word(first[1].lower()) and not (first[2] and not _is_no_word(first[2].lower())):
        yield first[0]


def _is_no_word(word: str) -> bool:
    return word not in COMMON and not is_thing(word) and bool(norms().words) and not is_word(word)


#: For annotations that name everybody whose name can be known: an answer has no other names.
names_of_the_annotation: Rule = Check("a name that the annotation does not hold", _find_new_names)

_COLOURS = frozenset(
    (
        "red",
        "blue",
        "green",
        "yellow",
        "black",
        "white",
        "brown",
        "orange",
        "purple",
        "pink",
        "grey",
        "gray",
        "silver",
        "golden",
    )
)
_SAME = {"gray": "grey", "golden": "yellow", "silver": "grey"}
_NEGATED = re.compile(r"\b(?:no|not|never|instead|rather|n't|before|earlier|first)\b|n't\b", re.IGNORECASE)
_IS = frozenset(("is", "are", "was", "were"))
_REACH = 3  #: words between a colour and its thing


def _coloured(text: str) -> Iterable[tuple[str, str]]:
    """Yield each colour of a text with the stem of the thing that has it: "a red cap", "the cap is red"."""
    for sentence in split_sentences(text):
        words = tokenize(sentence)
        for index, word in enumerate(words):
            if word.text not in _COLOURS:
                continue
            colour = _SAME.get(word.text, word.text)
            following = [] if word.ends_phrase else words[index + 1 : index + 1 + _REACH]
            thing = next(
                (each.stem for each in following if not is_common(each.stem) and each.text not in _COLOURS), ""
            )
            if not thing and any(each.text in _IS for each in words[max(0, index - 2) : index]):
                before = [each for each in words[: index - 1] if not is_common(each.stem) and each.text not in _COLOURS]
                thing = before[0].stem if before else ""
            if thing:
                yield colour, thing


def _find_wrong_colours(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    said = _COLOURS.intersection(searchable(pairs).vocabulary)
    if context.query.images or not said or said.issubset(split_words(context.query.text)):
        return
    told = list(_coloured(context.query.text))
    known = {_SAME.get(word.text, word.text) for word in tokenize(context.query.text)}
    for number, pair in enumerate(pairs, 1):
        for sentence in split_sentences(pair.answer):
            if _GUESS.search(sentence) or _NEGATED.search(sentence):
                continue
            for colour, thing in _coloured(sentence):
                kin = {thing, *related_words().get(thing, ())}
                others = {each for each, what in told if what in kin}
                if colour not in others and others:
                    place = f"answer {number}: {colour}"
                    yield place if colour not in known else Doubt(place)
                elif colour not in known:
                    yield Doubt(f"answer {number}: {colour}")


#: For annotations that tell every colour that a model can know.
colours_of_the_annotation: Rule = Check("a colour that the annotation does not hold", _find_wrong_colours)
