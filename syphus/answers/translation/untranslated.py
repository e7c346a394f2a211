"""Finds untranslated English in a translation: the whole text, or a part of it."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_ENGLISH_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*")
_SEQUENCE_LENGTH = 4  # this many consecutive words are not the same by chance
_MIN_WHOLE = 3  # words of a whole text that are not the same by chance, in languages with Latin script
#: Words that show, in languages with Latin script, that a sequence is English and not a name or loan word.
_ENGLISH_WORDS = (
    "the and is are with of this that it has have there which they their from for to on but she he his her not no be"
    " been were than more some its by you your"
)
_FUNCTION_WORDS = frozenset(_ENGLISH_WORDS.split())
_PARTICLES = "of the de van von da and la a an del di du le for in on at"
_NAME_PARTICLES = frozenset(_PARTICLES.split())
#: Words that have a capital letter as the whole answer, although they are not names.
_ORDINARY_WORDS = (
    "yes no none nothing nobody both neither either maybe perhaps probably unknown true false left right up down above"
    " below behind beside inside outside indoors outdoors here there near far front back top bottom middle center"
    " red green blue yellow orange purple pink brown black white gray grey gold silver beige tan"
    " one two three four five six seven eight nine ten zero many few several once twice"
    " sunny cloudy rainy snowy foggy windy clear dark bright hot cold warm wet dry day night morning noon afternoon"
    " evening summer winter spring autumn fall today yesterday tomorrow now later always never often sometimes"
    " man woman boy girl child children baby people person men women dog cat bird horse cow sheep fish elephant bear"
    " zebra giraffe car bus truck train plane airplane boat bike bicycle motorcycle skateboard surfboard chair table"
    " bed couch sofa desk lamp door window wall floor ceiling roof tree trees grass flower flowers water sky sun moon"
    " clouds snow rain beach ocean sea river lake mountain mountains forest field park street road city town house"
    " building kitchen bedroom bathroom room office school church store shop restaurant market garden yard wood wooden"
    " metal plastic glass stone brick paper cloth leather food pizza cake bread fruit apple banana salad sandwich"
    " coffee tea milk juice wine beer tennis baseball soccer football basketball skiing surfing running walking"
    " sitting standing sleeping eating drinking reading writing playing cooking smiling happy sad angry tired big"
    " small large tall short long old young new round square open closed empty full nice good bad yeah okay sure thanks"
    " hello goodbye welcome please sorry hat shirt shoes jacket dress tie glasses umbrella bag book phone laptop"
    " computer clock ball bat kite frisbee knife fork spoon cup plate bowl bottle flag sign light lights"
)
_ORDINARY = frozenset(_ORDINARY_WORDS.split())


def normalize(text: str) -> str:
    """Return a text in the form for comparing: lower case, single spaces, no punctuation at the end."""
    return " ".join(text.casefold().split()).rstrip(".!?:;, ")


def split_words(text: str) -> list[str]:
    """Return the words of a text as written, without numbers."""
    return _WORD.findall(text)


def may_stay_untranslated(words: list[str]) -> bool:
    """Return whether an English text with these words may be its own translation: it has none, or they are a name.

    The words of a name have capital letters, except for particles such as "of". A single word counts as a name unless
    it is an ordinary answer ("Red", "Yes").
    """
    if not words:
        return True
    if len(words) > 8 or any(word.islower() and word not in _NAME_PARTICLES for word in words):
        return False
    if words[0].lower() in _NAME_PARTICLES and len(words) < 3:
        return False
    return not all(_is_ordinary(word.lower()) for word in words)


def _is_ordinary(word: str) -> bool:
    return word in _ORDINARY or word in _NAME_PARTICLES or word.removesuffix("s") in _ORDINARY


def word_sequences(words: list[str]) -> frozenset[tuple[str, ...]]:
    """Return all sequences of consecutive words in lower case, without mostly capitalised ones (names and titles)."""
    lowered = [word.lower() for word in words]
    return frozenset(
        tuple(lowered[i : i + _SEQUENCE_LENGTH])
        for i in range(len(lowered) - _SEQUENCE_LENGTH + 1)
        if sum(word[0].islower() for word in words[i : i + _SEQUENCE_LENGTH]) > _SEQUENCE_LENGTH // 2
    )


class EnglishFingerprint:
    """What is needed to find an English text in a translation: all its words, and its sequences of words.

    `may_stay` says that the text may be its own translation. `whole` are all words, `sequences` the consecutive ones,
    and `function_word_sequences` those that contain a function word.
    """

    __slots__ = ("function_word_sequences", "may_stay", "sequences", "whole")

    def __init__(self, text: str, unquoted: str) -> None:
        words = split_words(unquoted)
        self.may_stay = may_stay_untranslated(words) if unquoted.strip() == text.strip() else not words
        self.whole = () if self.may_stay else tuple(word.lower() for word in words)
        self.sequences = word_sequences(words)
        self.function_word_sequences = frozenset(
            each for each in self.sequences if not _FUNCTION_WORDS.isdisjoint(each)
        )


def find_untranslated(source: EnglishFingerprint, unquoted: str, latin: bool) -> str:
    """Return a part of the source that is untranslated, or all of it; "" if there is none.

    `latin` says that the language is written in Latin script, where more may be the same by chance.
    """
    known, min_whole = (source.function_word_sequences, _MIN_WHOLE) if latin else (source.sequences, 1)
    lowered = (_WORD if latin else _ENGLISH_WORD).findall(unquoted.lower())
    for sequence in zip(*(lowered[i:] for i in range(_SEQUENCE_LENGTH)), strict=False) if known else ():
        if sequence in known:
            return " ".join(sequence)
    length = len(source.whole)
    if min_whole <= length <= len(lowered) and length < 2 * _SEQUENCE_LENGTH:  # a longer text is found by its sequences
        whole = " ".join(source.whole)
        return whole if f" {whole} " in f" {' '.join(lowered)} " else ""
    return ""
