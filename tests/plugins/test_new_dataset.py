"""`syphus new`: a plugin and a prompt that run at once, for files of annotations as people have them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from syphus import new_dataset
from syphus.errors import ConfigError, InputError, RunError, StorageError, SyphusError
from syphus.io.record_reader import Record
from syphus.plugins.annotation_shape import columns_of
from syphus.plugins.contract import load_prompt_template, queries
from syphus.plugins.discovery import find_plugin
from syphus.types import Query

TEXTS = [
    "A man rides a horse on the beach",
    "Two dogs play in the snow, happily",
    "A red bus stops at the corner",
    "Somebody cooks soup in a big pot",
]
PAIRS = [(f"{n // 2}.jpg", text) for n, text in enumerate(TEXTS)]  # two captions of each image
ALONE = list(enumerate(TEXTS))
BOTH = [f"{TEXTS[0]}\n{TEXTS[1]}", f"{TEXTS[2]}\n{TEXTS[3]}"]


def lines(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


def coco() -> dict[str, Any]:
    images = [{"id": 70 + n, "height": 4, "file_name": f"COCO_val2014_{n:012}.jpg"} for n in range(2)]
    return {"info": {}, "images": images, "annotations": [
        {"id": n, "image_id": 70 + n // 2, "caption": text} for n, text in ALONE
    ]}  # fmt: skip


def karpathy() -> dict[str, Any]:
    return {"images": [
        {"imgid": n, "filename": f"{n}.jpg", "split": "train", "sentids": [n],
         "sentences": [{"tokens": text.split(), "raw": text} for text in both.split("\n")]}
        for n, both in enumerate(BOTH)
    ], "dataset": "flickr8k"}  # fmt: skip


#: The file, its text or JSON, the ids, the texts, and the first image.
SHAPES: dict[str, tuple[str, Any, list[str], list[str], str]] = {
    "CSV": ("a.csv", lines("image,caption", *(f'{n}.jpg,"{t}"' for n, t in ALONE)), list("0123"), TEXTS, "0"),
    "several captions of an image": (
        "a.csv", lines("image,caption", *(f'{f},"{t}"' for f, t in PAIRS)), ["0", "1"], BOTH, "0",
    ),
    "Flickr30k": (
        "results.csv", lines("image_name| comment_number| comment", *(f"{f}| 0| {t}" for f, t in PAIRS)), ["0", "1"],
        BOTH, "0",
    ),
    "Flickr8k": (
        "token.txt", lines(*(f"{f}#{n % 2}\t{t}" for n, (f, t) in enumerate(PAIRS))), ["0", "1"], BOTH, "0",
    ),
    "CC3M": ("a.tsv", lines(*(f"{t}\thttps://host/{n}.jpg" for n, t in ALONE)), list("0123"), TEXTS, "0"),
    "pandas": (
        "a.csv", lines(",file,width,alt text", *(f'{n},photos/{n}.png,640,"{t}"' for n, t in ALONE)), list("0123"),
        TEXTS, "0",
    ),
    "same names in several folders": (
        "a.csv", lines("path;caption", *(f"{n}/x.png;{t}" for n, t in ALONE)), [f"{n}_x" for n in range(4)], TEXTS,
        "0_x",
    ),
    "no id": ("a.csv", lines("caption", *(f'"{t}"' for t in TEXTS)), list("1234"), TEXTS, ""),
    "lines of text": ("a.txt", lines(*TEXTS), list("1234"), TEXTS, ""),
    "names in Chinese": (
        "数据.csv", lines("图片;描述", *(f"图{n}.jpg;一个男人在海滩上骑马{n}" for n in range(4))),
        [f"图{n}" for n in range(4)], [f"一个男人在海滩上骑马{n}" for n in range(4)], "图0",
    ),
    "odd names": (
        "a b's.csv", lines('"id","it\'s ""here""",{x},def,' + "row\\n", *(f'7{n},"{t}",1,2,3' for n, t in ALONE)),
        ["70", "71", "72", "73"], TEXTS, "",
    ),
    "several columns of captions": (
        "a.csv", lines("file,caption_1,caption_2,caption_3", *(f'{n}.jpg,"{t}",A cat,' for n, t in ALONE)),
        list("0123"), [f"{t}\nA cat" for t in TEXTS], "0",
    ),
    "labels": ("a.csv", lines("path,label", "1.jpg,dog", "2.jpg,cat", "3.jpg,dog"), list("123"), ["dog", "cat", "dog"],
               "1"),
    "Latin-1": ("a.csv", lines("id,caption", *(f"{n},Un café à côté du marché" for n in "12")).encode("latin-1"),
                ["1", "2"], ["Un café à côté du marché"] * 2, ""),
    "COCO": ("captions.json", coco(), [f"COCO_val2014_{n:012}" for n in range(2)], BOTH, "COCO_val2014_000000000000"),
    "Karpathy's": ("dataset.json", karpathy(), ["0", "1"], BOTH, "0"),
    "nested objects": (
        "a.json", [{"image": {"file": f"a/{n}.jpg", "w": 3}, "captions": [t, "A cat"]} for n, t in ALONE], list("0123"),
        [f"{t}\nA cat" for t in TEXTS], "0",
    ),
    "lists of lists": (
        "a.json", [{"id": n, "rounds": [{"turns": [t]}, {"turns": ["A cat", "A dog"]}]} for n, t in ALONE],
        list("0123"), [f"{t}\nA cat\nA dog" for t in TEXTS], "",
    ),
    "texts": ("a.json", TEXTS, list("1234"), TEXTS, ""),
    "pairs": ("a.json", [[f"{n}.jpg", t] for n, t in ALONE], list("0123"), TEXTS, "0"),
    "lists by image": ("a.json", {f"{n}.jpg": [t, "A cat"] for n, t in ALONE}, list("0123"),
                       [f"{t}\nA cat" for t in TEXTS], "0"),
    "texts by id": ("a.json", {f"v{n}": t for n, t in ALONE}, ["v0", "v1", "v2", "v3"], TEXTS, ""),
    "objects by id": ("a.json", {f"v{n}": {"d": 1.5, "sentences": [t]} for n, t in ALONE}, ["v0", "v1", "v2", "v3"],
                      TEXTS, ""),
    "objects by id within": (
        "a.json", {"version": 1, "data": {f"v{n}": {"d": 1.5, "sentences": [t]} for n, t in ALONE}},
        ["v0", "v1", "v2", "v3"], TEXTS, "",
    ),
    "JSON Lines": (
        "a.jsonl", lines(*(json.dumps({"video_id": f"v{n // 2}", "caption": t, "at": [1, 2]}) for n, t in ALONE)),
        ["v0", "v1"], BOTH, "v0",
    ),
    "one line of JSON": ("a.jsonl", lines(json.dumps([{"id": 5, "caption": TEXTS[0]}])), ["5"], TEXTS[:1], ""),
}  # fmt: skip


