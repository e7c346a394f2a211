"""Rows of CSV files as people have them, of Parquet files and data sets; and groups of rows."""

from __future__ import annotations

import csv
import gzip
import importlib
import random
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from syphus import grouped, read_csv, read_hf, read_json, read_jsonl, read_parquet
from syphus.errors import InputError, SyphusError
from syphus.io.record_reader import position
from syphus.io.text_files import BadRecords, bad_records


def save(path: Path, data: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode(encoding))
    return path


def fails(rows: Iterator[object], folder: Path) -> str:
    """The error at the end of the rows, without the folder."""
    with pytest.raises(SyphusError) as caught:
        list(rows)
    return str(caught.value).replace(f"{folder}/", "")


ROWS = [{"image": "1.jpg", "caption": "A dog runs"}, {"image": "2.jpg", "caption": 'Two, or three; "cats" | 4\tx'}]
FORMS = {
    "comma": 'image,caption\n1.jpg,A dog runs\n2.jpg,"Two, or three; ""cats"" | 4\tx"\n',
    "semicolon": 'image;caption\n1.jpg;A dog runs\n2.jpg;"Two, or three; ""cats"" | 4\tx"\n',
    "bar": 'image|caption\n1.jpg|A dog runs\n2.jpg|"Two, or three; ""cats"" | 4\tx"\n',
    "tab": 'image\tcaption\n1.jpg\tA dog runs\n2.jpg\t"Two, or three; ""cats"" | 4\tx"\n',
    "all in quotes": '"image","caption"\n"1.jpg","A dog runs"\n"2.jpg","Two, or three; ""cats"" | 4\tx"\n',
    "escaped by backslashes": 'image,caption\n1.jpg,A dog runs\n2.jpg,"Two, or three; \\"cats\\" | 4\tx"\n',
    "quotes that are text": 'image;caption\n1.jpg;A dog runs\n2.jpg;Two, or three\n3.jpg;"Cats" sit\n4.jpg;"Oh\n',
    "no line end": 'image,caption\n1.jpg,A dog runs\n2.jpg,"Two, or three; ""cats"" | 4\tx"',
    "blank lines": '\nimage,caption\n\n1.jpg,A dog runs\n\n\n2.jpg,"Two, or three; ""cats"" | 4\tx"\n\n',
    "Excel's first line": 'sep=;\nimage;caption\n1.jpg;A dog runs\n2.jpg;"Two, or three; ""cats"" | 4\tx"\n',
    "empty cells at the end": 'image,caption\n1.jpg,A dog runs,,\n2.jpg,"Two, or three; ""cats"" | 4\tx",\n',
    "spaces after delimiters": 'image, caption\n1.jpg, A dog runs\n2.jpg, "Two, or three; ""cats"" | 4\tx"\n',
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("form", ["utf-8", "utf-8-sig", "utf-16", "CRLF", "gzip"])
def test_a_table_is_read_in_whatever_form_it_is_written(tmp_path: Path, text: str, form: str) -> None:
    data = text.replace("\n", "\r\n") if form == "CRLF" else text
    encoded = data.encode(form if "utf" in form else "utf-8")
    rows = list(read_csv(save(tmp_path / "a.csv", gzip.compress(encoded) if form == "gzip" else encoded)))
    if "Oh" in text:
        assert [row["caption"] for row in rows] == ["A dog runs", "Two, or three", '"Cats" sit', '"Oh']
    else:
        assert rows == ROWS


def test_what_pythons_writer_writes_comes_back(tmp_path: Path) -> None:
    rng = random.Random(3)
    pieces = ["a dog", "é→漢", ",", ";", "\t", "|", '"', "\n", "\r\n", " ", "\\", "'", "\u2028", "", "x" * 3000]
    for number in range(30):
        names = [f"name {n}" for n in range(rng.randint(1, 5))]
        rows = [["".join(rng.choices(pieces, k=rng.randint(1, 5))) for _ in names] for _ in range(rng.randint(3, 60))]
        for row in rows:
            row[0] = row[0].strip() or "first"  # a row that is blank is none
        path = tmp_path / f"{number}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            how = {"delimiter": rng.choice(",;\t|"), "quoting": rng.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])}
            csv.writer(file, **how).writerows([names, *rows])  # type: ignore[arg-type]
        got = list(read_csv(path))
        assert got == [dict(zip(names, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (",image,caption\n0,1.jpg,x\n", ["column_1", "image", "caption"]),  # as pandas writes its index
        ("caption,caption,caption\nx,y,z\n", ["caption", "caption_2", "caption_3"]),
        ("caption,caption,caption_2\nx,y,z\n", ["caption", "caption_3", "caption_2"]),
        ("a,,column_2\nx,y,z\n", ["a", "column_2_2", "column_2"]),
        (" Bild , Satz \n1, x\n", ["Bild", "Satz"]),
        ("标题,图片\nx,y\n", ["标题", "图片"]),
        ("caption\nA dog, a cat\n", ["caption"]),
    ],
)
def test_columns_without_a_name_or_with_the_same_get_one(tmp_path: Path, text: str, names: list[str]) -> None:
    assert [list(row) for row in read_csv(save(tmp_path / "a.csv", text))] == [names]


def test_a_file_without_a_header_gets_its_names_from_the_plugin(tmp_path: Path) -> None:
    path = save(tmp_path / "token.txt", "1.jpg#0\tA dog\n1.jpg#1\tA puppy, small\n")
    assert list(read_csv(path, ["image", "caption"]))[1] == {"image": "1.jpg#1", "caption": "A puppy, small"}
    lines = save(tmp_path / "lines.txt", "A dog, a cat\nA cow\n")
    assert [row["text"] for row in read_csv(lines, ["text"])] == ["A dog, a cat", "A cow"]
    assert fails(read_csv(path, ["a", "a"]), tmp_path) == 'token.txt: columns: "a" comes twice'


def test_cells_may_have_line_ends_and_be_huge(tmp_path: Path) -> None:
    long = "A dog runs, " * 200_000
    path = save(tmp_path / "a.csv", f'id,caption\n1,"{long}\nand\r\nmore"\n2,x\n')
    places = []
    for row in read_csv(path):
        places.append(str(position()).rpartition("/")[2])
        assert row["caption"] in (f"{long}\nand\r\nmore", "x")
    assert places == ["a.csv: record 1 (line 2)", "a.csv: record 2 (line 5)"]


BAD = {
    "too few": ("a,b,c\n1,2,3\n\n4,5\n", "x.csv: record 2 (line 4): 2 cells, the header has 3"),
    "too many": (
        "a,b\n1,2\n3,4\n5,6,7\n",
        'x.csv: record 3 (line 4): 3 cells, the header has 2; put a cell that holds "," into quotes',
    ),
    "open quote": (
        'a,b\n1,"2"\n3,"4"\n4,"x\n5,6\n',
        "x.csv: record 3 (line 4): a quote that begins a cell has no end; if quotes are just text, use read_csv(",
    ),
    "text after a quote": (
        'a,b\n"1","2"\n"3","4"\n"5","6" x\n',
        "x.csv: record 3 (line 4): text follows the quote that",
    ),
    "carriage return": (
        "a,b\n1,2\n3,4\n5,6\r7\n8,9\n",
        "x.csv: record 3 (line 4): a carriage return within a row; put the cell that holds it into quotes",
    ),
    "Latin-1": (
        "a,b\n1,x\n2,café".encode("latin-1"),
        "x.csv: record 2 (line 3): invalid UTF-8 (unexpected end of data)",
    ),
    "Latin-1 in the middle": (
        "a,b\n1,x\n2,café au lait\n3,z\n".encode("latin-1"),
        "x.csv: record 2 (line 3): invalid UTF-8 (invalid continuation byte); if it is Latin-1, convert it: iconv -f ",
    ),
    "NUL": ("a,b\n1,x\n2,y\0\n", "x.csv: record 2 (line 3): NUL bytes"),
    "empty": ("", "x.csv: the file is empty"),
    "blank": ("\n  \n", "x.csv: the file is empty"),
    "JSON": ('[{"a": 1}]', "x.csv is not CSV but JSON; read it with read_json or read_jsonl"),
    "Excel": (b"PK\x03\x04rest", "x.csv is a ZIP or Excel file; unzip it, or save the sheet as CSV in UTF-8"),
    "Parquet": (b"PAR1rest", "x.csv is a Parquet file; read it with read_parquet"),
    "PDF": (b"%PDF-1.4", "x.csv is a PDF file; annotations are needed as text"),
}


@pytest.mark.parametrize(("data", "problem"), BAD.values(), ids=BAD)
def test_a_bad_row_is_named_with_its_line_and_the_remedy(tmp_path: Path, data: str | bytes, problem: str) -> None:
    told = fails(read_csv(save(tmp_path / "x.csv", data)), tmp_path)
    assert told.startswith(problem)
    assert "\n" not in told


def test_other_encodings_are_read_if_they_are_named(tmp_path: Path) -> None:
    for encoding, text in (("cp1252", "naïve “café”"), ("gb18030", "一只狗"), ("shift_jis", "犬が走る")):
        path = save(tmp_path / "a.csv", f"id,caption\n1,{text}\n2,x\n", encoding)
        assert next(read_csv(path, encoding=encoding))["caption"] == text
    assert "there is no encoding 'utf-9'" in fails(read_csv(path, encoding="utf-9"), tmp_path)


def test_bad_rows_are_collected_one_by_one(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", 'a,b\n1,2\n3\n"4","5" x\n6,7\n8,9,10\n11,12\n')
    bad = BadRecords()
    bad_records.set(bad)
    try:
        assert [row["a"] for row in read_csv(path)] == ["1", "6", "11"]
        assert [re.sub(r".*/", "", each)[:26] for each in bad.problems] == [
            "a.csv: record 2 (line 3): ",
            "a.csv: record 3 (line 4): ",
            "a.csv: record 5 (line 6): ",
        ]
        with pytest.raises(InputError, match="no end"):  # what follows would be lost
            list(read_csv(save(path, 'a,b\n1,"2"\n3,"4"\n5,"x\n')))
    finally:
        bad_records.set(None)


def test_a_row_that_is_not_utf8_is_a_bad_row_wherever_it_stands(tmp_path: Path) -> None:
    rows = [f"{n},naïve “café” {n}".encode() for n in range(20_000)]
    for place in (0, 9_000, 19_999):
        rows[place] = f"{place},naïve".encode("latin-1")
    path = tmp_path / "a.csv"
    path.write_bytes(b"\n".join([b"id,caption", *rows]) + b"\n")
    bad = BadRecords()
    before = bad_records.set(bad)
    try:
        read = list(read_csv(path))
    finally:
        bad_records.reset(before)
    assert len(read) == len(rows) - 3
    assert [row["caption"] for row in read[::5000]] == [f"naïve “café” {row['id']}" for row in read[::5000]]
    assert [problem.partition(": ")[2].partition(": ")[0] for problem in bad.problems] == [
        "record 1 (line 2)", "record 9001 (line 9002)", "record 20000 (line 20001)",
    ]  # fmt: skip


def test_a_header_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("bild,größe\n1,x\n".encode("latin-1"))
    assert "header (line 1): invalid UTF-8" in fails(read_csv(path), tmp_path)


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", "id,caption\n" + "".join(f"{n},{'a dog ' * 20}\n" for n in range(40_000)))
    tracemalloc.start()
    count = sum(1 for _ in read_csv(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, path.stat().st_size > 4_000_000) == (40_000, True)
    assert peak < 2_000_000


def test_a_missing_file_names_the_one_that_is_meant(tmp_path: Path) -> None:
    save(tmp_path / "captions.csv", "a\n1\n")
    for rows in (read_csv(tmp_path / "caption.csv"), read_json(tmp_path / "captoins.csv")):
        assert "no such file; did you mean captions.csv? Otherwise name the annotations with" in fails(rows, tmp_path)
    assert "no such file" in fails(read_parquet(tmp_path / "captions.parquet"), tmp_path)
    assert "is a folder; a file is needed" in fails(read_csv(tmp_path), tmp_path)


# Parquet, and data sets of the Hub


def parquet(path: Path, count: int = 1000) -> Path:
    columns = {"id": list(range(count)), "captions": [[f"dog {n}", "é"] for n in range(count)], "image": [b"x"] * count}
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=300)
    return path


def test_parquet_is_read_row_by_row_from_a_file_or_a_folder(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet")
    rows = list(read_parquet(path))
    assert (len(rows), rows[999]) == (1000, {"id": 999, "captions": ["dog 999", "é"], "image": b"x"})
    (tmp_path / "more").mkdir()
    parquet(tmp_path / "more" / "b.parquet", 3)
    folder = [(row, str(position())) for row in read_parquet(tmp_path, ["id"])]
    assert folder[-1] == ({"id": 2}, f"{tmp_path}/more/b.parquet: record 3")
    assert len(folder) == 1003


def test_what_is_wrong_with_parquet_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", 3)
    assert fails(read_parquet(path, ["caption"]), tmp_path) == (
        'a.parquet: no "caption"; did you mean "captions"? It has id, captions, image'
    )
    text = save(tmp_path / "b.parquet", "id,caption\n")
    assert fails(read_parquet(text), tmp_path).startswith("b.parquet: can't be read as Parquet:")
    assert fails(read_jsonl(path), tmp_path) == "a.parquet is a Parquet file; read it with read_parquet"
    (tmp_path / "none").mkdir()
    assert fails(read_parquet(tmp_path / "none"), tmp_path) == "none: a folder without Parquet files"
    torn = save(tmp_path / "c.parquet", path.read_bytes()[:-20])
    assert "can't be read as Parquet" in fails(read_parquet(torn), tmp_path)


def test_a_data_set_is_read_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    library = importlib.import_module("datasets")  # mypy takes the name for the folder of plugins
    rows = library.Dataset.from_dict({"id": [1, 2], "caption": ["a dog", "a cat"]})
    library.DatasetDict({"train": rows}).save_to_disk(tmp_path / "saved")
    rows.save_to_disk(tmp_path / "one")
    (tmp_path / "files").mkdir()
    save(tmp_path / "files" / "train.jsonl", '{"id": 1, "caption": "a dog"}\n{"id": 2, "caption": "a cat"}\n')
    for folder in ("saved", "one", "files"):
        got = [(row, str(position())) for row in read_hf(tmp_path / folder)]
        assert got[1] == ({"id": 2, "caption": "a cat"}, f"{tmp_path}/{folder}: record 2")
    assert list(read_hf(tmp_path / "saved", columns=["id"])) == [{"id": 1}, {"id": 2}]
    assert 'saved: no split "trian"; did you mean "train"? There is train' in fails(
        read_hf(tmp_path / "saved", "trian"), tmp_path
    )
    assert 'did you mean "caption"?' in fails(read_hf(tmp_path / "one", columns=["captions"]), tmp_path)
    assert "no annotations are named" in fails(read_hf(""), tmp_path)


# Groups


def test_rows_are_grouped_in_the_order_in_which_the_groups_appear() -> None:
    rows: list[dict[str, object]] = [
        {"image": "b", "n": 1},
        {"image": "a", "n": 2},
        {"image": "b", "n": 3},
        {"image": 1, "n": 4},
    ]
    rows.append({"image": "1", "n": 5})
    got = [(value, [row["n"] for row in group]) for value, group in grouped(rows, "image")]
    assert got == [("b", [1, 3]), ("a", [2]), (1, [4]), ("1", [5])]
    assert [value for value, _ in grouped(rows, lambda row: str(row["image"]))] == ["b", "a", "1"]
    assert list(grouped([], "image")) == []


def test_many_rows_are_grouped_in_a_temporary_file() -> None:
    rows = ({"image": n % 20_000, "caption": n} for n in range(120_000))
    count = 0
    for value, group in grouped(rows, "image"):
        assert [row["caption"] for row in group] == [value + 20_000 * n for n in range(6)]
        assert value == count
        count += 1
    assert count == 20_000


def test_a_group_is_at_the_position_of_its_first_row(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", "image,caption\n1,x\n2,y\n1,z\n3,w\n")
    got = [(value, str(position()).rpartition("/")[2]) for value, _ in grouped(read_csv(path), "image")]
    assert got == [(str(n), f"a.csv: record {n} (line {n + 1})") for n in (1, 2)] + [("3", "a.csv: record 4 (line 5)")]
    assert position() is None


def test_rows_that_cannot_be_grouped_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", '{"image_id": 1}\n{"imageid": 2}\n')
    told = fails(grouped(read_jsonl(path), "image_id"), tmp_path)
    assert told == 'a.jsonl: record 2 (line 2): no "image_id"; did you mean "imageid"? It has imageid'
    nested = save(tmp_path / "b.jsonl", '{"image_id": [1]}\n')
    assert 'record 1 (line 1): "image_id" is a list' in fails(grouped(read_jsonl(nested), "image_id"), tmp_path)
    text = save(tmp_path / "c.jsonl", '"x"\n')
    assert "rows with columns are expected, this is str" in fails(grouped(read_jsonl(text), "x"), tmp_path)
