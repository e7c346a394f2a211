"""Reads the pairs of an instruction file: MIMIC-IT's JSON, or a Parquet table of pairs.

A table has the columns `id`, `instruction` and `answer`, and the ids of images and of related pairs under the names of
the Hub's MIMIC-IT (`images`, `related instructions`) or of our Parquet export (`image_ids`, `rel_ins_ids`). It may be
one file or a folder of parts. Images may be in the table itself, as the Image feature of `datasets` has them. Source:
https://huggingface.co/datasets/pufanyi/MIMICIT, its features as of 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from syphus.errors import InputError
from syphus.images.parquet_store import IMAGE, has_pair_images, index_column, pair_images, store_columns
from syphus.images.store import part_paths
from syphus.io.parquet import require_pyarrow
from syphus.io.records import Record, field, read_nested_items, type_name

INSTRUCTIONS = "_instructions"  #: in the names of instruction files, between `XX` and the language

_TEXT = ("instruction", "answer")
_OTHER_NAMES = {"images": "image_ids", "related instructions": "rel_ins_ids", "related_instructions": "rel_ins_ids"}
_LANGUAGE, _ENGLISH = "language", "en"  # of the table that a translation writes: a row for each pair and language
_ROWS = 2_000  # rows in memory at once
_ROWS_WITH_PICTURES = 16


def read_entries(path: Path) -> Iterator[tuple[str, Record]]:
    """Yield (id, entry) for each pair of an instruction file, in constant memory.

    An entry of a table is as in JSON; a key whose column is missing is missing. Duplicate ids are yielded twice. Raises
    `InputError` if the file can't be read, `ConfigError` for a table without pyarrow.
    """
    if is_parquet(path):
        return _table_entries(path)
    return read_nested_items(path, "data")


def is_parquet(path: Path) -> bool:
    """Return whether a path is a Parquet file or a folder, which must be one of Parquet files."""
    return path.suffix == ".parquet" or path.is_dir()


def is_table(path: Path) -> bool:
    """Return whether a file is a Parquet table of pairs, by its columns. False for a file that can't be read."""
    pyarrow = require_pyarrow(str(path))
    try:
        return set(_TEXT) <= set(pyarrow.parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError):
        return False


def table_parts(path: Path) -> list[Path]:
    """Return the files of a table of pairs; [] if there are none."""
    try:
        return [part for part in part_paths(path) if is_table(part)]
    except InputError:
        return []


def holds_images(path: Path) -> bool:
    """Return whether the images of a table of pairs are in the table itself."""
    pyarrow = require_pyarrow(str(path))
    schemas = (pyarrow.parquet.read_schema(part) for part in table_parts(path))
    return any((found := store_columns(schema)) is not None and found.images in schema.names for schema in schemas)


def text_list(entry: Record, key: str) -> list[str]:
    """Return the texts in a list of an entry; [] if the entry or the list is malformed.

    One plain text is a list of one: early files of Otter have `"image_ids": "..."`.
    """
    values = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(values, str):
        return [values]
    return [each for each in values if type(each) is str] if type(values) is list else []


def entry_text(path: Path, name: str, entry: Record, key: str) -> str:
    """Return a text of a pair. Raises `InputError` with the position of the pair if it is missing or no text."""
    if is_parquet(path) and isinstance(entry, dict) and not isinstance(entry.get(key), str):
        raise InputError(f'{path}: {name}: "{key}" must be text, this is {type_name(entry.get(key))}')
    return field(entry, key, str)


def _table_entries(path: Path) -> Iterator[tuple[str, Record]]:
    parts = table_parts(path)
    if not parts:
        raise InputError(f"{path}: not a table of pairs: it needs the columns id, instruction and answer")
    for part in parts:
        yield from _part_entries(part)


