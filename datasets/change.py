"""Datasets about what has changed between two images."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeGuard

from syphus import AbstractDataset, Still, field, image_files, read_json, read_json_items, texts
from syphus.cleaning import images_in_order, no_boxes, numbers_of_the_annotation, pairs_between
from syphus.errors import InputError
from syphus.io.coco import CITATION, HOMEPAGE, LICENCE, Coco, coco_files
from syphus.io.records import check_name, name_field, record_error
from syphus.selection import things_of_the_annotation


class SpotTheDifference(AbstractDataset):
    """Spot-the-Diff: what changed between two frames of a surveillance camera."""

    short_name = "SD"
    prompt = "spot_the_difference"
    query_inputs_path = "annotations/spot_the_difference/train.json"
    example = "spot_the_difference.json"
    rules = (*images_in_order, numbers_of_the_annotation, things_of_the_annotation)
    homepage = "https://github.com/harsh19/spot-the-diff"
    citation = """
@inproceedings{jhamtani2018learning,
  title     = {Learning to Describe Differences Between Pairs of Similar Images},
  author    = {Jhamtani, Harsh and Berg-Kirkpatrick, Taylor},
  booktitle = {Proceedings of the 2018 Conference on Empirical Methods in Natural Language Processing},
  year      = {2018}
}
"""

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """One query a record. `img_id` repeats in the file, so an id adds a hash of the text: no row names another."""
        for record in read_json(path):
            image = f"{name_field(record, 'img_id'):0>5}"
            text = "\n".join(texts(record, "sentences"))
            yield {
                "id": f"{image}_{blake2b(text.encode(), digest_size=3).hexdigest()}",
                "sentences": text,
                "image_ids": [_frame_of(image, 1), _frame_of(image, 2)],
            }

    def _load_images(self, path: str) -> Iterator[Still]:
        """`76.png` and `76_2.png` of a folder, or with another ending; `76_diff.jpg` is passed over."""
        for file in image_files(path):
            if found := re.fullmatch(r"(\d+)(_2)?", file.stem):
                yield Still(_frame_of(f"{found[1]:0>5}", 2 if found[2] else 1), file)


def _frame_of(image: str, number: int) -> str:
    return f"SD_IMG_{image}_{number}"


class CocoSpotTheDifference(AbstractDataset):
    """COCO General Difference: what differs between two photos that look alike.

    The input is `csd_query.json`, or an object that names COCO's own files and the pairs of images to ask about:
    `{"captions": "captions_train2017.json", "instances": "instances_train2017.json", "pairs": [[1296, 328270], ...]}`.
    """

    short_name = "CGD"
    prompt = "coco_spot_the_difference"
    query_inputs_path = "annotations/coco_spot_the_difference/csd_query.json"
    example = "coco_spot_the_difference.json"
    rules = (*images_in_order, pairs_between(2, 2), no_boxes, things_of_the_annotation)
    homepage, licence, citation = HOMEPAGE, LICENCE, CITATION

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """One query a pair of images; the two shapes of input are told apart by the keys."""
        named: dict[str, Any] = {}
        for key, value in read_json_items(path):
            if key in _COCO_KEYS:
                named[key] = field({key: value}, key, _COCO_KEYS[key])
            else:
                pair = check_name(key, "the id of a pair")
                yield {"id": pair, "sentences": field(value, "sentences", str), "image_ids": _images(pair, value)}
        if named:
            yield from _from_coco(Path(path), named)

    def _also_reads(self, path: str) -> list[Path]:
        """COCO's files, where the input names some; `csd_query.json` names none, and begins with another key."""
        named = next(read_json_items(path), ("", None))[0] in _COCO_KEYS
        return [Path(path).parent / str(v) for k, v in read_json_items(path) if k != "pairs"] if named else []

    def _load_images(self, path: str) -> Iterator[Still]:
        """The photos of COCO in a folder, `000000000076.jpg` or `COCO_train2014_000000000076.jpg`."""
        for image, file in coco_files(path):
            yield Still(_image_key(image), file)


_COCO_KEYS: dict[str, type[Any]] = {"captions": str, "instances": str, "pairs": list}


def _images(pair: str, record: Mapping[str, object]) -> list[str]:
    """The keys of the two images of a record of `csd_query.json`: it may name them, and so may the id of the pair."""
    if "images" in record:
        if _is_pair(record["images"]):
            return _image_keys(record["images"])
        raise record_error(f'"images" must be {_PAIR}')
    found = re.fullmatch(r"(\d{1,12})[_-](\d{1,12})", pair)
    return _image_keys([int(found[1]), int(found[2])]) if found else []


def _from_coco(path: Path, named: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    """The queries about pairs of COCO images; `named` is what the file at `path` holds."""
    if missing := [key for key in _COCO_KEYS if key not in named]:
        raise InputError(f'{path}: no "{missing[0]}"')
    pairs = named["pairs"]
    for number, pair in enumerate(pairs, 1):
        if not _is_pair(pair):
            raise InputError(f"{path}: pair {number} must be {_PAIR}")
    files = {key: path.parent / named[key] for key in ("captions", "instances")}
    if missing := [key for key, file in files.items() if not file.is_file()]:
        raise InputError(f'{path}: "{missing[0]}" names {files[missing[0]]}, which is no file')
    captions, instances = files.values()
    coco = Coco(captions, instances, wanted={image for pair in pairs for image in pair})
    for number, pair in enumerate(pairs, 1):
        if unknown := [image for image in pair if not coco.captions(image)]:
            raise InputError(f"{path}: pair {number}: {captions} has no captions of image {unknown[0]}")
        yield {
            "id": "_".join(f"{image:012}" for image in pair),
            "sentences": "".join(_described(coco, letter, image) for letter, image in zip("ab", pair, strict=True)),
            "image_ids": _image_keys(pair),
        }


def _described(coco: Coco, letter: str, image: int) -> str:
    """One image as `csd_query.json` has it: a caption a line, then an object a line with its box in pixels."""
    boxes = (f"{category}: {json.dumps(box)}" for category, box in coco.boxes(image))
    return "".join(f"{line}\n" for line in (f"image {letter}:", *coco.captions(image), *boxes))


_PAIR = "two different ids of COCO images"


def _is_pair(value: object) -> TypeGuard[Sequence[int]]:
    return (
        isinstance(value, list)
        and len({image for image in value if type(image) is int and image >= 0}) == len(value) == 2
    )


def _image_keys(pair: Sequence[int]) -> list[str]:
    return [_image_key(image) for image in pair]


def _image_key(image: int) -> str:
    return f"CGD_IMG_{image:012}"
