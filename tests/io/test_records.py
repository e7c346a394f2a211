from __future__ import annotations

import contextvars
import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syphus.errors import InputError
from syphus.io.records import Record, field, position, read_json, read_json_items, read_json_lists, read_jsonl, texts
from syphus.io.text_files import ReadingShare, reading_share

RECORDS = [
    {"id": 1, "text": "a → b\u2028c"},
    {"id": 2, "text": 'quote " and \\ and ] and }'},
    [],
    {},
    "x",
    3,
    None,
    True,
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16"]
READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    "array": read_json,
    "items": read_json_items,
    "lines": read_jsonl,
    "lists": lambda path: read_json_lists(path, "k"),
    "within": lambda path: read_json_items(path, "w"),
}


def save(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def fails(read: Callable[[Path], Iterator[Record]], path: Path) -> tuple[list[Record], str]:
    """What comes before the error, and the error without the folder."""
    got: list[Record] = []
    with pytest.raises(InputError) as caught:
        collect(read(path), got)
    return got, str(caught.value).replace(f"{path.parent}/", "")


def collect(values: Iterator[Record], got: list[Record]) -> None:
    for value in values:
        got.append(value)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("zipped", [False, True])
def test_an_array_is_read_whatever_its_encoding_and_line_ends(
    tmp_path: Path, encoding: str, newline: str, zipped: bool
) -> None:
    data = json.dumps(RECORDS, indent=2, ensure_ascii=False).replace("\n", newline).encode(encoding)
    path = save(tmp_path / ("a.json.gz" if zipped else "a.json"), gzip.compress(data) if zipped else data)
    assert list(read_json(path)) == RECORDS


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_json_lines_are_read_and_blank_lines_passed_over(tmp_path: Path, encoding: str, newline: str) -> None:
    lines = [json.dumps(record, ensure_ascii=False) for record in RECORDS]
    text = newline.join(["", *lines[:3], "  ", "", *lines[3:], "", ""])
    assert list(read_jsonl(save(tmp_path / "a.jsonl", text.encode(encoding)))) == RECORDS


def test_a_last_line_without_a_line_end_is_read(tmp_path: Path) -> None:
    assert list(read_jsonl(save(tmp_path / "a.jsonl", "1\n2"))) == [1, 2]


def test_the_items_of_an_object_come_in_order(tmp_path: Path) -> None:
    data: dict[str, Record] = {"v_1": {"a": [1.5]}, "": [], "é": "x", "4": None}
    assert list(read_json_items(save(tmp_path / "a.json", json.dumps(data, indent=1)))) == list(data.items())


def test_the_lists_of_an_object_come_as_they_stand_and_nothing_else(tmp_path: Path) -> None:
    text = '{"info": {"k": [0]}, "k": [1, [2]], "n": [3], "s": "]", "e": [ ], "j":[{"k": [4]}], "k": [5]}'
    path = save(tmp_path / "a.json", text)
    assert list(read_json_lists(path, "j", "k", "e")) == [("k", 1), ("k", [2]), ("j", {"k": [4]}), ("k", 5)]
    assert list(read_json_lists(save(tmp_path / "a.json", "{}"))) == []


@pytest.mark.parametrize("text", ["[]", " [ \n ] ", "{}", "{ }\n", "", "\n\n"])
def test_nothing_in_it_gives_nothing(tmp_path: Path, text: str) -> None:
    path = save(tmp_path / "a", text)
    read = read_json if "[" in text else read_json_items if "{" in text else read_jsonl
    assert list(read(path)) == []


@pytest.mark.parametrize("form", READERS)
def test_every_token_survives_being_cut_at_every_place(tmp_path: Path, form: str) -> None:
    one = {"ké": [-12.5e-3, 123456789, True], "t": 'é " \\ \U0001f600', "n": [[], {}]}
    records = [one, -1234.5678, "漢字", 12, None] * 20
    pieces = [json.dumps(record, ensure_ascii=index % 2 == 0) for index, record in enumerate(records)]
    length = len(" , ".join(pieces).encode())
    filler = "x" * (65_536 - length)  # the reader reads 65,536 bytes at once: the first chunk ends among the records
    pieces = [f'"{filler}"', *pieces]
    values: list[Record] = [filler, *records]
    if form == "lines":
        text = "\n".join(pieces)
    elif form == "array":
        text = "[" + " , ".join(pieces) + "]"
    elif form == "lists":
        text = '{"a" : -12.5 , "k" : [' + " , ".join(pieces) + '] , "b" : [[1], 2] , "c" : "é"}'
        values = [("k", value) for value in values]
    elif form == "within":
        text = (
            '{"w" : {' + " , ".join(f'"k" : {piece}' for piece in pieces) + '} , "n" : -1.5 , "o" : {"w" : {"a" : 1}}}'
        )
        values = [*(("k", value) for value in values), ("n", -1.5), ("o", {"w": {"a": 1}})]
    else:
        text = "{" + " , ".join(f'"k" : {piece}' for piece in pieces) + "}"
        values = [("k", value) for value in values]
    for shift in range(length // 10 + 80):  # over two rounds of the five, as every second one is escaped
        path = save(tmp_path / "a.json", " " * shift + text)
        assert list(READERS[form](path)) == values, shift


@pytest.mark.parametrize("form", READERS)
def test_a_huge_element_between_small_ones_is_read(tmp_path: Path, form: str) -> None:
    values: list[Record] = ["s", "ü" * 3_000_000, 1, ["x" * 1000] * 2000, 2]
    shape: Record = {
        "items": dict(enumerate(values)),
        "lists": {"k": values},
        "within": {"w": dict(enumerate(values))},
    }.get(form, values)
    data = json.dumps(shape, ensure_ascii=False)
    text = "\n".join(json.dumps(value) for value in values) if form == "lines" else data
    got = list(READERS[form](save(tmp_path / "a.json", text)))
    assert [value[1] for value in got] == values if form in ("items", "lists", "within") else got == values


def test_white_space_longer_than_a_chunk_is_passed_over(tmp_path: Path) -> None:
    gap = " " * 200_000
    assert list(read_json(save(tmp_path / "a.json", f"{gap}[{gap}1{gap},{gap}2{gap}]{gap}"))) == [1, 2]


def test_whole_numbers_of_any_size_survive(tmp_path: Path) -> None:
    numbers = [2**53 + 1, -(2**64) - 1, 10**40]
    assert list(read_json(save(tmp_path / "a.json", json.dumps(numbers)))) == numbers


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", json.dumps([{"img_id": str(n), "sentences": ["x" * 100]} for n in range(40_000)]))
    tracemalloc.start()
    count = sum(1 for _ in read_json(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40_000
    assert path.stat().st_size > 4_000_000
    assert peak < 1_000_000


def test_memory_does_not_grow_with_the_lists_of_an_object(tmp_path: Path) -> None:
    lists = {"images": [{"id": n, "url": "x" * 100} for n in range(20_000)], "annotations": ["y" * 100] * 20_000}
    path = save(tmp_path / "a.json", json.dumps({"info": "made up", **lists}))
    tracemalloc.start()
    count = sum(1 for _ in read_json_lists(path, "annotations"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 1_000_000


BAD = {
    "half a record": ('[1,\n{"a": "b', [1], "a.json: record 2 (line 2): the file ends within this record"),
    "no end": ("[1, 2", [1], "a.json: record 2 (line 1): the file ends within this record"),
    "no end after a comma": ("[1,\n2,\n", [1, 2], "a.json: record 3 (line 3): the file ends within this record"),
    "only the bracket": ("[", [], "a.json: record 1 (line 1): the file ends within this record"),
    "no comma": ('[1\n "x"]', [], "a.json: record 1 (line 1): Expecting ',' or ']' (line 2, before '\"x\"]')"),
    "comma too many": ("[1,]", [1], "a.json: record 2 (line 1): Expecting value (line 1, before ']')"),
    "no json": ("[1, nothing]", [1], "a.json: record 2 (line 1): Expecting value (line 1, before 'nothing]')"),
    "raw line end in a string": ('["a\nb"]', [], "record 1 (line 1): Invalid control character at (line 1, before"),
    "NaN": ("[1, NaN]", [1], "a.json: record 2 (line 1): NaN is not JSON"),
    "Infinity": ('[{"a": -Infinity}]', [], "record 1 (line 1): -Infinity is not JSON"),
    "1e400": ("[\n1e400]", [], "a.json: record 1 (line 2): the number 1e400 is too large"),
    "thousands of digits": (f"[{'9' * 5000}]", [], "record 1 (line 1): a whole number with thousands of digits"),
    "deep": ("[" * 100_000, [], "record 1 (line 1): nested too deeply"),
    "half a surrogate pair": (
        '["\\ud83d\\ude00",\n"\\ud800"]',
        ["😀"],
        "record 2 (line 2): half a surrogate pair (U+D800)",
    ),
    "half a pair in a key": ('[{"\\uDC00": 1}]', [], "record 1 (line 1): half a surrogate pair (U+DC00)"),
    "text after the end": ("[1]\n[2]", [1], "a.json: line 2: text after the end of the JSON value"),
    "NUL bytes after the end": ("[1]\n\0\0", [1], "a.json: line 2: NUL bytes"),
    "NUL bytes within": ('[1,\n"a\0', [1], "a.json: record 2 (line 2): NUL bytes"),
    "invalid UTF-8": (b'[1,\n"a\xff"]', [1], "a.json: record 2 (line 2): invalid UTF-8 (invalid start byte)"),
    "half a character": (b'[1,\n"\xe2\x82', [1], "a.json: record 2 (line 2): invalid UTF-8 (unexpected end of data)"),
    "UTF-16 without a mark": (
        "[1]".encode("utf-16-le"),
        [],
        "NUL bytes: a torn file, or UTF-16 without a byte order mark",
    ),
    "half a pair in UTF-16": ("[".encode("utf-16") + b"\x00\xd8[\x00", [], "record 1 (line 1): invalid UTF-16-LE"),
    "an object": ('{"a": 1}', [], "a.json: an array is expected at the top of the file, this is an object"),
    "a number": ("1", [], "a.json: an array is expected at the top of the file, this is something else"),
    "empty": ("", [], "a.json: the file is empty"),
    "one bad byte": (b"\xe2", [], "a.json: invalid UTF-8 (unexpected end of data)"),
}


@pytest.mark.parametrize(("data", "before", "problem"), BAD.values(), ids=BAD)
def test_a_bad_array_is_reported_with_its_place_after_what_is_good(
    tmp_path: Path, data: str | bytes, before: list[Record], problem: str
) -> None:
    got, told = fails(read_json, save(tmp_path / "a.json", data))
    assert got == before
    assert problem in told


BAD_ITEMS = {
    "an array": ("[1]", [], "a.json: an object is expected at the top of the file, this is an array"),
    "key without quotes": (
        '{"a": 1, b: 2}',
        [("a", 1)],
        "record 2 (line 1): Expecting a key in double quotes (line 1, be",
    ),
    "no colon": ('{"a": 1, "b" 2}', [("a", 1)], "record 2 (line 1): Expecting ':' (line 1, before '2}')"),
    "half a pair in a key": ('{"\\uDC00": 1}', [], "record 1 (line 1): half a surrogate pair (U+DC00)"),
    "torn key": ('{"a": 1, "b', [("a", 1)], "record 2 (line 1): the file ends within this record"),
    "torn colon": ('{"a": 1, "b"', [("a", 1)], "record 2 (line 1): the file ends within this record"),
    "torn value": ('{"a": 1, "b":', [("a", 1)], "record 2 (line 1): the file ends within this record"),
}


@pytest.mark.parametrize(("data", "before", "problem"), BAD_ITEMS.values(), ids=BAD_ITEMS)
def test_a_bad_object_is_reported_with_its_place(tmp_path: Path, data: str, before: list[Record], problem: str) -> None:
    got, told = fails(read_json_items, save(tmp_path / "a.json", data))
    assert got == before
    assert problem in told


BAD_LISTS = {
    "an array": ("[1]", [], "a.json: an object is expected at the top of the file, this is an array"),
    "no list": ('{"n": [1]}', [], 'a.json: no list "k"'),
    "an object in its place": ('{"k": {"a": 1}}', [], 'a.json: no list "k"'),
    "a bad element": ('{"n": [1,\n2],\n"k": [1,\noops]}', [("k", 1)], "a.json: k, record 2 (line 4): Expecting value"),
    "torn element": ('{"k": [1, "x', [("k", 1)], "a.json: k, record 2 (line 1): the file ends within this record"),
    "torn object": ('{"k": [1]', [("k", 1)], "the file ends within this record"),
    "torn value": ('{"k": [1], "x": ', [("k", 1)], "the file ends within this record"),
    "no comma": ('{"k": [1] "x": 2}', [("k", 1)], "Expecting ',' or '}' (line 1, before '\"x\": 2}')"),
    "comma too many": ('{"k": [1],}', [("k", 1)], "Expecting a key in double quotes (line 1, before '}')"),
    "text after the end": ('{"k": [1]} 2', [("k", 1)], "a.json: line 1: text after the end of the JSON value"),
}


@pytest.mark.parametrize(("data", "before", "problem"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_bad_lists_are_reported_with_their_place(tmp_path: Path, data: str, before: list[Record], problem: str) -> None:
    got, told = fails(READERS["lists"], save(tmp_path / "a.json", data))
    assert got == before
    assert problem in told


BAD_LINES = {
    "torn last line": (
        '1\n{"a": ',
        [1],
        "a.jsonl: record 2 (line 2): the last line is cut off: Expecting value (line 2)",
    ),
    "bad line in the middle": (
        "1\n{a}\n3\n",
        [1],
        "record 2 (line 2): Expecting property name enclosed in double quotes",
    ),
    "two values on a line": ("1\n2 3\n", [1], "record 2 (line 2): Extra data (line 2, before '3\\n')"),
    "a value over two lines": ("[1,\n2]\n", [], "record 1 (line 1): Expecting value"),
    "NUL tail": ("1\n\n2\n\0\0\0", [1, 2], "a.jsonl: record 3 (line 4): NUL bytes"),
    "NUL in a line": ("1\n[2\0\n", [1], "a.jsonl: record 2 (line 2): NUL bytes"),
    "half a character": (b'1\n"\xe2\x82', [1], "record 2 (line 2): invalid UTF-8"),
    "lone surrogate": ('1\n"\\uD800"\n', [1], "record 2 (line 2): half a surrogate pair (U+D800)"),
    "blank lines count": ("1\n\n\n!\n", [1], "record 2 (line 4): Expecting value"),
}


@pytest.mark.parametrize(("data", "before", "problem"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_reported_with_its_number(
    tmp_path: Path, data: str | bytes, before: list[Record], problem: str
) -> None:
    got, told = fails(read_jsonl, save(tmp_path / "a.jsonl", data))
    assert got == before
    assert problem in told


def test_an_error_early_in_a_large_file_does_not_read_the_rest(tmp_path: Path) -> None:
    rest = b", " + b'"text", ' * 50_000 + b"\xff"  # the invalid byte would be told if it was ever read
    _, told = fails(read_json, save(tmp_path / "a.json", b"[1, oops" + rest))
    assert "record 2 (line 1): Expecting value (line 1, before 'oops" in told


def test_a_missing_file_says_how_to_name_it(tmp_path: Path) -> None:
    assert fails(read_json, tmp_path / "no.json")[1] == (
        "no.json: no such file; name the annotations with --query_inputs_path (-in)"
    )
    with pytest.raises(InputError, match="no annotations are named"):
        next(read_jsonl(""))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "is a folder; a file is needed" in fails(read_json, tmp_path)[1]


@pytest.mark.parametrize("cut", [5, 30, -5])
def test_a_torn_gzip_file_is_an_input_error(tmp_path: Path, cut: int) -> None:
    path = save(tmp_path / "a.json.gz", gzip.compress(json.dumps(list(range(1000))).encode(), mtime=0)[:cut])
    assert "can't be read:" in fails(read_json, path)[1]


def test_whether_a_file_is_gzipped_is_seen_by_what_is_in_it(tmp_path: Path) -> None:
    assert list(read_json(save(tmp_path / "a.json.gz", b"[1, 2]"))) == [1, 2]
    assert list(read_json(save(tmp_path / "b.json", gzip.compress(b"[1, 2]")))) == [1, 2]


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json.gz", gzip.compress(b"[" + b" " * 68_000_000 + b"1]", 9))
    assert path.stat().st_size < 100_000
    assert "refused as a compression bomb" in fails(read_json, path)[1]


def places(values: Iterator[Record]) -> list[str]:
    return [str(position()).rpartition("/")[2] for _ in values]


def test_the_position_is_that_of_the_record_in_use(tmp_path: Path) -> None:
    array = save(tmp_path / "a.json", '[\n{"a":\n1},\r\n\n2, 3]')
    lines = save(tmp_path / "b.jsonl", "1\n\n2\n")
    assert position() is None
    assert places(read_json(array)) == [
        "a.json: record 1 (line 2)",
        "a.json: record 2 (line 5)",
        "a.json: record 3 (line 5)",
    ]
    assert places(read_jsonl(lines)) == ["b.jsonl: record 1 (line 1)", "b.jsonl: record 2 (line 3)"]
    assert position() is None
    assert places(read_json_lists(save(tmp_path / "c.json", '{"a": [1,\n2], "b": [3]}'), "a", "b")) == [
        "c.json: a, record 1 (line 1)",
        "c.json: a, record 2 (line 2)",
        "c.json: b, record 1 (line 2)",
    ]


def test_lines_are_counted_over_many_chunks(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", "[\n" + ",\n".join(f'"{n:050}"' for n in range(20_000)) + "\n]")
    assert places(read_json(path))[-1] == "a.json: record 20000 (line 20001)"


def test_after_a_nested_reader_the_position_is_the_outer_one_again(tmp_path: Path) -> None:
    outer, inner = save(tmp_path / "outer.json", "[1, 2]"), save(tmp_path / "inner.jsonl", "1\n2\n")
    seen = []
    for _ in read_json(outer):
        seen += places(read_jsonl(inner))
        seen.append(str(position()).rpartition("/")[2])
    assert seen[:3] == [
        "inner.jsonl: record 1 (line 1)",
        "inner.jsonl: record 2 (line 2)",
        "outer.json: record 1 (line 1)",
    ]
    assert seen[-1] == "outer.json: record 2 (line 1)"


def test_of_two_readers_side_by_side_the_one_that_handed_out_last_counts(tmp_path: Path) -> None:
    one, two = read_json(save(tmp_path / "1.json", "[1, 2]")), read_json(save(tmp_path / "2.json", "[1, 2]"))
    seen = []
    for reader in (one, two, one):
        next(reader)
        seen.append(str(position()).rpartition("/")[2])
    assert seen == ["1.json: record 1 (line 1)", "2.json: record 1 (line 1)", "1.json: record 2 (line 1)"]
    one.close()  # type: ignore[attr-defined]  # a generator
    assert str(position()).endswith("2.json: record 1 (line 1)")
    two.close()  # type: ignore[attr-defined]
    assert position() is None


def test_runs_in_contexts_of_their_own_do_not_see_each_other(tmp_path: Path) -> None:
    mine, theirs = contextvars.copy_context(), contextvars.copy_context()
    one, two = read_json(save(tmp_path / "1.json", "[1, 2]")), read_json(save(tmp_path / "2.json", "[1, 2]"))
    mine.run(next, one)
    theirs.run(next, two)
    assert str(mine.run(position)).endswith("1.json: record 1 (line 1)")
    assert position() is None
    mine.run(lambda: list(one))
    theirs.run(lambda: list(two))


def test_field_and_texts_take_out_what_is_there() -> None:
    record = {"t": "x", "n": 3, "f": 1.5, "b": True, "l": ["a", ""], "o": {}}
    assert (field(record, "t", str), field(record, "n", int), field(record, "f", float)) == ("x", 3, 1.5)
    assert (field(record, "n", float), field(record, "b", bool), field(record, "o", dict)) == (3, True, {})
    assert texts(record, "l") == ["a", ""]


@pytest.mark.parametrize(
    ("record", "key", "kind", "problem"),
    [
        ('{"a": 1}', "timestamps", list, 'no "timestamps"; it has a'),
        ('{"a": 1}', "a", str, '"a" must be text, this is a whole number'),
        ('{"a": true}', "a", int, '"a" must be a whole number, this is true or false'),
        ('{"a": null}', "a", dict, '"a" must be an object, this is null'),
        ("[1]", "a", str, "an object is expected, this is a list"),
    ],
)
def test_a_missing_or_wrong_field_is_reported_with_the_record(
    tmp_path: Path, record: str, key: str, kind: type, problem: str
) -> None:
    reader = read_jsonl(save(tmp_path / "a.jsonl", f"{{}}\n{record}\n"))
    next(reader)
    with pytest.raises(InputError) as caught:
        field(next(reader), key, kind)
    assert str(caught.value).endswith(f"a.jsonl: record 2 (line 2): {problem}")
    list(reader)


def test_a_list_with_something_else_than_text_is_reported() -> None:
    with pytest.raises(InputError, match='"s" must be a list of text, it holds null'):
        texts({"s": ["a", None]}, "s")


@pytest.mark.parametrize("zipped", [False, True])
def test_the_share_of_a_file_that_is_read_grows_to_all_of_it(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / ("rows.jsonl.gz" if zipped else "rows.jsonl")
    data = b"".join(b'{"id": %d, "text": "%s"}\n' % (n, b"word " * (n % 50)) for n in range(20_000))
    path.write_bytes(gzip.compress(data) if zipped else data)
    progress = ReadingShare()
    assert progress.share is None
    reading_share.set(progress)
    try:
        shares = [progress.share or 0.0 for _ in read_jsonl(path)]
    finally:
        reading_share.set(None)
    assert shares == sorted(shares)
    assert 0.0 < shares[0] < 0.5
    assert shares[-1] == 1.0