def _part_entries(path: Path) -> Iterator[tuple[str, Record]]:
    pyarrow = require_pyarrow(str(path))
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            ids = "id" if "id" in schema.names else index_column(schema)
            if ids not in schema.names:
                raise InputError(f"{path}: no column id")
            names = {_OTHER_NAMES.get(name, name): name for name in schema.names}
            columns = {key: names[key] for key in (*_TEXT, "image_ids", "rel_ins_ids", _LANGUAGE) if key in names}
            is_own = IMAGE in schema.names and "image_ids" not in columns  # the image has the id of the pair
            rows = _ROWS_WITH_PICTURES if has_pair_images(schema) else _ROWS
            for batch in file.iter_batches(rows, columns=[ids, *columns.values()]):
                for row in batch.to_pylist():
                    entry = {key: row[name] for key, name in columns.items()}
                    if entry.pop(_LANGUAGE, _ENGLISH) == _ENGLISH:
                        yield _row_entry(path, row[ids], entry | ({"image_ids": [str(row[ids])]} if is_own else {}))
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def _row_entry(path: Path, name: object, entry: dict[str, Any]) -> tuple[str, Record]:
    if not isinstance(name, str | int):
        raise InputError(f"{path}: a pair has {name!r:.40} as its id")
    for key in ("image_ids", "rel_ins_ids"):
        if key in entry and entry[key] is None:
            entry[key] = []
    images = entry.get("image_ids")
    if isinstance(images, list) and any(isinstance(image, dict) for image in images):
        entry["image_ids"] = [image_id for image_id, _ in pair_images(name, images)]
    return str(name), entry


class ImageUse:
    """What the pairs of a dataset name as their images, and the group of Otter's loader that follows from it."""

    def __init__(self) -> None:
        self.first = ""  #: the first image that a pair names
        self._counts: set[int] = set()
        self._sets: set[tuple[str, ...]] = set()  # at most two
        self._are_frames = True

    def add(self, image_ids: Sequence[str]) -> None:
        """Note the images of one pair."""
        if not image_ids:
            return
        self.first = self.first or image_ids[0]
        self._counts.add(len(image_ids))
        if len(self._sets) < 2:
            self._sets.add(tuple(image_ids))
        self._are_frames = self._are_frames and are_frames(image_ids)

    @property
    def most(self) -> int:
        """The largest number of images of a pair."""
        return max(self._counts, default=0)

    @property
    def group(self) -> str:
        """The group: by the number of images, if that is small and the same for all pairs.

        `VIDEO_TEXT` draws 32 frames from whatever a pair has, so that of two pictures the first comes 31 times.
        `IMAGE_TEXT` takes all images as they are, and stacks the pairs of a batch: all must have the same number.
        """
        if not self._counts:
            return "TEXT_ONLY"
        if len(self._counts) > 1 or (self.most > 1 and self._are_frames) or self.most > _MOST_PICTURES:
            return "VIDEO_TEXT"
        is_one_query = self.most > _PAIR and len(self._sets) == 1  # which says nothing about the number in others
        return "VIDEO_TEXT" if is_one_query else "IMAGE_TEXT"


def image_use(path: Path) -> ImageUse:
    """Read an instruction file once, and return what its pairs name as their images. Raises as `read_entries` does."""
    use = ImageUse()
    for _, entry in read_entries(path):
        use.add(text_list(entry, "image_ids"))
    return use


def are_frames(image_ids: Sequence[str]) -> bool:
    """Return whether these ids are frames of one source: they differ in a running number at their end.

    As in `DC_IMG_v_abc_0007` or `SN_IMG_scene0000_color_000100`, it has four to eight digits and comes after the name
    of the source. `SD_IMG_00058_1` numbers two pictures; `CGD_IMG_000000328270` and `VST_IMG_1741642` have no source.
    """
    sources, numbers = set(), []
    for image_id in image_ids:
        name = image_id.partition("_IMG_")[2] or image_id
        source, separator, number = name.rpartition("_")
        if not (separator and number.isascii() and number.isdigit() and 4 <= len(number) <= 8):
            return False
        sources.add(source)
        numbers.append(int(number))
    return len(sources) == 1 and max(numbers) - min(numbers) <= _FRAME_STEP * max(1, len(numbers) - 1)


_PAIR, _MOST_PICTURES = 2, 8  # pictures of a pair, in a dataset that is not of videos
_FRAME_STEP = 1_000  # ScanNet's frames have every hundredth number
