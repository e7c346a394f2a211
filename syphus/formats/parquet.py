"""Two Parquet formats. `parquet` has one row per pair, in a fixed schema, whatever the rows hold:

    id, instruction, answer   string
    image_ids, rel_ins_ids    list<string>
    query_id, model           string; the model as the server names it, "" if the pair comes from the source itself
    simulated                 bool; whether the simulated endpoint made the answer up
    edited                    with `--reviewed` only: bool; whether a reviewer wrote the texts
    images                    with image files only: list<Image>, embedded

The column of the query's id was called `query` before; trainers such as ms-swift take a column of that name for the
prompt, and drop the instruction.

`trl` has one row per conversation, in files such as `data/train-00000-of-00001.parquet`, as the Hub's viewer shows it
and TRL trains on it; a translation is in `data/de/`:

    id, query_id    string; the id of the first pair
    messages        list<role, content>; the text alone
    edited          with `--reviewed` only: bool; whether a reviewer wrote any of the texts
    images          list<Image>, embedded, in the order in which to show them before the first question

Source: "Dataset formats" in TRL's documentation, and `prepare_multimodal_messages` in its `data_utils.py`, which puts
the images before the first user turn.

Needs pyarrow, which comes with `pip install syphus[parquet]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from syphus.formats.export_images import image_suffix
from syphus.formats.mimicit.ids import check_unique
from syphus.formats.source import ExportSource, turns
from syphus.io.durable import storage_faults
from syphus.io.media import safe_stem
from syphus.io.parquet import Arrow, require_pyarrow, write_rows
from syphus.ledger.results import QueryResult, conversations
from syphus.model_names import is_simulated

_COLUMNS = ("id", "instruction", "answer", "image_ids", "rel_ins_ids", "query_id", "model", "simulated")
_IMAGES, _EDITED = "images", "edited"
_GROUP_BYTES, _GROUP_ROWS = 2_000_000, 1_000  # of images and rows in a group: the Hub's viewer reads whole groups
_FILE_BYTES = 500_000_000  # of a file; `datasets` writes files of this size


def write_parquet(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `XX.parquet`; return its name.

    Raises `ConfigError` without pyarrow, `RunError` if two pairs have the same id, `StorageError` if the disk fails.
    """
    pyarrow = require_pyarrow("Parquet")
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    types = (text, text, text, texts, texts, text, text, pyarrow.bool_())
    columns = dict(zip(_COLUMNS, types, strict=True)) | ({_EDITED: pyarrow.bool_()} if source.reviewed else {})
    name = source.file_name("", ".parquet")
    if not source.images:
        write_rows(folder / name, columns, _pair_rows(source))
        return (name,)
    rows = (dict(zip(columns, row, strict=True)) | {_IMAGES: images} for row, images in _pairs_with_images(source))
    return tuple(_write_with_images(folder, source.file_name("", ""), columns, rows))


