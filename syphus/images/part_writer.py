"""Writing a store part by part: each is a Parquet file that takes its place in one piece."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from syphus.images import index
from syphus.images.parquet_store import BASE64, ID, IMAGE, INDEX, to_base64
from syphus.images.progress import ConversionState
from syphus.images.store import read_images
from syphus.io.durable import replace_file, storage_faults, sync_folder
from syphus.io.parquet import require_pyarrow

PARTIAL = ".part.partial"  #: the part that is being written
GROUP_BYTES = 2_000_000  #: of a row group: what has to be read for one image
_GROUP_ROWS = 1_000
_MARK = b"syphus"  # the key of what is noted in a file


class PartWriter:
    """The parts of a store in a folder, from number `part` on; none has more than `limit` bytes of images.

    The bytes depend on what is added, in which order, and on nothing else. `note` is kept in every file.
    """

    def __init__(self, folder: Path, layout: str, limit: int, note: str, part: int = 0) -> None:
        self._pyarrow = require_pyarrow("An image store")
        self._folder = folder
        self._limit = limit
        self._raw = layout == "datasets"
        self._schema = schema(self._pyarrow, self._raw, note)
        self._temporary = folder / PARTIAL
        self._writer: Any = None
        self.part = part
        self._start()

    @property
    def place(self) -> tuple[int, int, int]:
        """Part, row group and row of the image that is added next."""
        return self.part, self._group, len(self._ids)

    @property
    def full(self) -> bool:
        """Whether the part has to be finished."""
        return self._bytes >= self._limit

    def add(self, image_id: str, data: bytes) -> None:
        """Adds an image. Raises `StorageError` where the disk fails."""
        self._ids.append(image_id)
        self._images.append({"bytes": data, "path": None} if self._raw else to_base64(data))
        size = len(data) if self._raw else len(data) * 4 // 3
        self._group_bytes += size
        self._bytes += size
        if self._group_bytes >= GROUP_BYTES or len(self._ids) == _GROUP_ROWS or self.full:
            self._write_group()

    def finish(self) -> tuple[str, int]:
        """Puts the part in its place; returns its name and size, ("", 0) where nothing was added to it."""
        self._write_group()
        if self._writer is None:
            return "", 0
        name = f"part-{self.part:05}.parquet"
        with storage_faults(self._temporary):
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
            self._file.close()
            self._temporary.replace(self._folder / name)
            sync_folder(self._folder)
        self.part += 1
        self._start()
        return name, size

    def close(self) -> None:
        """Drops what is not finished."""
        if self._writer is not None:
            for opened in (self._writer, self._file):
                with suppress(OSError):  # a full disk, which `add` has told of
                    opened.close()
            self._writer = None
        with storage_faults(self._temporary):
            self._temporary.unlink(missing_ok=True)

    def _start(self) -> None:
        self._writer = None
        self._bytes = self._group = 0
        self._clear()

    def _clear(self) -> None:
        self._ids: list[str] = []
        self._images: list[object] = []
        self._group_bytes = 0

    def _write_group(self) -> None:
        if not self._ids:
            return
        with storage_faults(self._temporary):
            if self._writer is None:
                self._file = self._temporary.open("wb")
                self._writer = parquet_writer(self._pyarrow, self._file, self._schema)
            columns = {INDEX: self._ids, BASE64: self._images, ID: self._ids, IMAGE: self._images}
            arrays = [self._pyarrow.array(columns[each.name], each.type) for each in self._schema]
            self._writer.write_batch(self._pyarrow.record_batch(arrays, schema=self._schema))
        self._group += 1
        self._clear()


def parquet_writer(pyarrow: Any, file: object, schema: Any) -> Any:
    """A writer of one row group for each batch. Bounds are kept for ids alone: those of images would be images."""
    raw = IMAGE in schema.names
    ids = ID if raw else INDEX
    return pyarrow.parquet.ParquetWriter(
        file,
        schema,
        compression={ids: "zstd", f"{IMAGE}.bytes": "none", f"{IMAGE}.path": "none"} if raw else "zstd",
        compression_level={ids: 1} if raw else 1,
        use_dictionary=False,
        write_statistics=[ids],
    )


def schema(pyarrow: Any, raw: bool, note: str) -> Any:
    """The Arrow schema of a store, with what pandas or `datasets` look for in it."""
    text = pyarrow.string()
    if raw:
        image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", text)])
        features = {ID: {"dtype": "string", "_type": "Value"}, IMAGE: {"_type": "Image"}}
        noted = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        return pyarrow.schema([(ID, text), (IMAGE, image)], metadata={**noted, _MARK: note.encode()})
    noted = {b"pandas": json.dumps(_PANDAS).encode()}
    return pyarrow.schema([(BASE64, text), (INDEX, text)], metadata={**noted, _MARK: note.encode()})


def note_of(pyarrow: Any, path: Path) -> str:
    """What was noted in a file that this module wrote; "" in any other."""
    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
    except (pyarrow.ArrowException, OSError):
        return ""
    return str(metadata.get(_MARK, b"").decode())


def _column(name: str | None, field: str) -> dict[str, object]:
    return {"name": name, "field_name": field, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}


#: The form of https://pandas.pydata.org/docs/development/developer.html#storing-pandas-dataframe-objects-in-apache-parquet-format
_PANDAS = {
    "index_columns": [INDEX],
    "column_indexes": [{**_column(None, ""), "field_name": None, "metadata": {"encoding": "UTF-8"}}],
    "columns": [_column(BASE64, BASE64), _column(None, INDEX)],
    "creator": {"library": "pyarrow", "version": "17.0.0"},
    "pandas_version": "2.2.0",
}


# FOLDED from outputs.py:
# The last step: from the parts of a store to what was asked for.

_INDEX_PARTIAL = f".{index.FILE}.partial"
_UNFINISHED = (PARTIAL, _INDEX_PARTIAL)


def finish_folder(folder: Path, state: ConversionState) -> None:
    """Puts the index into a folder of parts."""
    temporary = folder / _INDEX_PARTIAL
    temporary.unlink(missing_ok=True)
    index.write_index(temporary, state.parts, state.places())
    temporary.replace(folder / index.FILE)


def join_parquet(parts: Sequence[Path], target: Path) -> None:
    """One Parquet file of several, row group by row group; no image is decoded."""
    pyarrow = require_pyarrow("An image store")
    schema = pyarrow.parquet.read_schema(parts[0])
    with replace_file(target) as file, parquet_writer(pyarrow, file, schema) as writer:
        for part in parts:
            _copy_groups(pyarrow, part, schema, writer)


def _copy_groups(pyarrow: Any, part: Path, schema: Any, writer: Any) -> None:
    with pyarrow.parquet.ParquetFile(part) as source:
        for number in range(source.num_row_groups):
            table = source.read_row_group(number, use_threads=False)
            writer.write_table(table.cast(schema), row_group_size=table.num_rows)


def join_json(parts: Sequence[Path], target: Path) -> None:
    """`{"SD_IMG_00058_1": "<base64>", ...}`, an image a line."""
    between = b"{"
    with replace_file(target) as file:
        for part in parts:
            for name, data in read_images(part):
                file.write(between + f'\n{json.dumps(name, ensure_ascii=False)}: "{to_base64(data)}"'.encode())
                between = b","
        file.write(b"\n}\n" if parts else b"{}\n")


def write_skipped(target: Path, state: ConversionState) -> None:
    """What was skipped, a JSON object a line; no file where it is nothing."""
    if not state.skipped:
        target.unlink(missing_ok=True)
        return
    with replace_file(target) as file:
        for entry in state.entries():
            file.write(f"{entry}\n".encode())


def is_free(target: Path) -> bool:
    """Whether nothing is there that would be written over; what a killed conversion has not finished is nothing."""
    if target.is_dir():
        return all(each.name in _UNFINISHED for each in target.iterdir())
    return not target.exists()
