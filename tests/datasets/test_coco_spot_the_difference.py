"""CocoSpotTheDifference.change: from `csd_query.json`, and from COCO's own files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from syphus import Pair
from syphus.answers.cleaning import Context, clean
from syphus.errors import InputError
from syphus.plugins.contract import AbstractDataset, load_prompt_template, queries
from syphus.plugins.discovery import find_plugin, shipped_folder
from syphus.types import Query

EXAMPLES = shipped_folder("examples")


@pytest.fixture
def dataset() -> AbstractDataset:
    return find_plugin("CocoSpotTheDifference.change", installed="none").create()


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def coco(folder: Path, pairs: object, captions: object = None, **boxes: object) -> Path:
    """COCO files of images 1 and 20, and the file that names them; returns that."""
    told = [{"image_id": 20, "id": 1, "caption": "A cat."}, {"image_id": 1, "id": 2, "caption": "A dog. "}]
    told += [{"image_id": 1, "id": 3, "caption": "Two\ndogs.\n"}, {"image_id": 3, "id": 4, "caption": "x"}]
    dog = {"image_id": 1, "category_id": 18, "bbox": [0.0, 5.75, 414.2, 7], "iscrowd": 0, "segmentation": [[1, 2]]}
    crowd = {**dog, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 1, **boxes}
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    write(folder / "c.json", {"info": {}, "images": [], "annotations": told if captions is None else captions})
    write(folder / "i.json", {"annotations": [dog, crowd], "categories": categories})
    return write(folder / "pairs.json", {"captions": "c.json", "instances": "i.json", "pairs": pairs})


def fails(dataset: AbstractDataset, path: Path) -> str:
    with pytest.raises(InputError) as caught:
        list(queries(dataset, path))
    return str(caught.value).replace(f"{path.parent}/", "").removesuffix(" (CocoSpotTheDifference.change)")


def test_a_pair_of_coco_images_is_described_as_in_csd_query(dataset: AbstractDataset, tmp_path: Path) -> None:
    (query,) = queries(dataset, coco(tmp_path, [[1, 20]]))
    assert query.id == "000000000001_000000000020"
    assert query.image_ids == ("CGD_IMG_000000000001", "CGD_IMG_000000000020")
    assert query.text == (
        "image a:\nA dog. \nTwo dogs.\ndog: [0.0, 5.75, 414.2, 7]\nperson: [1, 2, 3, 4]\nimage b:\nA cat.\n"
    )
    assert dataset.instruction_id(query, 1) == "CGD_INS_000000000001_000000000020_1"


def test_both_formats_of_the_same_pairs_give_the_same_queries(dataset: AbstractDataset) -> None:
    ready = list(queries(dataset, EXAMPLES / dataset.example))
    own = list(queries(dataset, EXAMPLES / "coco_pairs.json"))
    assert [(query.text, query.image_ids) for query in ready] == [(query.text, query.image_ids) for query in own]
    assert [query.id for query in ready][:-1] == [query.id for query in own][:-1]
    assert all(re.fullmatch(r"CGD_IMG_\d{12}", image) for query in own for image in query.image_ids)
    assert "person: [388, 52, 230, 318]\n" in own[0].text  # a crowd


IMAGES: dict[str, tuple[str, dict[str, object], tuple[str, ...]]] = {
    "by the id of the pair": ("328270_69568", {}, ("CGD_IMG_000000328270", "CGD_IMG_000000069568")),
    "by the record": ("000007", {"images": [328270, 69568]}, ("CGD_IMG_000000328270", "CGD_IMG_000000069568")),
    "by nobody": ("053253", {}, ()),
}


@pytest.mark.parametrize(("pair", "more", "images"), IMAGES.values(), ids=IMAGES)
def test_the_images_of_csd_query_are_named(
    dataset: AbstractDataset, tmp_path: Path, pair: str, more: dict[str, object], images: tuple[str, ...]
) -> None:
    (query,) = queries(dataset, write(tmp_path / "q.json", {pair: {"sentences": "image a:\n", **more}}))
    assert (query.id, query.text, query.image_ids) == (pair, "image a:\n", images)


BAD_QUERIES: dict[str, tuple[object, str]] = {
    "a list": ([1], "q.json: an object is expected at the top of the file, this is an array"),
    "another dataset": ({"v_1": {"duration": 1}}, 'q.json: record 1 (line 1): no "sentences"'),
    "sentences as a list": ({"1": {"sentences": ["x"]}}, '"sentences" must be text, this is a list'),
    "a text": ({"1": "x"}, "q.json: record 1 (line 1): an object is expected, this is text"),
    "one image": ({"1": {"sentences": "x", "images": [1]}}, '"images" must be two different ids of COCO images'),
    "no instances": ({"captions": "c.json", "pairs": []}, 'q.json: no "instances"'),
    "pairs as an object": ({"pairs": {}}, '"pairs" must be a list, this is an object'),
}


@pytest.mark.parametrize(("content", "problem"), BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_a_malformed_csd_query_is_reported(
    dataset: AbstractDataset, tmp_path: Path, content: object, problem: str
) -> None:
    assert problem in fails(dataset, write(tmp_path / "q.json", content))


BAD_COCO: dict[str, tuple[dict[str, Any], str]] = {
    "an image with itself": ({"pairs": [[1, 20], [1, 1]]}, "pair 2 must be two different ids of COCO images"),
    "images as text": ({"pairs": [["1", "20"]]}, "pair 1 must be two different ids of COCO images"),
    "an unknown image": ({"pairs": [[1, 21]]}, "pairs.json: pair 1: c.json has no captions of image 21"),
    "no caption": (
        {"pairs": [[1, 20]], "captions": [{"image_id": 1}]},
        'c.json: annotations, record 1 (line 1): no "c',
    ),
    "three numbers": (
        {"pairs": [[1, 20]], "bbox": [1, 2, 3]},
        'i.json: annotations, record 2 (line 1): "bbox" must be',
    ),
    "an unknown category": ({"pairs": [[1, 20]], "category_id": 9}, "i.json: annotations are of category 9, which"),
}


@pytest.mark.parametrize(("content", "problem"), BAD_COCO.values(), ids=BAD_COCO)
def test_bad_coco_files_are_reported(
    dataset: AbstractDataset, tmp_path: Path, content: dict[str, Any], problem: str
) -> None:
    assert problem in fails(dataset, coco(tmp_path, **content))


def test_a_missing_coco_file_is_reported(dataset: AbstractDataset, tmp_path: Path) -> None:
    path = coco(tmp_path, [[1, 20]])
    (tmp_path / "i.json").unlink()
    assert fails(dataset, path) == 'pairs.json: "instances" names i.json, which is not a file'


def test_the_prompt_tells_the_truth_about_boxes(dataset: AbstractDataset) -> None:
    prefix = load_prompt_template(dataset)
    assert "`name: [x, y, width, height]`" in prefix.system_message
    assert "in pixels" in prefix.system_message
    assert "ormali" not in prefix.system_message
    assert [message["role"] for message in prefix.in_context] == ["user", "assistant"] * 2


GOOD = Pair("What differs?", "The first image shows a dog, the second image two cats.")


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([GOOD], "not 2 pairs"),
        ([GOOD, Pair("Why?", "Because."), Pair("Who?", "He.")], "not 2 pairs"),
        ([GOOD, Pair("Where?", "At [12.5, 3, 4, 5].")], "gives coordinates"),
        ([GOOD, Pair("How large?", "It is 120 pixels wide.")], "gives coordinates"),
        ([GOOD, Pair("Where?", "On the left.")], None),
        ([GOOD, Pair("Where?", "The dog is beside a bicycle.")], "a thing that the annotation does not hold"),
    ],
)
def test_what_a_good_answer_holds(dataset: AbstractDataset, pairs: list[Pair], reason: str | None) -> None:
    rejections = clean(pairs, dataset.rules, Context(Query("q", "image a:\na dog\nimage b:\ncats\n"))).rejections
    assert list(rejections) == ([reason] if reason else [])