def write_trl(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `data/train-00000-of-00001.parquet`, and more of them if there are many images; return their names.

    Raises as `write_parquet` does.
    """
    pyarrow = require_pyarrow("Parquet")
    text = pyarrow.string()
    messages = pyarrow.list_(pyarrow.struct([("role", text), ("content", text)]))
    columns = {"id": text, "query_id": text, "messages": messages}
    columns |= {_EDITED: pyarrow.bool_()} if source.reviewed else {}
    data = PurePosixPath("data", source.language)
    with storage_faults(folder):
        (folder / data).mkdir(parents=True, exist_ok=True)
    return tuple(_write_with_images(folder, str(data / (source.split or "train")), columns, _conversation_rows(source)))


def _pair_rows(source: ExportSource) -> Iterator[tuple[object, ...]]:
    for result in check_unique(source.results()):
        yield from _rows_of(source, result)


def _rows_of(source: ExportSource, result: QueryResult) -> Iterator[tuple[object, ...]]:
    models = result.translators or [result.model] * len(result.pairs)
    for pair, context, model in zip(result.pairs, result.contexts(), models, strict=True):
        yield (
            *(pair.id, pair.instruction, pair.answer, result.image_ids, context),
            *(result.query, model, is_simulated(model)),
            *source.edited(result, [pair]).values(),
        )


def _pairs_with_images(source: ExportSource) -> Iterator[tuple[tuple[object, ...], list[dict[str, object]]]]:
    for result in check_unique(source.results()):
        images = _images(source, result)
        for row in _rows_of(source, result):
            yield row, images


def _conversation_rows(source: ExportSource) -> Iterator[dict[str, object]]:
    system = [{"role": "system", "content": source.system}] if source.system else []
    for result in check_unique(source.results()):
        images = _images(source, result)
        for pairs in conversations(result.pairs):
            messages = list(system)
            for question, answer in turns(pairs):
                messages.append({"role": "user", "content": question})
                messages.append({"role": "assistant", "content": answer})
            row: dict[str, object] = {
                "id": pairs[0].id,
                "query_id": result.query,
                "messages": messages,
                _IMAGES: images,
            }
            yield row | source.edited(result, pairs)


def _images(source: ExportSource, result: QueryResult) -> list[dict[str, object]]:
    """Return the images of a query as values of the Image feature; [] for texts alone."""
    if not source.images:
        return []
    found = ((image_id, source.images.read(image_id)) for image_id in result.image_ids)
    return [{"bytes": data, "path": safe_stem(image_id) + image_suffix(data)} for image_id, data in found]


def _write_with_images(
    folder: Path, stem: str, columns: Mapping[str, Arrow], rows: Iterable[dict[str, object]]
) -> list[str]:
    """Write rows with embedded images to files of half a GB; return their names, `STEM-00000-of-00002.parquet`."""
    pyarrow = require_pyarrow("Parquet")
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema([*columns.items(), (_IMAGES, pyarrow.list_(image))], metadata=_features(columns))
    files = _Files(pyarrow, folder / f"{stem}.partial", schema)
    try:
        for row in rows:
            files.add(row)
        files.finish()
    finally:
        files.close()
    names = []
    with storage_faults(folder):
        for number, path in enumerate(files.paths):
            names.append(f"{stem}-{number:05}-of-{len(files.paths):05}.parquet")
            path.replace(folder / names[-1])
    return names


def _features(columns: Mapping[str, Arrow]) -> dict[bytes, bytes]:
    """Return the metadata by which `datasets` knows the images: its features, in a form that all versions read."""
    features: dict[str, object] = {name: _feature(kind) for name, kind in columns.items()}
    features[_IMAGES] = [{"_type": "Image"}]
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def _feature(kind: Arrow) -> object:
    if hasattr(kind, "value_type"):
        return [_feature(kind.value_type)]
    if kind.num_fields:
        return {kind.field(number).name: _feature(kind.field(number).type) for number in range(kind.num_fields)}
    return {"dtype": str(kind), "_type": "Value"}


def _leaves(schema: Arrow) -> Iterator[str]:
    """Yield the columns of a file as Parquet calls them, as `images.list.element.bytes`."""
    for field in schema:
        yield from _leaves_of(field.name, field.type)


def _leaves_of(path: str, kind: Arrow) -> Iterator[str]:
    if hasattr(kind, "value_type"):
        yield from _leaves_of(f"{path}.list.element", kind.value_type)
    elif kind.num_fields:
        for number in range(kind.num_fields):
            yield from _leaves_of(f"{path}.{kind.field(number).name}", kind.field(number).type)
    else:
        yield path


class _Files:
    """Parquet files that are written one after another, in groups of rows of a few MB."""

    def __init__(self, pyarrow: Arrow, path: Path, schema: Arrow) -> None:
        self._pyarrow = pyarrow
        self._path = path
        self._schema = schema
        self._rows: list[dict[str, object]] = []
        self._group_bytes = self._file_bytes = 0
        self._writer: Arrow = None
        self.paths: list[Path] = []

    def add(self, row: dict[str, object]) -> None:
        """Add a row."""
        images = row[_IMAGES]
        assert isinstance(images, list)
        self._rows.append(row)
        self._group_bytes += sum(len(image["bytes"]) for image in images)
        if self._group_bytes >= _GROUP_BYTES or len(self._rows) == _GROUP_ROWS:
            self._write_group()

    def finish(self) -> None:
        """Write the rest. Without rows, there is a file without rows."""
        if self._rows or not self.paths:
            self._write_group()
        self.close()

    def close(self) -> None:
        """Close the present file."""
        if self._writer is not None:
            with storage_faults(self._path):
                self._writer.close()
            self._writer = None

    def _write_group(self) -> None:
        table = self._pyarrow.Table.from_pylist(self._rows, self._schema)
        with storage_faults(self._path):
            if self._writer is None:
                self.paths.append(self._path.with_name(f"{self._path.name}{len(self.paths)}"))
                self._writer = self._open()
            self._writer.write_table(table, row_group_size=max(1, len(self._rows)))
        self._file_bytes += self._group_bytes
        self._rows, self._group_bytes = [], 0
        if self._file_bytes >= _FILE_BYTES:
            self.close()
            self._file_bytes = 0

    def _open(self) -> Arrow:
        """Open a file. Images are compressed already; statistics of them would be images."""
        compression = {f"{_IMAGES}.list.element.bytes": "none"}
        texts = [name for name in _leaves(self._schema) if name not in compression]
        return self._pyarrow.parquet.ParquetWriter(
            self.paths[-1],
            self._schema,
            compression=compression | dict.fromkeys(texts, "zstd"),
            use_dictionary=False,
            write_statistics=["id"],
        )
