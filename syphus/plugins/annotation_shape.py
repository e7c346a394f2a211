"""Looks at a file of annotations of any shape: how to read it, which columns it has, and what each of them holds."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from syphus.errors import InputError
from syphus.io.csv_tables import detect_form, read_csv, sample_rows
from syphus.io.json_stream import JsonReader
from syphus.io.record_reader import Record
from syphus.io.records import annotation_file, missing_file, read_json, read_json_items, read_jsonl
from syphus.io.tables import read_parquet
from syphus.io.text_files import BadRecords, bad_records, local_file, open_file
from syphus.text import split_words

Path_: TypeAlias = tuple[str | int, ...]  # the keys that lead to a value; LIST stands for each element of a list

LIST = "[]"
LOOKED_AT = 20_000  #: rows
_LISTED = 1_000_000  # elements of all lists of an object; the rest is not looked at
_PEEK = 1 << 20  # bytes
_FILE = re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|ppm|mp4|avi|webm|mkv|mov)(?:\?.*|#\d+)?\Z", re.IGNORECASE)
_URL = re.compile(r"(?:https?|s3|gs)://\S+\Z")
_FEW_KEYS = 20  # an object of more lists is one of rows
_ODD = 0.05  # share of rows up to which a column is what it is in all the others


@dataclass
class Column:
    """The values of one column in the rows that were looked at: for each row a list, of one value without LIST.

    What is known of the values is computed once: don't use it before all cells are there.
    """

    path: Path_
    cells: list[list[object]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How people call it: `image.file_name`, `sentences[].raw`; "" for a row that is a value itself."""
        return "".join(f".{key}" if key != LIST else LIST for key in self.path).removeprefix(".")

    @cached_property
    def values(self) -> list[object]:
        """All values that are not null."""
        return [value for cell in self.cells for value in cell if value is not None]

    @property
    def is_single(self) -> bool:
        """Whether each row has at most one value."""
        return LIST not in self.path

    @cached_property
    def texts(self) -> list[str]:
        """The values that are text, if nearly all are; otherwise []."""
        texts = [each for each in self.values if isinstance(each, str)]
        return texts if len(self.values) - len(texts) <= _ODD * len(self.values) else []

    @cached_property
    def words(self) -> float:
        """The mean number of words, 0 if it holds anything but text, or numbers, names of files and URLs."""
        texts = self.texts
        if not texts or self.is_file or sum(map(_is_no_sentence, texts)) > len(texts) / 2:
            return 0.0
        return sum(min(60, len(split_words(text))) for text in texts[:2000]) / len(texts[:2000])

    @cached_property
    def is_file(self) -> bool:
        """Whether most values are names or URLs of images or videos."""
        texts = self.texts
        return bool(texts) and sum(bool(_FILE.search(text)) for text in texts) > len(texts) / 2

    @property
    def has_numbers(self) -> bool:
        """Whether it has numbered files: `1.jpg#0` and `1.jpg#1` are captions of one image."""
        return self.is_file and all("#" in text for text in self.texts)

    def plain_key(self, value: str) -> str:
        """Return a value as a key: of a numbered file, its name."""
        return value.partition("#")[0] if self.has_numbers else value

    @cached_property
    def is_key(self) -> bool:
        """Whether nearly each row has one value that can identify something: a whole number, or text of one line."""
        return self.is_single and len(self.cells) - len(self.keys) <= _ODD * len(self.cells)

    @cached_property
    def keys(self) -> list[object]:
        """The values that can identify something."""
        return [value for value in self.values if _is_key(value)]

    @cached_property
    def distinct(self) -> int:
        """The number of different values that can identify something."""
        return len({str(value) for value in self.keys})


def _is_no_sentence(text: str) -> bool:
    return bool(_URL.match(text)) or text.replace(".", "", 1).isdigit()


def _is_key(value: object) -> bool:
    if isinstance(value, str):
        return len(value.strip()) > 0 and len(value) <= 200 and value.isprintable()
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(slots=True)
class Shape:
    """How a file is read: `code` is what the plugin iterates over, and yields `key, row` if `keyed`.

    `files` is the key of another list in the file, whose objects have an `id` and, under the second name, a file; the
    rows refer to it under the third. `kind` says what the file is, in words.
    """

    kind: str
    code: str
    columns: list[Column]
    rows: int
    keyed: bool = False
    keys: Column | None = None  #: the keys of the rows, if they identify them
    files: tuple[str, str, str] | None = None
    problems: tuple[str, ...] = ()  #: of records that can't be read, and are left out

    @property
    def note(self) -> str:
        """What is to be said about the records that can't be read; "" if there are none."""
        if not self.problems:
            return ""
        if len(self.problems) == 1:
            return f"1 record can't be read: {self.problems[0]}; --allow-bad-rows counts it as failed"
        count = f"{len(self.problems):,} records can't be read"
        return f"{count}, the first: {self.problems[0]}; --allow-bad-rows counts them as failed"


