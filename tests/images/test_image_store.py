"""One image out of a store by its id, whoever wrote the store, and what broken stores are told to be."""

from __future__ import annotations

import base64
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas
import pyarrow
import pyarrow.parquet
import pytest

from syphus.errors import InputError
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
def test_a_broken_json_store_is_told_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "XX.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        open_store(path)
    assert str(caught.value) == f"{path}: {problem}"


def test_a_broken_image_is_told_with_its_id(tmp_path: Path) -> None:
    (tmp_path / "XX.json").write_text('{"a": "QQ=", "b": "Q\\/=="}', "utf-8")
    with open_store(tmp_path / "XX.json") as store:
        assert store["b"] == b"C"
        with pytest.raises(InputError, match=r"XX\.json: a: not an image in base64"):
            store["a"]


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
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
