"""The images of queries: those that were sent, and those of the image store that the pairs name.

They are numbered in one list for each query. If all images were sent, they have the names in the store.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.ledger.parts import marks
from syphus.ledger.serialization import load_images
from syphus.ledger.store import Store
from syphus.types import PromptImage

TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WebP": "image/webp",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
}  #: of the images that browsers show; an SVG is a program
IN_STORE = "store"  #: the kind of an image that is known by its id alone
_SHOWN = 12  #: images of a row of a list
#: The end of an id of `syphus.declarations.Video`: the second, padded with zeros to 4 or 8 digits.
_SECOND = re.compile(r"(.*\D)(\d{4}|\d{8})", re.DOTALL)


class ViewJob(NamedTuple):
    """An image to read. `images` are the stores and folders to look in, `run` is the run's folder."""

    image: PromptImage
    images: tuple[Path, ...]
    run: Path
    plugin: str  #: that knows which file of a folder an id means, "" for none
    plugin_folders: tuple[Path, ...]
    size: int  #: scale to this longest side in pixels, 0 for as it is


class ShownImage(NamedTuple):
    """An image of a query. `seconds` is where in its video a frame is, None for other images."""

    image: PromptImage
    name: str
    kind: str  #: "prompt" if the plugin handed it over, "folder" for a file, "store" for an id
    seconds: float | None = None

    def as_json(self, k: int, address: str) -> dict[str, object]:
        """Return it as JSON values; `k` is its number, `address` that of the images of its query."""
        digest = f"?digest={self.image.digest}" if self.image.digest else ""
        return {
            "k": k,
            "url": f"{address}/{k}{digest}",
            "kind": self.kind,
            "name": self.name,
            "seconds": self.seconds,
            "width": self.image.width or None,
            "height": self.image.height or None,
            "problem": self.image.problem,
        }


def images_of(sent: Sequence[PromptImage], image_ids: Sequence[str]) -> list[ShownImage]:
    """Return the images of a query: those that were sent with it, and those of the store that its pairs name."""
    known = {image.id for image in sent if image.id}
    if len(sent) == len(image_ids):  # the same images: the store has the names
        shown = [ShownImage(image, name, _kind(image)) for image, name in zip(sent, image_ids, strict=True)]
    else:
        shown = [ShownImage(image, image.name, _kind(image)) for image in sent]
        others = [name for name in image_ids if name not in known] if known or not sent else []
        shown += [ShownImage(PromptImage(id=name), name, IN_STORE) for name in others]
    seconds = _seconds([each.name for each in shown])
    return [each._replace(seconds=second) for each, second in zip(shown, seconds, strict=True)]


def _kind(image: PromptImage) -> str:
    return "folder" if image.path else IN_STORE if image.id else "prompt"


def _seconds(names: Sequence[str]) -> list[float | None]:
    """Return the second of each frame if the names are those of frames of one video, else None for each."""
    found = [_SECOND.fullmatch(name) for name in names]
    if len(names) > 1 and all(found) and len({match and match[1] for match in found}) == 1:
        return [float(match[2]) if match else None for match in found]
    return [None] * len(names)


def sent_images(store: Store, numbers: Sequence[int]) -> dict[int, tuple[PromptImage, ...]]:
    """Return the images that were sent with queries, by their numbers. Old ledgers have no table of images."""
    if not store.has_table("picture"):
        return {}
    rows = store.read(f"SELECT n, images FROM picture WHERE n IN ({marks(numbers)})", *numbers)
    return {n: load_images(images) for n, images in rows}


def images_of_query(store: Store, n: int) -> list[ShownImage]:
    """Return the images of a query by its number; none if there is no such query."""
    image_ids = store.read_value("SELECT image_ids FROM annotation WHERE n = ?", n)
    return images_of(sent_images(store, [n]).get(n, ()), orjson.loads(image_ids or "[]"))


def listed_images(store: Store, image_ids: Mapping[int, str]) -> dict[int, list[dict[str, object]]]:
    """Return number and kind of the first images of queries, by the numbers of the queries."""
    sent = sent_images(store, list(image_ids))
    return {
        n: [
            {"k": k, "kind": each.kind} for k, each in enumerate(images_of(sent.get(n, ()), orjson.loads(ids))[:_SHOWN])
        ]
        for n, ids in image_ids.items()
    }
