"""Reads CSV and TSV files row by row, in any of their forms: the delimiter, quotes and escapes are detected."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from syphus.errors import InputError
from syphus.io.record_reader import RecordReader
from syphus.io.records import annotation_file
from syphus.io.text_files import Position, TextSource, text_problem
from syphus.text import pluralize

DELIMITERS = ",\t;|"
SAMPLE = 1 << 17  # bytes from which the form of a CSV file is learned
_SAMPLED_ROWS = 200
_MAX_CELL = 1 << 28  # characters, as a record of JSON
_ONE_COLUMN = "\x1f"  # a delimiter that stands in no text
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n')  # Excel's, before the header


class CsvForm(NamedTuple):
    """How a CSV file is written. `quote` and `escape` may be "" for none."""

    delimiter: str
    quote: str = '"'
    escape: str = ""
    spaces: bool = False  #: after each delimiter, which are not part of the cells

    def reader(self, lines: Iterable[str]) -> Any:  # csv's own class has no public name
        """Return a reader of the cells of each row."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            escapechar=self.escape or None,
            skipinitialspace=self.spaces,
            strict=True,
        )


def read_csv(
    path: str | Path,
    columns: Sequence[str] = (),
    *,
    delimiter: str = "",
    quote: str | None = None,
    encoding: str = "",
) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV or TSV file as dicts of text, by the names of its columns. Raises `InputError`.

    The first row names the columns, unless `columns` does: then it is a row as all others. A name that comes again gets
    a number (`caption_2`), and a column without a name is called `column_1`, by its place. The delimiter (one of comma,
    tab, semicolon and bar), the quotes and escapes are detected from the first rows; `quote=""` says that quotes are
    text. `encoding` is for files that are neither UTF-8 nor UTF-16, such as "cp1252". Blank lines are skipped.
    """
    with closing(CsvReader(annotation_file(path, encoding), columns, delimiter, quote)) as reader:
        yield from reader.rows()


class CsvReader(RecordReader):
    """Reads one CSV file. `form` and `names` are known once `header` has been called."""

    def __init__(self, source: TextSource, columns: Sequence[str], delimiter: str, quote: str | None) -> None:
        super().__init__(source.path)
        self.source = source
        self.form = CsvForm(delimiter)
        self.names = list(columns)
        self._named = bool(columns)
        self._given = delimiter, quote
        self._lines_before = 0
        self._line = 0  # of the row last yielded
        self._newest = ""  # line that csv was given
        self._row_size = 0  # characters that csv was given for the next row
        self._has_ended = False  # csv was given all lines
        csv.field_size_limit(max(_MAX_CELL, csv.field_size_limit()))

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield all rows."""
        reader = self.header()
        names, count = self.names, len(self.names)
        while True:
            self._line = self._lines_before + reader.line_num + 1
            self._row_size = 0
            try:
                cells = next(reader, None)
            except csv.Error as error:
                self._refuse_row(error)
                continue
            if cells is None:
                break
            if len(cells) != count and cells and not (cells := self._fitted(cells)):
                continue
            if cells and self.source.invalid and any(map(text_problem, cells)):
                self._collect(self._error(self._decoding_problem()))
            elif cells and self._note(cells):
                yield dict(zip(names, cells, strict=True))
        self._done = True

    def header(self) -> Any:
        """Detect the form, read the names of the columns, and return the reader of the rows."""
        self.source.keeps_invalid = True
        beginning = self.source.read(SAMPLE)
        if not beginning.strip():
            raise InputError(f"{self.path}: {self._decoding_problem() or 'the file is empty'}")
        if beginning.lstrip()[0] in "[{":
            raise InputError(f"{self.path} is not CSV but JSON; read it with read_json or read_jsonl")
        delimiter, quote = self._given
        if separator := _SEPARATOR_LINE.match(beginning):
            delimiter, beginning, self._lines_before = delimiter or separator[1], beginning[separator.end() :], 1
        self.form = detect_form(beginning, delimiter, quote, len(self.names))
        reader = self.form.reader(self._lines(beginning))
        if not self._named:
            try:
                self.names = column_names(next((cells for cells in reader if cells), []))
            except csv.Error as error:
                raise InputError(f"{self.path}: header (line 1): {self._csv_problem()}") from error
            if any(map(text_problem, self.names)):
                raise InputError(f"{self.path}: header (line 1): {self._decoding_problem()}")
        elif twice := next((name for name, count in Counter(self.names).items() if count > 1), ""):
            raise InputError(f'{self.path}: columns: "{twice}" comes twice')
        return reader

    def position(self) -> Position:
        """Return the position of the row last yielded."""
        return Position(self.path, self.number, self._line)

    def close(self) -> None:
        """Close the file."""
        super().close()
        self.source.close()

    def _lines(self, text: str) -> Iterator[str]:
        """Yield the lines with their ends, which are CRs alone in files of old Macs."""
        end = "\r" if "\r" in text and "\n" not in text else "\n"
        rest = ""
        while text:
            *whole, rest = (rest + text).split(end)
            yield from (self._given_line(f"{line}\n") for line in whole)
            if len(rest) > _MAX_CELL:
                raise self._error(f"a line of more than {_MAX_CELL >> 20} MiB")
            text = self.source.read(max(SAMPLE, len(rest)))
        if self.source.problem:
            raise self._error(self._decoding_problem())
        if rest:
            yield self._given_line(rest)
        self._has_ended = True

    def _given_line(self, line: str) -> str:
        self._newest = line
        self._row_size += len(line)
        return line

    def _fitted(self, cells: list[str]) -> list[str]:
        """Return the cells of a row that has more than the header if these are empty; [] if the row was collected."""
        count = len(self.names)
        if len(cells) > count and not any(cells[count:]):
            return cells[:count]
        delimiter = {"\t": "a tab"}.get(self.form.delimiter, f'"{self.form.delimiter}"')
        hint = f"; put a cell that holds {delimiter} into quotes" if len(cells) > count else ""
        header = "the list of columns" if self._named else "the header"
        self._collect(self._error(f"{pluralize(len(cells), 'cell')}, {header} has {count}{hint}"))
        return []

    def _refuse_row(self, error: csv.Error) -> None:
        problem = self._error(self._csv_problem())
        if self._has_ended:  # the rest of the file was taken for one cell
            raise problem from error
        self._collect(problem)

    def _csv_problem(self) -> str:
        """Describe why csv refused a row. It has one type for all its errors, so what it was given decides."""
        if self._has_ended:
            return 'a quote that begins a cell has no end; if quotes are just text, use read_csv(path, quote="")'
        if self._row_size > csv.field_size_limit():
            return f"a cell of more than {_MAX_CELL >> 20} MiB"
        if "\r" in self._newest.rstrip("\r\n"):
            return "a carriage return within a row; put the cell that holds it into quotes"
        return (
            "text follows the quote that ends a cell; double the quotes within a cell, or if quotes are just text, "
            'use read_csv(path, quote="")'
        )

    def _decoding_problem(self) -> str:
        problem = self.source.problem or self.source.invalid
        return f'{problem}, or use read_csv(path, encoding="cp1252")' if "Latin-1" in problem else problem

    def _error(self, problem: str) -> InputError:
        return InputError(f"{Position(self.path, self.number + 1, self._line)}: {problem}")


