"""The words of a text: which carry meaning, by their stems, and which numbers there are.

Stems are Snowball's for English. Chinese and Japanese, which have no spaces, and Korean, whose endings vary, are taken
in overlapping pairs of characters, as search engines do it, apart from what is mostly grammar; a run of katakana is a
word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from syphus.selection.common_words import COMMON, IRREGULAR, NUMBERS

_WORD = re.compile("\\d+(?:[.,:]\\d+)*|[^\\W\\d_]+(?:['\u2019][^\\W\\d_]+)*")
_ENDS_SENTENCE = re.compile(r"(?:\A|[.!?:;\"“(\n-])\W*\Z")
_LABEL = re.compile(r"^[ \t]*\(?\d{1,2}[.)](?=\s)", re.MULTILINE)
_RUN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\u3005]+|[\uac00-\ud7a3]+|[\u30a1-\u30fa\u30fc]+")  # of one script
_GRAMMAR = re.compile("[的了在是着和与及或也都就很吗呢吧啊之而且但这那有个只位张]|正在|可以|其他")
_IN_PAIRS = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]")
_BOX = re.compile(r"\[\s*-?\d+(?:\.\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?)*\s*\]")

_HARDLY_ENGLISH, _ENGLISH = 0.2, 0.25  #: shares of function words
_ENOUGH = 8  #: words, before their language is guessed


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text: in small letters, its stem, its value where it is a number, whether it seems a name."""

    text: str
    stem: str
    value: float | None = None
    name: bool = False
    last: bool = False  #: before a punctuation mark, or the end


@lru_cache(maxsize=20_000)
def words(text: str) -> tuple[Word, ...]:
    """All words, in their order, without coordinates in brackets and the numbers of a list's items."""
    text = _LABEL.sub(" ", _BOX.sub(" ", text))
    found: list[Word] = []
    for match in _WORD.finditer(text):
        written = match[0]
        if _IN_PAIRS.search(written):
            found += _of_characters(written)
            continue
        small = re.sub("['\u2019]s?$", "", written.casefold())
        capital = written[0].isupper() and not _ENDS_SENTENCE.search(text, max(0, match.start() - 4), match.start())
        last = text[match.end() : match.end() + 1] not in (" ", "-")
        found.append(Word(small, stem(small), _value(small), capital and small not in COMMON, last))
    return tuple(found)


def _of_characters(run: str) -> Iterator[Word]:
    """The words of a run of letters of such a script; what is hiragana is grammar."""
    for part in _RUN.findall(_GRAMMAR.sub(" ", run)):
        pairs = [part] if "\u30a0" < part[0] < "\u3100" or len(part) == 1 else map("".join, pairwise(part))
        yield from (Word(each, each) for each in pairs)


@lru_cache(maxsize=20_000)
def content(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning: no function words, no numbers, nothing that is said of any image."""
    return frozenset(w.stem for w in words(text) if w.value is None and not is_common(w.stem))


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The stem of a word in small letters: "riding" and "ride" have the same, and so have "men" and "man"."""
    return _stemmer()(IRREGULAR.get(word, word))


def is_common(stemmed: str) -> bool:
    """Whether a stem is that of a word which says nothing of an annotation's own."""
    return len(stemmed) < 2 or stemmed in _common_stems()


def alike(one: Collection[str], other: Collection[str]) -> float:
    """Jaccard's index: what two sets have in common of all that they have; 0 where there is nothing."""
    both = set(one) | set(other)
    return len(set(one) & set(other)) / len(both) if both else 0.0


@lru_cache(maxsize=20_000)
def comparable(annotation: str, text: str) -> bool:
    """Whether the words of two texts can be compared: the annotation has some, and both seem to be of one language.

    They don't seem so where the scripts differ, or where the annotation is without English function words, the text is
    full of them, and they have no other word in common.
    """
    known, said = content(annotation), content(text)
    if not known or not said:
        return bool(known)
    foreign = not seems_english(annotation) and _share_of_common(text) > _ENGLISH
    return _latin(annotation) == _latin(text) and not (foreign and known.isdisjoint(said))


def seems_english(text: str) -> bool:
    """Whether a text has English function words, or is too short to tell."""
    return _share_of_common(text) >= _HARDLY_ENGLISH


def _share_of_common(text: str) -> float:
    found = words(text)
    return sum(word.text in COMMON for word in found) / len(found) if len(found) >= _ENOUGH else 0.5


def _latin(text: str) -> bool:
    letters = [letter for letter in text[:2000] if letter.isalpha()]
    return sum(letter < "\u0250" for letter in letters) >= 3 * sum(letter >= "\u0250" for letter in letters)


def _value(word: str) -> float | None:
    if word in NUMBERS:
        return NUMBERS[word]
    if not word[0].isdecimal() or ":" in word:
        return None
    plain = word.replace(",", "") if re.fullmatch(r"\d{1,3}(?:,\d{3})+", word) else word.replace(",", ".")
    return float(plain) if plain.count(".") <= 1 else None


@cache
def _common_stems() -> frozenset[str]:
    return frozenset(stem(word) for word in COMMON) | COMMON


@cache
def _stemmer() -> Callable[[str], str]:
    import snowballstemmer  # here, for it loads all its languages

    stemmer: Callable[[str], str] = snowballstemmer.stemmer("english").stemWord
    return stemmer
