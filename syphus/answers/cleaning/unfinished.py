"""Finds answers that are not what was asked for: cut off, of too many pairs, in another language, or a restatement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syphus.answers.cleaning.endings import is_complete
from syphus.answers.cleaning.rules import Check, Context, Doubt, Drop, Rule, describe_match, searchable
from syphus.answers.cleaning.sent_texts import split_words
from syphus.answers.translation.identify import identify
from syphus.types import Pair

# Texts that end in the middle, though no server said so.

#: After such a word a text goes on: articles, conjunctions, prepositions that need an object, possessives.
_GOES_ON = frozenset((
    "a", "an", "the", "and", "or", "but", "nor", "of", "to", "into", "onto", "with", "from", "at", "for", "than",
    "because", "while", "whereas", "although", "that", "which", "whose", "his", "its", "their", "my", "your", "our",
    "this",
    "these", "is", "are", "was", "were", "be", "has", "have", "very", "as", "if", "when", "where", "between", "above",
    "among",
    "against", "toward", "towards", "during", "under", "upon", "every", "each",
))  # fmt: skip
_MAY_END = frozenset(
    ("is", "are", "was", "were", "be", "has", "have", "this", "these", "that", "above", "under", "each")
)
_PHRASE, _LONG, _LEAST_LETTERS = 3, 6, 2  # spaces of a text, words of a clause, letters of a word that breaks off
_CLOSERS = " \t*_\"'\u201d)"


def _find_cut_texts(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find texts that break off. A phrase may have no full stop; a clause that goes on, or half a word, is cut."""
    for number, pair in enumerate(pairs, 1):
        text = pair.answer
        if text[-1:] in ".!?" or is_complete(text) or "\n" in text or text.count(" ") < _PHRASE:
            continue
        last, length = text.rstrip(_CLOSERS).rpartition(" ")[2].lower(), text.count(" ") + 1
        word = last.rstrip(",;:")
        if not word.isalpha():
            continue
        is_broken = last[-1] == "," or (word in _GOES_ON and (length >= _LONG or word not in _MAY_END))
        if is_broken or _is_half_a_word(word, text, context.query.text):
            yield describe_match(f"answer {number}", f"...{text[-40:]}")
        elif length >= _LONG and number == len(pairs) and context.ends_sentences:
            others_end = all(is_complete(each.answer) for each in pairs[:-1])
            place = describe_match(f"answer {number}", f"...{text[-40:]}")
            yield place if others_end else Doubt(place)


def _is_half_a_word(word: str, text: str, annotation: str) -> bool:
    """Return whether a last word is cut off: it begins words of the annotation, and is none of them."""
    if len(word) < _LEAST_LETTERS or len(text.split()) < _LONG:
        return False
    known = set(split_words(annotation))
    begins = [each for each in known if each.startswith(word)]
    is_form = any(len(each) - len(word) <= 2 for each in begins)  # "bike" of "bikes"
    return bool(begins) and not is_form and word not in known


# Numbers of pairs.