def made(folder: Path, name: str, path: Path, **columns: str) -> list[Query]:
    """The queries of a new dataset; its prompt is read, too."""
    new = new_dataset(name, path, folder=folder, **columns)
    dataset = find_plugin(new.name, [folder / "datasets"]).create()
    assert load_prompt_template(dataset).in_context
    return list(queries(dataset, path))


@pytest.mark.parametrize(("name", "content", "ids", "texts", "image"), SHAPES.values(), ids=SHAPES)
def test_a_new_dataset_runs_at_once(
    tmp_path: Path, name: str, content: Any, ids: list[str], texts: list[str], image: str
) -> None:
    data = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content))
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    got = made(tmp_path, "My pictures", tmp_path / name)
    assert [query.id for query in got] == ids
    assert [query.text for query in got] == texts
    assert got[0].image_ids == ((f"MP_IMG_{image}",) if image else ())


def test_of_parquet_only_the_needed_columns_are_read(tmp_path: Path) -> None:
    images = [{"bytes": b"x" * 1000, "path": None}] * 4
    table = pyarrow.table({"image": images, "cocoid": list(range(4)), "sentences": [[text] for text in TEXTS]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [query.text for query in made(tmp_path, "Hub", tmp_path / "a.parquet")] == TEXTS
    assert 'read_parquet(path, ["sentences", "cocoid"])' in (tmp_path / "datasets" / "hub.py").read_text("utf-8")
    assert len(made(tmp_path, "Folder", tmp_path)) == 4


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Street", "Street.street"),
        ("street_scenes", "StreetScenes.street_scenes"),
        ("my-captions 2024", "MyCaptions2024.my_captions_2024"),
        ("Street.other", "Street.other"),
        ("street.Other", "Other.street"),
        ("street.py", "Street.street"),
        ("StreetScenes", "StreetScenes.street_scenes"),
        ("class", "Class.class"),
        ("None", "NoneDataset.none"),
        ("json", "Json.json"),
        ("datasets", "Datasets.datasets"),
        ("syphus", "Syphus.syphus"),
        ("Exception", "ExceptionDataset.exception"),
        ("AbstractDataset", "AbstractDatasetDataset.abstract_dataset"),
        ("3d", "Dataset3d.3d"),
        ("été", "Été.été"),
        ("街景", "街景.街景"),
    ],
)
def test_any_name_becomes_a_name_that_works(tmp_path: Path, given: str, name: str) -> None:
    (tmp_path / "a.csv").write_text(lines("id,caption", *(f'{n},"{t}"' for n, t in ALONE)), "utf-8")
    assert len(made(tmp_path, given, tmp_path / "a.csv")) == 4
    assert new_dataset(given, tmp_path / "a.csv", folder=tmp_path / "again").name == name


