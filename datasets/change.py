"""Datasets about the differences between two images."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeGuard

from syphus import AbstractDataset, Still, field, image_files, read_json, read_json_items, texts
from syphus.cleaning import images_in_order, no_boxes, numbers_of_the_annotation, pairs_between, times_of_the_annotation
from syphus.errors import InputError
from syphus.io.coco import CITATION, HOMEPAGE, LICENCE, Coco, coco_files
from syphus.io.records import check_name, name_field, record_error
from syphus.selection import (
    changes_of_the_annotation,
    colours_of_the_annotation,
    names_of_the_annotation,
    things_of_the_annotation,
)


class SpotTheDifference(AbstractDataset):
    """Spot-the-Diff: what changed between two frames of a surveillance camera."""

    short_name = "SD"
    prompt = "spot_the_difference"
    query_inputs_path = "annotations/spot_the_difference/train.json"
    example = "spot_the_difference.json"
    rules = (
        *images_in_order,
        numbers_of_the_annotation,
        times_of_the_annotation,
        names_of_the_annotation,
        colours_of_the_annotation,
        changes_of_the_annotation,
        things_of_the_annotation,
    )
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
        """Yield one query per record. `img_id` is not unique in the file, so the id adds a hash of the text."""
        for record in read_json(path):
            image = f"{name_field(record, 'img_id'):0>5}"
            text = "\n".join(texts(record, "sentences"))
            yield {
                "id": f"{image}_{blake2b(text.encode(), digest_size=3).hexdigest()}",
                "sentences": text,
                "image_ids": [_frame_key(image, 1), _frame_key(image, 2)],
            }

    def _load_images(self, path: str) -> Iterator[Still]:
        """Yield the images of a folder: `76.png` and `76_2.png`, with any extension. `76_diff.jpg` is skipped."""
        for file in image_files(path):
            if found := re.fullmatch(r"(\d+)(_2)?", file.stem):
                yield Still(_frame_key(f"{found[1]:0>5}", 2 if found[2] else 1), file)


def _frame_key(image: str, number: int) -> str:
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
        """Yield one query per pair of images. The keys show which of the two input formats the file has."""
        coco_input: dict[str, Any] = {}
        for key, value in read_json_items(path):
            if key in _COCO_KEYS:
                coco_input[key] = field({key: value}, key, _COCO_KEYS[key])
            else:
                pair = check_name(key, "the id of a pair")
                yield {
                    "id": pair,
                    "sentences": field(value, "sentences", str),
                    "image_ids": _pair_image_keys(pair, value),
                }
        if coco_input:
            yield from _coco_queries(Path(path), coco_input)

    def _also_reads(self, path: str) -> list[Path]:
        """Return COCO's files, if the input names them; `csd_query.json` does not, and its first key is another one."""
        names_files = next(read_json_items(path), ("", None))[0] in _COCO_KEYS
        return [Path(path).parent / str(v) for k, v in read_json_items(path) if k != "pairs"] if names_files else []

    def _load_images(self, path: str) -> Iterator[Still]:
        """Yield the COCO photos of a folder: `000000000076.jpg` or `COCO_train2014_000000000076.jpg`."""
        for image, file in coco_files(path):
            yield Still(_image_key(image), file)


_COCO_KEYS: dict[str, type[Any]] = {"captions": str, "instances": str, "pairs": list}


def _pair_image_keys(pair: str, record: Mapping[str, object]) -> list[str]:
    """Return the keys of the two images of a record of `csd_query.json`, named in the record or by the pair's id."""
    if "images" in record:
        if _is_pair(record["images"]):
            return _image_keys(record["images"])
        raise record_error(f'"images" must be {_PAIR}')
    found = re.fullmatch(r"(\d{1,12})[_-](\d{1,12})", pair)
    return _image_keys([int(found[1]), int(found[2])]) if found else []


def _coco_queries(path: Path, coco_input: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    """Yield the queries about pairs of COCO images; `coco_input` is the content of the file at `path`."""
    if missing := [key for key in _COCO_KEYS if key not in coco_input]:
        raise InputError(f'{path}: no "{missing[0]}"')
    pairs = coco_input["pairs"]
    for number, pair in enumerate(pairs, 1):
        if not _is_pair(pair):
            raise InputError(f"{path}: pair {number} must be {_PAIR}")
    files = {key: path.parent / coco_input[key] for key in ("captions", "instances")}
    if missing := [key for key, file in files.items() if not file.is_file()]:
        raise InputError(f'{path}: "{missing[0]}" names {files[missing[0]]}, which is not a file')
    captions, instances = files.values()
    coco = Coco(captions, instances, wanted={image for pair in pairs for image in pair})
    for number, pair in enumerate(pairs, 1):
        if unknown := [image for image in pair if not coco.captions(image)]:
            raise InputError(f"{path}: pair {number}: {captions} has no captions of image {unknown[0]}")
        yield {
            "id": "_".join(f"{image:012}" for image in pair),
            "sentences": "".join(_image_lines(coco, letter, image) for letter, image in zip("ab", pair, strict=True)),
            "image_ids": _image_keys(pair),
        }


def _image_lines(coco: Coco, letter: str, image: int) -> str:
    """Return the lines of one image as in `csd_query.json`: its captions, then its objects with boxes in pixels."""
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