def detect_form(text: str, delimiter: str = "", quote: str | None = None, columns: int = 0) -> CsvForm:
    """Return the form in which most of the first rows have as many cells as the header, or as there are `columns`.

    `text` is the beginning of a file. A given `delimiter` or `quote` is kept. A file whose header has no delimiter has
    one column.
    """
    quotes = [('"', ""), ('"', "\\"), ("", "")] if quote is None else [(quote, ""), (quote, "\\")]
    best = max((CsvForm(each, *how) for how in quotes for each in delimiter or DELIMITERS), key=_fit(text, columns))
    header = next(iter(sample_rows(best, text)), [])
    if not delimiter and (columns == 1 or (not columns and len(header) < 2)):
        return max((CsvForm(_ONE_COLUMN, *how) for how in quotes), key=_fit(text, 1))
    return best._replace(spaces=len(header) > 1 and all(cell.startswith(" ") for cell in header[1:]))


def sample_rows(form: CsvForm, text: str) -> list[list[str]]:
    """Return the first rows in the beginning of a file, read in this form; [] stands for a row that can't be read."""
    rows: list[list[str]] = []
    lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)
    reader = form.reader(lines[:-1] if len(lines) > 2 and len(text) >= SAMPLE // 4 else lines)
    while len(rows) < _SAMPLED_ROWS:
        try:
            cells = next(reader, None)
        except csv.Error:
            cells = []
        else:
            if cells is None:
                break
            if not cells:
                continue
        rows.append(cells)
    return rows


def _fit(text: str, columns: int) -> Callable[[CsvForm], float]:
    """Return a function that says how well a form fits: by the share of rows that have as many cells as the header."""

    def fit(form: CsvForm) -> float:
        rows = sample_rows(form, text)
        count = columns or (len(rows[0]) if rows else 0)
        if count < 2 and form.delimiter != _ONE_COLUMN:
            return 0.0
        good = [cells for cells in rows if len(cells) == count]
        cells_with_quotes = [cell for cells in rows for cell in cells if not form.quote and cell.startswith('"')]
        in_quotes = sum(len(cell) > 1 and cell.endswith('"') for cell in cells_with_quotes)
        if in_quotes and in_quotes >= len(cells_with_quotes) / 2:  # they are not part of the text
            return 0.0
        return len(good) / max(1, len(rows))

    return fit


def column_names(header: Sequence[str]) -> list[str]:
    """Return unique names for the columns of a header."""
    names: list[str] = []
    for place, cell in enumerate(header, 1):
        name = base = cell.strip() or f"column_{place}"
        number = 2
        while name in names or (name != cell.strip() and name in header):
            name = f"{base}_{number}"
            number += 1
        names.append(name)
    return names
