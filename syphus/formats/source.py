"""What a format gets to write: the accepted pairs of a run or of one split, their images, and their train file.

Splits an export into parts, such as training and validation, so that no image is in two of them.

Queries that share an image, directly or through others, or show frames of one video, form a group. A hash decides about
the group: of the first image that its first query names, or of the query's id if it has no images. So a query keeps its
split when others are added, in whatever order the model answers, and in each format and translation. Only a new query
that shows images of two groups can move one of them: the later group joins the earlier one.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

from syphus.errors import ConfigError
from syphus.formats.export_images import ExportImages
from syphus.formats.mimicit.entries import are_frames
from syphus.formats.train import TrainFile
from syphus.io.durable import temporary_database
from syphus.ledger.results import QueryResult
from syphus.ledger.serialization import StoredPair

IMAGE_MARK, VIDEO_MARK = "<image>", "<video>"
# Tokens that stand for media: `<image>` and its kind in texts of LLaVA's form, `<bbox>` and `<ref-object>` of ms-swift,
# those of InternVL, and `<|image_pad|>` and its kind, which tokenizers of Qwen, Llama and Phi read as one token.
_OTHER_MARKS = re.compile(r"<(video|audio|bbox|ref-object|IMG_CONTEXT|/?img)>|<(\|[a-z_0-9]+\|)>")
_AT_AN_END = re.compile(r"\A(?:\s*<(?:video|audio)>)+\s*|(?:\s*<(?:video|audio)>)+\s*\Z")


class ExportSource(NamedTuple):
    """A run to export, or one split of it. `name` is the plugin's `short_name`, the prefix of all file names.

    `results()` yields the accepted pairs, query by query, in input order, and can be called again. `max_images()` is
    the largest number of images of a pair. `meta` is the header of a MIMIC-IT file, `train()` its train file. A
    translation is written after the English pairs, into the same folder, with the same images.
    """

    name: str
    results: Callable[[], Iterator[QueryResult]]
    max_images: Callable[[], int]
    meta: dict[str, object]
    train: Callable[[], TrainFile]
    images: ExportImages | None = None  #: None: the files name images by their ids
    split: str = ""  #: "" if there is only one
    system: str = ""  #: the system turn of each conversation
    names_images: bool = True  #: whether forms of text alone name the images
    language: str = ""  #: the code of a translation; "" for English
    reviewed: bool = False  #: whether each pair says if a reviewer wrote its text, where the format has a place for it

    def edited(self, result: QueryResult, pairs: Sequence[StoredPair] | None = None) -> dict[str, bool]:
        """Return the field that says whether a reviewer wrote any of these pairs of a query; {} if none is wanted."""
        if not self.reviewed:
            return {}
        marks = result.edit_marks()
        return {"edited": any(marks[pair.id] for pair in pairs or result.pairs)}

    def file_name(self, kind: str, suffix: str) -> str:
        """Return the name of a file of the kind `llava`: `SD_llava.json`, `SD_llava_de.json`, `SD_llava_de_train.json`.

        The last two are of a translation, and of a split of it.
        """
        return "_".join(filter(None, (self.name, kind, self.language, self.split))) + suffix

    def placeholders(self, image_ids: Sequence[str]) -> str:
        """Return one line for each image, as `[image: SD_IMG_00058_1]`, for forms of text alone."""
        return "\n".join(f"[image: {image}]" for image in image_ids) if self.names_images else ""


class Translations(Protocol):
    """The translations of a run, as `syphus.translation` reads them for an export."""

    @property
    def codes(self) -> Sequence[str]:
        """The languages to export."""

    def has(self, code: str, pair_id: str) -> bool:
        """Return whether a pair is exported in a language."""

    def translate(self, code: str, result: QueryResult) -> QueryResult | None:
        """Return the pairs of a query in a language, without those that it lacks; None if it lacks all."""

    def missing(self) -> Mapping[str, int]:
        """Return the number of English pairs that each language lacks."""

    def models(self, code: str) -> Sequence[str]:
        """Return the models that translated into a language, as the server names them."""

    def close(self) -> None:
        """Delete temporary files."""


def turns(pairs: Sequence[StoredPair]) -> Iterator[tuple[str, str]]:
    """Yield question and answer of each pair of a conversation, without tokens that stand for media."""
    return ((strip_marks(pair.instruction), strip_marks(pair.answer)) for pair in pairs)


def strip_marks(text: str) -> str:
    """Remove the tokens of images, videos and audio from a text: trainers would look for one more file, and stop.

    Within a sentence, `<video>` is a word, such as the name of HTML's element; it becomes `<video >`.
    """
    if "<" not in text:
        return text
    while IMAGE_MARK in text:  # "<im<image>age>" nests one in another
        text = text.replace(IMAGE_MARK, "")
    return _OTHER_MARKS.sub(r"<\1\2 >", _AT_AN_END.sub("", text))


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_TOLERANCE = 1e-6
_CACHE = 16_000  # KiB
_HASHES = 1 << 64


class DataSplit(NamedTuple):
    """A part of the data, and its share from 0 to 1."""

    name: str
    share: float


def parse_splits(text: str) -> tuple[DataSplit, ...]:
    """Read `train=0.98,validation=0.02`; () for "". Raises `ConfigError`."""
    splits = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, share = (each.strip() for each in part.partition("="))
        try:
            splits.append(DataSplit(name, float(share)))
        except ValueError:
            raise _bad(text, f"{part!r} is not NAME=SHARE") from None
        if not _NAME.fullmatch(name):
            raise _bad(text, f"the name {name!r} must be letters and digits")
    names = [split.name for split in splits]
    if len(set(names)) < len(names):
        raise _bad(text, "a name is there twice")
    if any(not 0 < split.share <= 1 for split in splits):
        raise _bad(text, "each share must be above 0, up to 1")
    total = sum(split.share for split in splits)
    if splits and abs(total - 1) > _TOLERANCE:
        raise _bad(text, f"the shares make {total:g}, not 1")
    return tuple(splits)


def _bad(text: str, problem: str) -> ConfigError:
    return ConfigError(f"--split {text}: {problem}. Such as: --split train=0.98,validation=0.02")


class SplitPlan:
    """Which split each query belongs to. `add` all queries in input order, with all their images; then ask."""

    def __init__(self, splits: Sequence[DataSplit]) -> None:
        self._splits = splits
        self._group_of = array("Q")  # of each query, by its position
        self._joined = array("Q")  # of each group, the earlier one that it has joined, or itself
        self._hash = array("Q")  # of each group
        self._db = temporary_database(_CACHE)
        self._db.execute("CREATE TABLE image (id TEXT PRIMARY KEY, grp INTEGER) WITHOUT ROWID")
        self._pairs = False

    def add(self, query: str, image_ids: Sequence[str]) -> None:
        """Add the next query."""
        images = list(dict.fromkeys(image_ids))
        if len(images) > 1 and are_frames(images):
            images.append(f"{images[0].rpartition('_')[0]}\0frames")
        find = "SELECT grp FROM image WHERE id = ?"
        found = {self._root(row[0]) for image in images if (row := self._db.execute(find, (image,)).fetchone())}
        group = min(found, default=len(self._joined))
        if not found:
            self._joined.append(group)
            self._hash.append(_hash_of(images[0] if images else query))
        for other in found - {group}:
            self._joined[other] = group
        self._group_of.append(group)
        self._db.executemany("INSERT OR IGNORE INTO image VALUES (?, ?)", ((image, group) for image in images))

    def split_of(self, position: int) -> str:
        """Return the name of the split of a query, by its position from 0."""
        place = self._hash[self._root(self._group_of[position])] / _HASHES
        for name, share in self._splits:
            place -= share
            if place < 0:
                return name
        return self._splits[-1].name

    def note_pairs(self, position: int, pair_ids: Iterable[str]) -> None:
        """Note the pairs of a query, for `is_in`. Only pairs related across queries need it."""
        if not self._pairs:
            self._db.execute("CREATE TABLE pair (id TEXT PRIMARY KEY, position INTEGER) WITHOUT ROWID")
            self._pairs = True
        rows = ((pair_id, position) for pair_id in pair_ids)
        self._db.executemany("INSERT OR IGNORE INTO pair VALUES (?, ?)", rows)

    def is_in(self, split: str, pair_id: str) -> bool:
        """Return whether a noted pair is in a split."""
        row = self._db.execute("SELECT position FROM pair WHERE id = ?", (pair_id,)).fetchone()
        return row is not None and self.split_of(row[0]) == split

    def close(self) -> None:
        """Delete the temporary list of images."""
        self._db.close()

    def _root(self, group: int) -> int:
        while self._joined[group] != group:
            self._joined[group] = self._joined[self._joined[group]]
            group = self._joined[group]
        return group


def _hash_of(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