def look_at(path: str) -> Shape:
    """Return how to read a file of annotations. Records that can't be read are left out. Raises `InputError`."""
    bad = BadRecords()
    before = bad_records.set(bad)
    try:
        return replace(_look_at(path), problems=tuple(bad.problems))
    finally:
        bad_records.reset(before)


def _look_at(path: str) -> Shape:
    """Return the shape of the annotations at `path`. Raises `InputError` if nothing can be read from it."""
    source = Path(local_file(path))
    if not path or not source.exists():
        raise missing_file(path)
    if source.is_dir():
        if not any(source.rglob("*.parquet")):
            raise InputError(f"{path} is a folder without Parquet files; name the file with the annotations")
        return _table("a folder of Parquet files", "read_parquet(path, {columns})", read_parquet(path))
    with open_file(source) as file:
        start = file.read(_PEEK)
    if start.startswith(b"PAR1"):
        return _table("a Parquet file", "read_parquet(path, {columns})", read_parquet(path))
    with closing(annotation_file(path)) as text:
        beginning = text.read(_PEEK).lstrip()
    if beginning[:1] in ("[", "{"):
        return _look_at_json(path, beginning)
    return _look_at_csv(path, start)


def _table(kind: str, code: str, rows: Iterable[Record]) -> Shape:
    found = list(islice(rows, LOOKED_AT))
    return Shape(kind, code, columns_of(found), len(found))


def _look_at_csv(path: str, start: bytes) -> Shape:
    encoding = _guess_encoding(path, start)
    named = f', encoding="{encoding}"' if encoding else ""
    with closing(annotation_file(path, encoding)) as source:
        text = source.read(_PEEK)
    form = detect_form(text)
    rows = [cells for cells in sample_rows(form, text) if cells]
    columns = [] if not rows or not _is_data(rows) else _names_of(rows)
    if columns and sum(len(cells) == len(columns) for cells in rows) <= len(rows) / 2:
        columns = ["text"]  # lines of text with commas
    given = f", {columns!r}".replace("'", '"') if columns else ""
    found = list(islice(read_csv(path, columns, encoding=encoding), LOOKED_AT))
    kind = "lines of text" if columns == ["text"] else "CSV" + (" without a row of names" if columns else "")
    if form.delimiter == "\t" and len(rows[0]) > 1:
        kind = kind.replace("CSV", "TSV")
    return Shape(kind + (f" in {encoding}" if encoding else ""), f"read_csv(path{given}{named})", columns_of(found),
                 len(found))  # fmt: skip


