"""Reads COCO's captions and boxes from `captions_*.json` and `instances_*.json` (cocodataset.org, 2014 and 2017).

Each file is an object of lists: `annotations` (`image_id`, and `caption` or `category_id` and `bbox`). The second also
has `categories` (`id`, `name`). A box is `[x, y, width, height]` in pixels, from the top left corner of the image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from pathlib import Path

from syphus.errors import InputError
from syphus.io.media import image_files
from syphus.io.records import Record, field, read_json_lists, record_error

_FILE = re.compile(r"(?:COCO_\w+?_)?(\d{1,12})")
#: For dataset cards. The terms of use of cocodataset.org cover the annotations; the photos belong to Flickr's users.
HOMEPAGE, LICENCE = "https://cocodataset.org", "cc-by-4.0"
CITATION = """
@inproceedings{lin2014microsoft,
  title     = {Microsoft {COCO}: Common Objects in Context},
  author    = {Lin, Tsung-Yi and Maire, Michael and Belongie, Serge and Hays, James and Perona, Pietro and
               Ramanan, Deva and Doll{\\'a}r, Piotr and Zitnick, C. Lawrence},
  booktitle = {European Conference on Computer Vision},
  year      = {2014}
}
"""


class Coco:
    """Captions and boxes by image, in the order of the files.

    The files are streamed; about 800 bytes of text per image stay in memory, for the images in `wanted` or for all.
    Raises `InputError` that names the file and the record.
    """

    def __init__(self, captions: str | Path, instances: str | Path, wanted: Container[int] | None = None) -> None:
        self._captions: dict[int, str] = {}  # a line each
        self._boxes: dict[int, str] = {}  # a line each: the number of the category, a blank, the box as JSON
        self._names: dict[int, str] = {}
        self._wanted = wanted
        for _, record in read_json_lists(captions, "annotations"):
            caption = field(record, "caption", str).strip("\r\n")
            self._keep(self._captions, record, " ".join(caption.splitlines()))
        for key, record in read_json_lists(instances, "annotations", "categories"):
            if key == "categories":
                self._names[field(record, "id", int)] = field(record, "name", str)
            else:
                self._keep(self._boxes, record, f"{field(record, 'category_id', int)} {json.dumps(_box(record))}")
        used = {int(line.partition(" ")[0]) for text in self._boxes.values() for line in _lines(text)}
        if unknown := used - set(self._names):
            raise InputError(
                f'{instances}: annotations are of category {min(unknown)}, which "categories" does not name'
            )

    def captions(self, image: int) -> list[str]:
        """Return the captions of an image, or [] if COCO has none.

        Line ends within a caption become spaces; spaces at its end are kept.
        """
        return _lines(self._captions.get(image, ""))

    def boxes(self, image: int) -> list[tuple[str, list[float]]]:
        """Return category and box of every object in an image, including crowds; numbers are as in the file."""
        found = (line.partition(" ") for line in _lines(self._boxes.get(image, "")))
        return [(self._names[int(category)], json.loads(box)) for category, _, box in found]

    def _keep(self, texts: dict[int, str], record: Record, line: str) -> None:
        image = field(record, "image_id", int)
        if self._wanted is None or image in self._wanted:
            texts[image] = texts.get(image, "") + line + "\n"


def coco_files(folder: str | Path) -> Iterator[tuple[int, Path]]:
    """Yield the numbers and paths of COCO's images below a folder. Raises `InputError`.

    Names are `000000000076.jpg` in the releases of 2017, and `COCO_train2014_000000000076.jpg` before.
    """
    for file in image_files(folder):
        if found := _FILE.fullmatch(file.stem):
            yield int(found[1]), file


def _lines(text: str) -> list[str]:
    return text.split("\n")[:-1]


def _box(record: Record) -> list[float]:
    box: list[float] = field(record, "bbox", list)
    if len(box) != 4 or not all(type(number) in (int, float) for number in box):
        raise record_error('"bbox" must be four numbers')
    return box
