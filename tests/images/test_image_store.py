"""One image out of a store by its id, whoever wrote the store, and what broken stores are told to be."""

from __future__ import annotations

import base64
import json
import random
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from media import write_still

from syphus.errors import ImageError, InputError
from syphus.images.convert import convert
from syphus.images.convert_options import ConvertOptions
from syphus.images.parquet_store import INDEX
from syphus.images.store import open_store, read_images

PICTURES = {f"XX_IMG_{n:05}": random.Random(n).randbytes(50 + n) for n in range(40)}
PICTURES['XX_IMG_ä "q" \\ 図'] = b"\xff\xfe picture"


def frame() -> pandas.DataFrame:
    texts = {name: base64.b64encode(data).decode() for name, data in PICTURES.items()}
    return pandas.DataFrame.from_dict(texts, orient="index", columns=["base64"])


def by_pandas(folder: Path) -> Path:
    frame().to_parquet(folder / "XX.parquet", row_group_size=7)
    return folder / "XX.parquet"


def by_dask(folder: Path) -> Path:
    import dask
    import dask.dataframe

    with dask.config.set(scheduler="synchronous"), warnings.catch_warnings(action="ignore"):  # between it and pandas
        dask.dataframe.from_pandas(frame(), npartitions=12).to_parquet(folder / "XX", engine="pyarrow")
    return folder / "XX"


def by_datasets(folder: Path) -> Path:
    images = [{"bytes": data, "path": None} for data in PICTURES.values()]
    pyarrow.parquet.write_table(pyarrow.table({"id": list(PICTURES), "image": images}), folder / "XX.parquet")
    return folder / "XX.parquet"


def as_json(folder: Path) -> Path:
    frame()["base64"].to_json(folder / "XX.json", force_ascii=False)
    return folder / "XX.json"


def as_json_url_safe(folder: Path) -> Path:
    texts = {name: base64.urlsafe_b64encode(data).decode() for name, data in PICTURES.items()}
    (folder / "XX.json").write_text("\ufeff " + json.dumps(texts, indent=2) + "\n", "utf-8")
    return folder / "XX.json"