def _guess_encoding(path: str, start: bytes) -> str:
    """Return "cp1252" for a file that is not UTF-8 and has single bytes that are not ASCII, as accented letters are."""
    if start.startswith((b"\x1f\x8b", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError as error:
        foreign = [line for line in start.split(b"\n")[:-1] if not line.isascii()]
        if sum(map(_is_utf8, foreign)) > len(foreign) / 2:  # with some bad lines
            return ""
        runs = re.findall(rb"[\x80-\xff]+", start)
        if sum(len(run) == 1 for run in runs) < len(runs) * 0.8 or error.object is None:
            raise InputError(
                f"{path} is not UTF-8; convert it, for example with iconv -f GB18030 -t UTF-8 OLD > NEW"
            ) from error
        return "cp1252"
    return ""


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_data(rows: list[list[str]]) -> bool:
    """Return whether the first row is one of the data, and names no columns."""
    first = rows[0]
    if len(set(first)) < len(first) and all(first):
        return False
    return any(
        _FILE.search(cell) or _URL.match(cell) or cell.replace(".", "", 1).isdigit() or len(split_words(cell)) > 5
        for cell in first
    )


def _names_of(rows: list[list[str]]) -> list[str]:
    """Return names for the columns of a table that has none."""
    width = len(rows[0])
    columns = [Column((n,), [[cells[n]] for cells in rows if len(cells) == width]) for n in range(width)]
    text = max(columns, key=lambda column: column.words)
    names = [
        "text" if column is text else "image" if column.is_file else f"column_{place}"
        for place, column in enumerate(columns, 1)
    ]
    return [name if names.count(name) == 1 else f"{name}_{place}" for place, name in enumerate(names, 1)]


def _look_at_json(path: str, beginning: str) -> Shape:
    first_line, _, rest = beginning.partition("\n")
    if first_line.rstrip().endswith(("}", "]")) and rest.lstrip()[:1] == beginning[0] and first_line.strip() != "[":
        return _table("JSON Lines", "read_jsonl(path)", read_jsonl(path))
    if beginning[0] == "[":
        return _table("a JSON array", "read_json(path)", read_json(path))
    lists = _lists(path)
    fitting = {key: rows for key, rows in lists.items() if any(isinstance(row, dict | str) for row in rows)}
    if fitting and (len(lists) <= _FEW_KEYS) and (_holds_objects(fitting) or len(lists) == 1):
        return _main_list(fitting)
    return _look_at_items(path)


def _holds_objects(lists: Mapping[str, list[Record]]) -> bool:
    return any(isinstance(rows[0], dict) for rows in lists.values()) and not all(map(_FILE.search, lists))


def _lists(path: str) -> dict[str, list[Record]]:
    """Return the first elements of the lists in an object, by their keys."""
    lists: dict[str, list[Record]] = {}
    with closing(JsonReader(annotation_file(path))) as reader:
        for key, value in islice(reader.lists(), _LISTED):
            rows = lists.setdefault(key, [])
            if len(rows) < LOOKED_AT:
                rows.append(value)
    return lists


def _main_list(lists: Mapping[str, list[Record]]) -> Shape:
    """Return the shape of the list with the texts; another list may have the files that it refers to."""
    columns = {key: columns_of(rows) for key, rows in lists.items()}
    main = max(columns, key=lambda key: max((each.words for each in columns[key]), default=0.0))
    code = f'read_json_lists(path, "{main}")'
    shape = Shape(f'the list "{main}" of a JSON object', code, columns[main], len(lists[main]), keyed=True)
    for other, theirs in columns.items():
        ids = next((set(map(str, each.values)) for each in theirs if each.path == ("id",)), set())
        file = next((each for each in theirs if each.is_file and each.is_single), None)
        for mine in columns[main] if other != main and file is not None else ():
            refers = mine.is_key and mine.path != ("id",) and mine.name.endswith("id")
            if file is not None and refers and len(set(map(str, mine.values)) & ids) > mine.distinct / 2:
                shape.files = other, str(file.path[0]), mine.name
    return shape


def _look_at_items(path: str) -> Shape:
    """Return the shape of an object whose items are rows, or that has such an object in it."""
    items = list(islice(read_json_items(path), LOOKED_AT))
    inner = [(key, value) for key, value in items if isinstance(value, dict) and len(items) <= _FEW_KEYS]
    largest = max(inner, key=lambda item: len(item[1]), default=("", {}))
    alike = len(inner) == len(items) and len({tuple(value) for _, value in inner}) == 1
    within = largest[0] if len(largest[1]) > 1 and not alike else ""
    if within and all(isinstance(value, dict | list | str) for value in largest[1].values()):
        rows, code = list(largest[1].items()), f'read_json_items(path, "{within}")'
        kind = type(rows[0][1])
        rows = [(key, value) for key, value in rows if isinstance(value, kind)]
        if len(items) > 1:  # the reader yields them, too
            code = f"((key, row) for key, row in {code} if isinstance(row, {kind.__name__}))"
    else:
        rows, code = items, "read_json_items(path)"
    columns = columns_of([value for _, value in rows])
    keys = Column((), [[key] for key, _ in rows])
    return Shape("the items of a JSON object", code, columns, len(rows), keyed=True, keys=keys)


def columns_of(rows: list[Record]) -> list[Column]:
    """Return the columns of rows of any JSON values, in the order in which they appear."""
    as_tuples = _are_tuples(rows)
    columns: dict[Path_, Column] = {}
    for number, row in enumerate(rows):
        found: dict[Path_, list[object]] = {}
        parts = enumerate(row) if as_tuples else [(None, row)]
        for place, part in parts:
            for path, value in _leaves(part, () if place is None else (place,)):
                found.setdefault(path, []).append(value)
        for path, values in found.items():
            column = columns.get(path)
            if column is None:
                column = columns[path] = Column(path)
            column.cells += [[] for _ in range(number - len(column.cells))]
            column.cells.append(values)
    for column in columns.values():
        column.cells += [[] for _ in range(len(rows) - len(column.cells))]
    return list(columns.values())


def _leaves(value: Record, path: Path_) -> Iterator[tuple[Path_, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value[:50]:
            yield from _leaves(inner, (*path, LIST))
    else:
        yield path, value


def _are_tuples(rows: list[Record]) -> bool:
    """Return whether each row is a list that stands for a row of a table: a file, a text, a number."""
    if not rows or not all(isinstance(row, list) and 1 < len(row) == len(rows[0]) for row in rows[:1000]):
        return False
    kinds: list[Callable[[Column], bool]] = [lambda c: c.is_file, lambda c: not c.texts, lambda c: c.words < 2]
    places = [Column((n,), [[row[n]] for row in rows[:1000] if len(row) > n]) for n in range(len(rows[0]))]
    return any(kind(place) for kind in kinds for place in places) and any(place.words >= 2 for place in places)