def _find_wrong_count(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find answers with less than half or more than twice as many pairs as the prompt asks for."""
    least, most = context.asked_pairs if not context.query.pairs else (0, None)
    if 2 * len(pairs) < least:
        yield f"{len(pairs)} of at least {least}"
    if most is not None and len(pairs) > 2 * most:
        yield f"{len(pairs)} of at most {most}"


# Languages in one script.

_ENGLISH = frozenset((
    "the", "a", "an", "is", "are", "was", "were", "of", "in", "on", "and", "to", "with", "it", "he", "she", "they",
    "you", "there", "at", "by", "his", "her", "their", "its", "has", "have", "no", "yes", "from", "this", "that", "for",
    "not",
    "be", "as", "who", "what", "which", "one", "two", "next", "near", "behind", "your", "can", "does", "do", "while",
))  # fmt: skip
_ENOUGH, _FOREIGN_SHARE = 6, 0.12  #: words of a text whose language shows; share of English function words


def _find_other_languages(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Find Latin answers in another language, where the examples are English.

    Answers with English function words are English; of the others, lists of names for one, the identifier is asked.
    """
    if context.scripts != {"LATIN"}:
        return
    if len(_ENGLISH.intersection(searchable(pairs).vocabulary)) >= _ENOUGH:
        return  # nearly all English answers
    words = searchable(pairs).words
    if 5 * sum(map(_ENGLISH.__contains__, words)) >= 2 * len(words):
        return
    if not _is_english(split_words(context.sent.sample)):
        return
    for number, pair in enumerate(pairs, 1):
        said = split_words(pair.answer)
        is_suspect = len(said) >= _ENOUGH and sum(map(_ENGLISH.__contains__, said)) < _FOREIGN_SHARE * len(said)
        if is_suspect and identify(pair.answer, "en").matches is False:
            yield describe_match(f"answer {number}", pair.answer)


def _is_english(words: Sequence[str]) -> bool:
    return 5 * sum(map(_ENGLISH.__contains__, words)) >= len(words) > 0


# Answers that only say their question again: "Where is the car in the left image?" "It is in the left image."
#
# All words of such an answer are the question's, or say nothing by themselves. Yes-or-no questions may be answered in
# their own words, and so may those that offer a choice. A word in another form ("stands" of "stand") counts as new, so
# that what is found is sure.

_PRONOUNS = "itself he him his she her hers they them their theirs i me my mine we us our you your yours"
_FUNCTION = """
    a an the this that these those there here it its who whom whose which what where when how as so and or but of than
    be am is are was were been being have has had do does did can could may might will would now also currently
"""
_IMAGES = "image images picture pictures photo photos photograph photographs scene video clip frame view"
_OF_IMAGES = """
    show shows shown showing see sees seen depict depicts depicted appear appears visible display displays displayed
    present presented feature features featured contain contains include includes located situated positioned
    kind type sort thing things
"""
#: Words that say nothing by themselves about what is seen. Behind "a", one of the last two groups is a thing.
EMPTY_WORDS = f"{_PRONOUNS} {_FUNCTION} {_IMAGES} {_OF_IMAGES}"

_EMPTY = frozenset(EMPTY_WORDS.split())
_TELLS_WHO = frozenset(_PRONOUNS.split())
_IMAGE_WORDS = frozenset(_IMAGES.split())
_SHOWN = frozenset(_OF_IMAGES.split())
_DEFINITE = frozenset(("the", "this", "that", "these", "those", "both"))
_LEAST_WORDS = 4  #: "The left one." may be all that is asked for
_REACH = 3  #: words between "the" and its noun
_ASKS = re.compile(r"(?:\w+ )?(?:what|where|which|who|whom|whose|how|when|why)\b", re.IGNORECASE)
_ASKS_WHO = re.compile(r"(?:\w+ )?who(?:m|se)?\b", re.IGNORECASE)
#: What an answer may choose from: "the cat or the dog", "of the two men, how many", a list.
_CHOICE = re.compile(r"\b(?:or|and|between|among)\b|\b(?:which|who|one|many|much) of\b|\bof the .*,|\n", re.IGNORECASE)
#: Signs of more than a plain statement: quotations, code, formulas. A question as an answer has a rule of its own.
TELLS_BY_SIGNS = re.compile(r"[^\w\s.,;!'\u2019-]")


def only_restates(pair: Pair) -> bool:
    """Return whether an answer has no word of its own that says anything."""
    asked = pair.instruction
    if not _ASKS.match(asked):
        return False
    words = split_words(pair.answer)
    own = set(words).difference(split_words(asked))
    if not own <= _EMPTY or len(words) < _LEAST_WORDS:  # as nearly all answers
        return False
    if _CHOICE.search(asked) or TELLS_BY_SIGNS.search(pair.answer):
        return False
    if own & _TELLS_WHO and _ASKS_WHO.match(asked):
        return False
    if any(_is_number(words, place) for place in range(len(words))):
        return False  # "How many stand before house 4?" "There are 4 before it."
    return not any(names_a_thing(words, place) for place, word in enumerate(words) if word in own)


def _is_number(words: Sequence[str], place: int) -> bool:
    """Return whether a word is a number, and not that of an image: "image 2"."""
    from syphus.answers.scoring.words import NUMBERS  # imported late: scoring builds on this package

    is_number = words[place][0].isdecimal() or words[place] in NUMBERS
    return is_number and (place == 0 or words[place - 1] not in _IMAGE_WORDS)


def names_a_thing(words: Sequence[str], place: int) -> bool:
    """Return whether a word for images or showing stands for a thing: "a picture hangs there", "in a display"."""
    word, before = words[place], words[max(0, place - _REACH) : place]
    if word in _IMAGE_WORDS:
        return _DEFINITE.isdisjoint(before)
    return word in _SHOWN and before[-1:] in (["a"], ["an"])


def _find_restatements(pairs: Sequence[Pair], _: Context) -> Iterable[tuple[int, str]]:
    """Yield the pairs that say nothing, and of conversations (ids such as `..._round2`) also the later rounds."""
    broken: set[str] = set()
    for index, pair in enumerate(pairs):
        conversation = pair.id.rpartition("round")[0] if pair.id else ""
        if only_restates(pair) or (conversation and conversation in broken):
            broken.add(conversation)
            yield index, describe_match(f"answer {index + 1}", pair.answer)


UNFINISHED_RULES: tuple[Rule, ...] = (
    Check("ends in the middle of a sentence", _find_cut_texts),
    Check("far from the number of pairs asked for", _find_wrong_count),
    Check("is in another language than the examples", _find_other_languages),
    Drop("only repeats its question", _find_restatements, least=1),
)