@pytest.mark.parametrize("write", [by_pandas, by_dask, by_datasets, as_json, as_json_url_safe])
def test_an_image_is_found_by_its_id_in_stores_of_every_layout(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    with open_store(path) as store:
        assert len(store) == len(PICTURES)
        assert {name: store[name] for name in reversed(PICTURES)} == PICTURES
        assert "XX_IMG_00007" in store
        assert "XX_IMG_7" not in store
        with pytest.raises(KeyError):
            store["XX_IMG_7"]
    assert dict(read_images(path)) == PICTURES
    if write is not by_dask:  # which sorts them
        assert [name for name, _ in read_images(path)] == list(PICTURES)


BROKEN = {
    "nothing": ("", "the file is empty"),
    "array": ('["a"]', 'byte 0: expected one object of "image id": "base64"'),
    "nested": ('{"a": {"base64": "QQ=="}}', 'byte 1: expected one object of "image id": "base64"'),
    "torn": ('{"a": "QQ==", "b": "QQ', 'byte 14: expected one object of "image id": "base64"'),
    "more": ('{"a": "QQ=="} {}', 'byte 14: expected one object of "image id": "base64"'),
    "half a letter": ('{"\\ud800x\\": "QQ=="}', 'byte 1: expected one object of "image id": "base64"'),
}


@pytest.mark.parametrize(("text", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_broken_json_store_is_reported_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "XX.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        open_store(path)
    assert str(caught.value) == f"{path}: {problem}"


def picture() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_still(Path(folder, "a.jpg"), 5).read_bytes()


PICTURE = picture()
BASE64 = base64.b64encode(PICTURE).decode()
VALUES: dict[str, tuple[pyarrow.Array, str]] = {
    "binary": (pyarrow.array([BASE64.encode()]), ""),
    "large binary": (pyarrow.array([BASE64.encode()], pyarrow.large_binary()), ""),
    "bytes of the image": (pyarrow.array([PICTURE]), ""),
    "dictionary": (pyarrow.array([BASE64]).dictionary_encode(), ""),
    "large text": (pyarrow.array([BASE64], pyarrow.large_string()), ""),
    "a list of one": (pyarrow.array([[BASE64]]), ""),
    "a list of bytes": (pyarrow.array([list(PICTURE)], pyarrow.list_(pyarrow.uint8())), ""),
    "a struct": (pyarrow.array([{"bytes": PICTURE, "path": "a.jpg"}]), ""),
    "a data uri": (pyarrow.array([f"data:image/jpeg;base64,{BASE64}"]), ""),
    "a data uri with its type": (pyarrow.array([f"DATA:image/jpeg;charset=utf-8;base64,{BASE64}"]), ""),
    "a data uri, quoted": (
        pyarrow.array(["data:;base64," + BASE64.replace("+", "%2B").replace("=", "%3D")]),
        "",
    ),
    "line breaks": (pyarrow.array([base64.encodebytes(PICTURE).decode()]), ""),
    "for addresses, without padding": (pyarrow.array([base64.urlsafe_b64encode(PICTURE).decode().rstrip("=")]), ""),
    "bytes made into text": (pyarrow.array([str(BASE64.encode())]), ""),
    "base64 twice": (pyarrow.array([base64.b64encode(BASE64.encode()).decode()]), ""),
    "null": (pyarrow.array([None], pyarrow.string()), "null"),
    "no bytes": (pyarrow.array([{"bytes": None, "path": "a.jpg"}]), "the path of a file, not an image"),
    "several": (pyarrow.array([[BASE64, BASE64]]), "a list of 2 values, not an image"),
    "an empty list": (pyarrow.array([[]], pyarrow.list_(pyarrow.string())), "a list of 0 values, not an image"),
    "cut off": (pyarrow.array([BASE64[:402]]), "not an image in base64"),
    "a path": (pyarrow.array(["images/7.jpg"]), "not an image in base64"),
    "an svg in words": (pyarrow.array(["data:image/svg+xml,<svg/>"]), "a data URI without base64"),
    "a number": (pyarrow.array([7]), "not an image in base64"),
}


@pytest.mark.parametrize(("value", "problem"), VALUES.values(), ids=VALUES)
def test_an_image_is_read_as_any_program_wrote_it(tmp_path: Path, value: pyarrow.Array, problem: str) -> None:
    ids = pyarrow.array(["KI_IMG_1"]).dictionary_encode()
    pyarrow.parquet.write_table(pyarrow.table({"base64": value, INDEX: ids}), tmp_path / "KI.parquet")
    ((name, found),) = read_images(tmp_path / "KI.parquet")
    assert name == "KI_IMG_1"
    assert found == PICTURE if not problem else isinstance(found, ImageError) and found.problem == problem
    with open_store(tmp_path / "KI.parquet") as store:
        if problem:
            with pytest.raises(ImageError, match=f"KI_IMG_1: {problem}"):
                store["KI_IMG_1"]
        else:
            assert store["KI_IMG_1"] == PICTURE


def test_one_bad_image_of_a_json_store_is_its_own_fault(tmp_path: Path) -> None:
    path = tmp_path / "XX.json"
    bad = {"b": None, "c": 7, "d": [BASE64, BASE64], "e": True, "f": "x.jpg", "g": ""}
    path.write_text(json.dumps({"a": BASE64, **bad, "h": [BASE64], "i": f"data:image/jpeg;base64,{BASE64}"}), "utf-8")
    found = dict(read_images(path))
    assert {name: image for name, image in found.items() if image == PICTURE} == dict.fromkeys("ahi", PICTURE)
    assert {name for name, image in found.items() if isinstance(image, ImageError)} == set("bcdef")
    done = convert(ConvertOptions(from_=path, output=str(tmp_path / "XX.parquet")), *[lambda *_: None] * 3)
    assert (done.images, done.skipped) == (3, 6)
    assert '{"id": "g", "reason": "0 bytes"}' in (tmp_path / "XX.parquet.skipped.jsonl").read_text("utf-8")


def test_what_nothing_opens_is_not_converted(tmp_path: Path) -> None:
    texts = {"a": BASE64, "b": "QQ==", "c": base64.b64encode(b"\0\0\0\x18ftypheic").decode()}
    (tmp_path / "XX.json").write_text(json.dumps(texts), "utf-8")
    done = convert(
        ConvertOptions(from_=tmp_path / "XX.json", output=str(tmp_path / "XX.parquet")), *[lambda *_: None] * 3
    )
    assert (done.images, done.skipped) == (1, 2)
    listed = (tmp_path / "XX.parquet.skipped.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["reason"] for line in listed] == [
        "not an image", "HEIC is not read: convert it to JPEG or PNG first"
    ]  # fmt: skip


def test_a_broken_image_is_reported_with_its_id(tmp_path: Path) -> None:
    (tmp_path / "XX.json").write_text('{"a": "QQ=", "b": "Q\\/=="}', "utf-8")
    with open_store(tmp_path / "XX.json") as store:
        assert store["b"] == b"C"
        with pytest.raises(InputError, match=r"XX\.json: a: not an image in base64"):
            store["a"]


def test_what_is_no_store_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        open_store(tmp_path / "XX")
    with pytest.raises(InputError, match="a folder without a parquet file"):
        open_store(tmp_path)
    pyarrow.parquet.write_table(pyarrow.table({"base64": ["QQ=="], "id": ["a"]}), tmp_path / "XX.parquet")
    with pytest.raises(InputError, match="not an image store: it needs a column base64, and the ids as its index"):
        open_store(tmp_path)
    (tmp_path / "XX.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(InputError, match=r"XX\.parquet: "):
        open_store(tmp_path)


@pytest.mark.parametrize(
    ("output", "is_folder"), [("XX.parquet", False), ("YY.parquet/", True), ("ZZ", True), ("W.json/", True)]
)
def test_a_slash_asks_for_a_folder_of_parts(tmp_path: Path, output: str, is_folder: bool) -> None:
    (tmp_path / "in.json").write_text(json.dumps({"XX_IMG_1": BASE64}), "utf-8")
    convert(ConvertOptions(from_=tmp_path / "in.json", output=f"{tmp_path}/{output}"), *[lambda *_: None] * 3)
    assert (tmp_path / output).is_dir() == is_folder
    with open_store(tmp_path / output) as store:
        assert store["XX_IMG_1"] == PICTURE
