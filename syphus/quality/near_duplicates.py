"""Texts that repeat each other over a whole dataset, found by MinHash in bounded memory.

A text is the set of its words and its pairs of words, without case, marks and markup, and with contractions written
out: so "**It isn't** there." repeats "it is not there". Two texts are near-duplicates if their sets overlap (Jaccard)
by the threshold or more. MinHash (Broder, 1997) estimates the overlap from a signature; texts whose signatures agree in
one of 16 bands of 4 values are compared (locality-sensitive hashing: Leskovec, Rajaraman and Ullman, chapter 3). At an
overlap of 0.7 that finds 98.8% of the pairs, at 0.8 99.98%.

The signatures are of 64 values of 16 bits (b-bit minwise hashing, Li and König, 2010): with the bands a text takes 256
bytes, however long it is. Needs rensa and numpy, which come with `pip install syphus[quality]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any

from syphus.errors import ConfigError
from syphus.text import install_hint

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]  # Any: of any shape and type

VALUES, BANDS = 64, 16
THRESHOLD = 0.7  #: of the overlap, unless the user says otherwise
_BLOCK = 2_000  # texts whose signatures are packed at once
_COMPARED = 10_000  # pairs of texts at once
_CHANCE = 1 / 2**16  # that two different values have the same 16 bits
_CONTRACTIONS = (
    (re.compile(r"\bcan['\u2019]t\b"), "can not"),
    (re.compile(r"\bwon['\u2019]t\b"), "will not"),
    (re.compile(r"n['\u2019]t\b"), " not"),
    (re.compile(r"['\u2019]re\b"), " are"),
    (re.compile(r"['\u2019]ll\b"), " will"),
    (re.compile(r"['\u2019]ve\b"), " have"),
    (re.compile(r"\b(it|he|she|that|there|what|who|where)['\u2019]s\b"), r"\1 is"),
)
_WORD = re.compile(r"[^\W_]+")


def require_rensa() -> ModuleType:
    """Return the module that computes MinHash signatures. Raises `ConfigError` if it or numpy is not installed."""
    try:
        import numpy  # noqa: F401 - only whether it is installed
        import rensa
    except ImportError as error:
        what = f"near-duplicates are found with {error.name}, which is not installed"
        raise ConfigError(f"{what}: {install_hint('quality')}") from error
    module: ModuleType = rensa
    return module


def words_of(text: str) -> list[str]:
    """Return the normalized words of a text: no case, marks or markup, and contractions written out."""
    lowered = text.casefold()
    if "'" in lowered or "\u2019" in lowered:
        for pattern, written in _CONTRACTIONS:
            lowered = pattern.sub(written, lowered)
    return _WORD.findall(lowered)


class NearDuplicates:
    """Finds the texts that repeat an earlier one. Add all texts, then ask for the repeats.

    Raises `ConfigError` if a package is missing.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._rensa = require_rensa()
        import numpy as np

        self._np = np
        self._threshold = threshold
        self._block: list[list[int]] = []
        self._signatures = bytearray()  # 16 bits a value; it grows in place, which an array would not
        self._bands = [bytearray() for _ in range(BANDS)]  # 64 bits a text
        self.count = 0

    def add(self, text: str) -> None:
        """Add a text; its number is that of the texts before it."""
        words = words_of(text)
        signature = self._rensa.RMinHash(num_perm=VALUES, seed=1)
        signature.update([*words, *map(" ".join, pairwise(words))] or [f"\0{self.count}"])
        self._block.append(signature.digest())
        self.count += 1
        if len(self._block) == _BLOCK:
            self._pack()

    def repeats(self) -> dict[int, int]:
        """Return the number of the first text of its kind for each text that repeats one, by numbers."""
        self._pack()
        np = self._np
        if not self.count:
            return {}
        signatures = np.frombuffer(self._signatures, dtype=np.uint16).reshape(-1, VALUES)
        first = np.arange(self.count, dtype=np.uint32)
        for band in self._bands:
            for older, newer in self._collisions(np.frombuffer(band, dtype=np.uint64)):
                for start in range(0, len(older), _COMPARED):
                    some, others = older[start : start + _COMPARED], newer[start : start + _COMPARED]
                    agreeing = (signatures[some] == signatures[others]).mean(axis=1)
                    alike = (agreeing - _CHANCE) / (1 - _CHANCE) >= self._threshold
                    _join(first, some[alike], others[alike])
        roots = _roots(np, first)
        return {int(n): int(roots[n]) for n in np.flatnonzero(roots != np.arange(self.count))}

    def _pack(self) -> None:
        """Turn the signatures of a block into arrays."""
        if not self._block:
            return
        np = self._np
        values = np.array(self._block, dtype=np.uint64)
        self._block.clear()
        self._signatures += values.astype(np.uint16).tobytes()
        mixed = np.zeros((len(values), BANDS), dtype=np.uint64)
        for column in range(VALUES // BANDS):  # FNV-1a over the values of a band
            mixed = (mixed ^ values[:, column :: VALUES // BANDS]) * np.uint64(0x100000001B3)
        for band, keys in zip(self._bands, mixed.T, strict=True):
            band += keys.tobytes()

    def _collisions(self, keys: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the pairs of texts that share a key: each text with the one before it, and with the first one."""
        np = self._np
        order = np.argsort(keys, kind="stable").astype(np.uint32)
        ordered = keys[order]
        same = ordered[1:] == ordered[:-1]
        yield order[:-1][same], order[1:][same]
        starts = np.flatnonzero(np.concatenate([[True], ~same]))
        heads = order[starts][np.cumsum(np.concatenate([[True], ~same])) - 1]
        further = heads != order
        yield heads[further], order[further]


def _join(first: Array, older: Array, newer: Array) -> None:
    """Join the groups of two texts that are alike; the smaller number stands for both."""
    for one, other in zip(older.tolist(), newer.tolist(), strict=True):
        a, b = _root(first, one), _root(first, other)
        if a != b:
            first[max(a, b)] = min(a, b)


def _root(first: Array, number: int) -> int:
    while (above := int(first[number])) != number:
        first[number] = first[above]
        number = above
    return number


def _roots(np: ModuleType, first: Array) -> Array:
    while True:
        above = first[first]
        if np.array_equal(above, first):
            return first
        first = above


class Overlaps:
    """Finds pairs that share words with other texts, such as the questions of a benchmark.

    That is a run of eight words (the papers of GPT-2 and Llama 2 test for contamination by runs of 8 to 13), or a whole
    instruction that is the same as a shorter text. Each run takes about 100 bytes in memory.
    """

    RUN = 8

    def __init__(self, texts: Iterable[str]) -> None:
        self._known = {key for text in texts for key in self._keys(words_of(text))}

    def holds(self, instruction: str, answer: str) -> bool:
        """Return whether a pair shares words with the texts."""
        known, question = self._known, words_of(instruction)
        return any(key in known for words in (question, words_of(answer)) for key in self._runs(words)) or (
            len(question) < self.RUN and hash(tuple(question)) in known
        )

    def _keys(self, words: list[str]) -> Iterator[int]:
        if len(words) < self.RUN:
            yield hash(tuple(words))
        else:
            yield from self._runs(words)

    def _runs(self, words: list[str]) -> Iterator[int]:
        for start in range(len(words) - self.RUN + 1):
            yield hash(tuple(words[start : start + self.RUN]))
