"""Write the Parquet parts of a store, and turn them into the output: a folder, one Parquet file, or one JSON file.

A part appears under its name only when it is complete and synced.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from syphus.errors import ImageError
from syphus.images import index
from syphus.images.convert_state import ConversionState
from syphus.images.parquet_store import BASE64, ID, IMAGE, INDEX, to_base64
from syphus.images.store import read_images
from syphus.io.durable import replace_file, storage_faults, sync_folder
from syphus.io.parquet import Arrow, require_pyarrow

PARTIAL = ".part.partial"  #: the part that is being written
GROUP_BYTES = 2_000_000  #: of a row group, all of which is read for one image
_GROUP_ROWS = 1_000
_NOTE_KEY = b"syphus"  # of the note in a file's metadata
_INDEX_PARTIAL = f".{index.FILE}.partial"
_UNFINISHED = (PARTIAL, _INDEX_PARTIAL)


class PartWriter:
    """Writes the parts of a store into a folder, from number `part` on; a part is full at `limit` bytes of images.

    The bytes depend on what is added, in which order, and on nothing else. Every file holds the `note`.
    """

    def __init__(self, folder: Path, layout: str, limit: int, note: str, part: int = 0) -> None:
        self._pyarrow = require_pyarrow("An image store")
        self._folder = folder
        self._limit = limit
        self._raw = layout == "datasets"
        self._schema = schema(self._pyarrow, self._raw, note)
        self._temporary = folder / PARTIAL
        self._writer: Arrow = None
        self.part = part
        self._start()

    @property
    def next_location(self) -> tuple[int, int, int]:
        """Part, row group and row of the next image."""
        return self.part, self._group, len(self._ids)

    @property
    def is_full(self) -> bool:
        """Whether the part must be finished."""
        return self._bytes >= self._limit

    def add(self, image_id: str, data: bytes) -> None:
        """Add an image. Raises `StorageError` if the disk fails."""
        self._ids.append(image_id)
        self._images.append({"bytes": data, "path": None} if self._raw else to_base64(data))
        size = len(data) if self._raw else len(data) * 4 // 3
        self._group_bytes += size
        self._bytes += size
        if self._group_bytes >= GROUP_BYTES or len(self._ids) == _GROUP_ROWS or self.is_full:
            self._write_group()

    def finish(self) -> tuple[str, int]:
        """Finish the part, and return its name and size in bytes; ("", 0) if nothing was added to it."""
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
        """Delete the unfinished part."""
        if self._writer is not None:
            for file in (self._writer, self._file):
                with suppress(OSError):  # of a full disk, which `add` has already raised
                    file.close()
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


def parquet_writer(pyarrow: Arrow, file: object, schema: Arrow) -> Arrow:
    """Return a writer of one row group per batch. Only ids get statistics: the bounds of images would be images."""
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


def schema(pyarrow: Arrow, raw: bool, note: str) -> Arrow:
    """Return the Arrow schema of a store, with the metadata that pandas or `datasets` look for."""
    text = pyarrow.string()
    if raw:
        image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", text)])
        features = {ID: {"dtype": "string", "_type": "Value"}, IMAGE: {"_type": "Image"}}
        metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        return pyarrow.schema([(ID, text), (IMAGE, image)], metadata={**metadata, _NOTE_KEY: note.encode()})
    metadata = {b"pandas": json.dumps(_PANDAS).encode()}
    return pyarrow.schema([(BASE64, text), (INDEX, text)], metadata={**metadata, _NOTE_KEY: note.encode()})


def read_note(pyarrow: Arrow, path: Path) -> str:
    """Return the note in a file that this module wrote; "" for any other file."""
    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
    except (pyarrow.ArrowException, OSError):
        return ""
    return str(metadata.get(_NOTE_KEY, b"").decode())


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


def finish_folder(folder: Path, state: ConversionState) -> None:
    """Write the index of a folder of parts."""
    temporary = folder / _INDEX_PARTIAL
    with storage_faults(folder / index.FILE):
        temporary.unlink(missing_ok=True)
        index.write_index(temporary, state.parts, state.locations())
        temporary.replace(folder / index.FILE)


def join_parquet(parts: Sequence[Path], target: Path) -> None:
    """Join the parts into one Parquet file, row group by row group, without decoding an image."""
    pyarrow = require_pyarrow("An image store")
    schema = pyarrow.parquet.read_schema(parts[0])
    with replace_file(target) as file, parquet_writer(pyarrow, file, schema) as writer:
        for part in parts:
            _copy_groups(pyarrow, part, schema, writer)


def _copy_groups(pyarrow: Arrow, part: Path, schema: Arrow, writer: Arrow) -> None:
    with pyarrow.parquet.ParquetFile(part) as source:
        for number in range(source.num_row_groups):
            table = source.read_row_group(number, use_threads=False)
            writer.write_table(table.cast(schema), row_group_size=table.num_rows)


def join_json(parts: Sequence[Path], target: Path) -> None:
    """Join the parts into one JSON file, `{"SD_IMG_00058_1": "<base64>", ...}`, one image per line."""
    separator = b"{"
    with replace_file(target) as file:
        for part in parts:
            for image_id, data in read_images(part):
                if isinstance(data, ImageError):
                    raise data
                file.write(separator + f'\n{json.dumps(image_id, ensure_ascii=False)}: "{to_base64(data)}"'.encode())
                separator = b","
        file.write(b"\n}\n" if parts else b"{}\n")


def write_skipped(target: Path, state: ConversionState) -> None:
    """Write the skipped images, one JSON object per line; remove the file if there are none."""
    if not state.skipped:
        target.unlink(missing_ok=True)
        return
    with replace_file(target) as file:
        for entry in state.skipped_entries():
            file.write(f"{entry}\n".encode())


def is_free(target: Path) -> bool:
    """Return whether there is nothing to overwrite. Unfinished files of a killed conversion do not count."""
    if target.is_dir():
        return all(path.name in _UNFINISHED for path in target.iterdir())
    return not target.exists()
