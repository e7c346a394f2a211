"""English that was left standing: the whole text, or a stretch of it."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_ENGLISH_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*")
_RUN = 4  # words in a row that are the same in both by no chance
_WHOLE = 3  # words of a whole text that are the same by no chance, in the same script
#: Words that say in the same script that a run is English, and no name or loan.
_ENGLISH_WORDS = (
    "the and is are with of this that it has have there which they their from for to on but she he his her not no be"
    " been were than more some its by you your"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_SMALL = {
    "of",
    "the",
    "de",
    "van",
    "von",
    "da",
    "and",
    "la",
    "a",
    "an",
    "del",
    "di",
    "du",
    "le",
    "for",
    "in",
    "on",
    "at",
}
#: Words that begin with a capital where they are the whole answer, and are no names.
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


def normal(text: str) -> str:
    """A text as far as a copy must agree: small letters, single blanks, no marks at the end."""
    return " ".join(text.casefold().split()).rstrip(".!?:;, ")


def words(text: str) -> list[str]:
    """The words of a text, as they are written, numbers left out."""
    return _WORD.findall(text)


def may_stay(in_words: list[str]) -> bool:
    """Whether an English text may be its own translation: it has no words, or they are a name.

    A name is made of words with capitals, and small ones like "of" between them. One word alone counts as a name
    unless it is an ordinary answer ("Red", "Yes").
    """
    if not in_words:
        return True
    if len(in_words) > 8 or any(word.islower() and word not in _SMALL for word in in_words):
        return False
    if in_words[0].lower() in _SMALL and len(in_words) < 3:
        return False
    return not all(_ordinary(word.lower()) for word in in_words)


def _ordinary(word: str) -> bool:
    return word in _ORDINARY or word in _SMALL or word.removesuffix("s") in _ORDINARY


def runs(in_words: list[str]) -> frozenset[tuple[str, ...]]:
    """All stretches of words, in small letters; those that are mostly capitalised are names and titles."""
    small = [word.lower() for word in in_words]
    return frozenset(
        tuple(small[i : i + _RUN])
        for i in range(len(small) - _RUN + 1)
        if sum(word[0].islower() for word in in_words[i : i + _RUN]) > _RUN // 2
    )


class UntranslatedFinder:
    """What is needed of an English text to find it again: the whole, and its stretches of words."""

    __slots__ = ("elsewhere", "same_script", "stays", "whole")

    def __init__(self, text: str, unquoted: str) -> None:
        found = words(unquoted)
        self.stays = may_stay(found) if unquoted.strip() == text.strip() else not found
        self.whole = () if self.stays else tuple(word.lower() for word in found)
        self.elsewhere = runs(found)
        self.same_script = frozenset(run for run in self.elsewhere if not _ENGLISH.isdisjoint(run))


def stretch(source: UntranslatedFinder, unquoted: str, latin: bool) -> str:
    """A stretch of English in a translation, or all of it; else ""."""
    known, least = (source.same_script, _WHOLE) if latin else (source.elsewhere, 1)
    small = (_WORD if latin else _ENGLISH_WORD).findall(unquoted.lower())
    for run in zip(*(small[i:] for i in range(_RUN)), strict=False) if known else ():
        if run in known:
            return " ".join(run)
    length = len(source.whole)
    if least <= length <= len(small) and length < 2 * _RUN:  # a longer one is found by its stretches
        whole = " ".join(source.whole)
        return whole if f" {whole} " in f" {' '.join(small)} " else ""
    return ""