def test_nothing_is_overwritten_and_nothing_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,caption\n1,A dog runs here\n", "utf-8")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "street.yaml").write_text("mine", "utf-8")
    with pytest.raises(RunError, match="exists already and is not overwritten"):
        new_dataset("Street", tmp_path / "a.csv", folder=tmp_path)
    assert not (tmp_path / "datasets").exists()


def test_both_files_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,caption\n1,A dog runs here\n", "utf-8")
    (tmp_path / "prompts").write_text("in the way", "utf-8")
    with pytest.raises(OSError):  # noqa: PT011 - the command makes one line of any
        new_dataset("Street", tmp_path / "a.csv", folder=tmp_path)
    (tmp_path / "prompts").unlink()
    (tmp_path / "prompts" / ".street.yaml.partial" / "in the way").mkdir(parents=True)
    with pytest.raises(StorageError):
        new_dataset("Street", tmp_path / "a.csv", folder=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.suffix in (".py", ".yaml")] == []


@pytest.mark.parametrize("name", ["", "!!!", "..", "../x/..", "x" * 300])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("id,caption\n1,A dog runs here\n", "utf-8")
    with pytest.raises(ConfigError, match="can't be the name of a dataset"):
        new_dataset(name, tmp_path / "a.csv", folder=tmp_path)


def test_columns_can_be_named(tmp_path: Path) -> None:
    rows = [f'{n},{n % 2},"{t}",A long and winding road leads to the old house' for n, t in ALONE]
    (tmp_path / "a.csv").write_text(lines("nr,scene,note,summary", *rows), "utf-8")
    got = made(tmp_path, "A", tmp_path / "a.csv", text="note", id_column="scene")
    assert [(query.id, query.text.count("\n")) for query in got] == [("0", 1), ("1", 1)]
    with pytest.raises(InputError, match=r'--text notes: .*a.csv has no "notes"; did you mean "note"'):
        new_dataset("B", tmp_path / "a.csv", text="notes", folder=tmp_path)


