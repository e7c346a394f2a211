"""The glossary: a term of the source must stand in the translation as the glossary has it, inflected or not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

from syphus.translation.types import Term

_ENDING = 3  # letters at the end of a word that inflection may change
_STEM = 3  # letters that stay at least
_WORD = re.compile(r"[^\W_]+")
_ARABIC = re.compile("[\u0600-\u06ff]")
_LETTERS = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ة": "ه", "ى": "ي", "ـ": None})


def missing_terms(source: str, text: str, terms: Sequence[Term], code: str) -> Iterator[str]:
    """Terms of the source that the translation does not have as wanted."""
    folded = ""
    for term in terms:
        wanted = term.wanted.get(code)
        if wanted and _pattern(term.source).search(source):
            folded = folded or _folded(text)
            if not _has(folded, _folded(wanted)):
                yield f"{term.source} is to be {wanted}"


@lru_cache(maxsize=4096)
def _pattern(term: str) -> re.Pattern[str]:
    """The term as a word of English, in any case, in the plural too."""
    return re.compile(rf"(?<!\w){re.escape(term)}(?:'?s|es)?(?!\w)", re.IGNORECASE)


def _folded(text: str) -> str:
    """Small letters without accents and without the signs for short vowels, Arabic letters in one form."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFD", text.casefold().translate(_LETTERS))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c) or "\u3099" <= c <= "\u309a")
    return unicodedata.normalize("NFC", bare)


def _has(text: str, wanted: str) -> bool:
    if wanted in text or wanted.replace(" ", "") in text.replace(" ", ""):
        return True
    words, parts = _WORD.findall(text), _WORD.findall(wanted)
    return bool(parts) and all(_inflected(each, words) for each in parts)


def _inflected(wanted: str, words: list[str]) -> bool:
    """Whether a word stands there with another ending, or, in Arabic, with an article or a particle before it."""
    stem = wanted[: max(_STEM, len(wanted) - _ENDING)] if len(wanted) > _STEM else wanted
    if _ARABIC.search(wanted):
        bare = stem.removeprefix("ال")
        return any(bare in word for word in words)
    if wanted.isascii() or unicodedata.name(wanted[0], "").startswith("LATIN"):
        return any(word.startswith(stem) and abs(len(word) - len(wanted)) <= _ENDING for word in words)
    return any(wanted in word for word in words)