def test_what_was_guessed_is_reported_and_rows_that_will_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(lines("image,caption,width", *(f"{f},{t.partition(',')[0]},5" for f, t in PAIRS)), "utf-8")
    assert new_dataset("Street", "a.csv").lines == (
        "a.csv: CSV, 4 rows, 2 queries",
        "  id      image, once for all rows with the same",
        "  text    caption",
        "  images  image",
        "  unused  width",
        "Wrote datasets/street.py and prompts/street.yaml.",
    )
    Path("b.jsonl").write_text('{"id": 1, "caption": "A dog runs"}\n{"id": 2, "caption": null}\n', "utf-8")
    told = new_dataset("Road", "b.jsonl").lines
    assert "Note: 1 row has no text in caption." in told
    assert any(line.startswith("Note: b.jsonl: record 2") and "--allow-bad-rows" in line for line in told)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"image,width\n1.jpg,3\n", "no column holds text; it has image, width"),
        ("a.csv", b"image,caption\n", "holds no rows"),
        ("a.csv", b"image,caption\n1.jpg\n", "holds no rows that can be read; the first problem: "),
        ("a.csv", b"", "the file is empty"),
        ("a.json", b'{"a": 1}', "no column holds text"),
        ("a.json", b"[]", "holds no rows"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "is an image; name the annotations here"),
        ("a.xlsx", b"PK\x03\x04", "is a ZIP or Excel file; unzip it, or save the sheet as CSV"),
        ("a.csv", "id,标题\n1,一个男人在海滩上骑马\n".encode("gb18030"), "is not UTF-8; convert it"),
    ],
)
def test_a_file_of_which_nothing_can_be_made_is_refused(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SyphusError) as caught:
        new_dataset("Street", tmp_path / name, folder=tmp_path)
    assert problem in str(caught.value)
    assert not (tmp_path / "datasets").exists()


@pytest.mark.parametrize("bad", [b"{torn", b'{"image": "\xe9.jpg"}', b'{"image": NaN}', b'{"image": ' + b"[" * 3000])
def test_a_bad_row_is_left_out_and_named_and_queries_are_counted(tmp_path: Path, bad: bytes) -> None:
    lines = [json.dumps({"image": f"{n // 3}.jpg", "caption": f"A man rides horse {n}."}).encode() for n in range(30)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*lines[:15], bad, *lines[15:]]))
    said = new_dataset("Street", tmp_path / "a.jsonl", folder=tmp_path).lines
    assert said[0].endswith("JSON Lines, 30 rows, 10 queries")
    note = next(line for line in said if "--allow-bad-rows" in line)
    assert note.startswith("Note: 1 record can't be read: ")
    assert "record 16 (line 16)" in note


@pytest.mark.parametrize(
    "odd", ['{"image": "99.jpg", "caption": 7}', '{"caption": "A cat."}', '{"image": "", "caption": "A cat."}', '["x"]']
)
def test_a_row_of_another_kind_does_not_change_what_the_columns_are(tmp_path: Path, odd: str) -> None:
    rows = [json.dumps({"image": f"{n}.jpg", "caption": f"A man rides horse {n}."}) for n in range(30)]
    (tmp_path / "a.jsonl").write_text("\n".join([*rows[:15], odd, *rows[15:]]), "utf-8")
    said = new_dataset("Street", tmp_path / "a.jsonl", folder=tmp_path).lines
    assert said[1:4] == ("  id      image", "  text    caption", "  images  image")
    assert any("record 16 (line 16)" in line and "--allow-bad-rows" in line for line in said)


def test_a_line_in_another_encoding_is_a_bad_row_of_a_utf8_file(tmp_path: Path) -> None:
    rows = [f"{n}.jpg,A café with {n} chairs".encode() for n in range(30)]
    rows[20] = "20.jpg,a café in the rain".encode("latin-1")
    (tmp_path / "a.csv").write_bytes(b"\n".join([b"image,caption", *rows]) + b"\n")
    said = new_dataset("Street", tmp_path / "a.csv", folder=tmp_path).lines
    assert said[0].endswith("CSV, 29 rows")
    assert any("record 21 (line 22): invalid UTF-8" in line for line in said)


def test_the_columns_of_many_rows_are_found_in_a_moment() -> None:
    rows: list[Record] = [{"id": str(n), "caption": f"Bird {n}."} for n in range(20_000)]
    rows.append({"id": "late", "note": "A column that comes last."})
    begin = time.process_time()
    columns = {column.name: column for column in columns_of(rows)}
    assert time.process_time() - begin < 5  # it took forty seconds while the cells above were made for each row
    assert [len(column.cells) for column in columns.values()] == [20_001] * 3
    assert columns["note"].cells[-2:] == [[], ["A column that comes last."]]
    assert columns["caption"].cells[-2:] == [["Bird 19999."], []]
