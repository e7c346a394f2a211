"""What is to be converted, and how: the options of `convert`, each declared once, and whether they can be meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from syphus.config.options import option
from syphus.errors import ConfigError, InputError

# FOLDED from look.py:
# What images become: told by the user, and needed by every process that decodes.

MOST_PIXELS = 50_000_000  #: that an image or a video may have; a phone's camera has 50 million
LARGEST_SIDE = 16_384


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """What images become.

    `size` is (width, height) in pixels, None for that of the source; with `keep_aspect` the picture fits into it.
    `passing` are the formats of images that are already right. `lenient` takes what is a guess otherwise: CMYK, 16 bits
    a channel, the first picture of an animation.
    """

    size: tuple[int, int] | None = (224, 224)
    keep_aspect: bool = False
    format: Literal["JPEG", "PNG"] = "JPEG"
    quality: int = 90
    passing: tuple[str, ...] = ("JPEG",)
    most_pixels: int = MOST_PIXELS
    lenient: bool = False

    def target(self, width: int, height: int) -> tuple[int, int]:
        """The size that a picture of this size gets."""
        if self.size is None:
            return width, height
        if not self.keep_aspect:
            return self.size
        scale = min(self.size[0] / width, self.size[1] / height)
        return max(1, round(width * scale)), max(1, round(height * scale))


def make_encode_options(
    size: tuple[int, int] | None, keep_aspect: bool, image_format: str, quality: int, most_pixels: int, lenient: bool
) -> EncodeOptions:
    """A look as a user tells it; where no format is named, images that keep their size keep theirs, JPEG or PNG.

    Raises `ConfigError`.
    """
    named: Literal["JPEG", "PNG"] | None
    match image_format.lower():
        case "":
            named = None
        case "jpeg" | "jpg":
            named = "JPEG"
        case "png":
            named = "PNG"
        case _:
            raise ConfigError(f"--image_format {image_format}: there is jpeg and png.")
    if not 1 <= quality <= 100 or most_pixels < 1:
        raise ConfigError("--quality is a number from 1 to 100, --max_pixels one from 1.")
    if size is not None and max(size) > LARGEST_SIDE:
        raise ConfigError(f"--size: up to {LARGEST_SIDE:,} pixels.")
    passing = ("JPEG", "PNG") if size is None and named is None else (named or "JPEG",)
    return EncodeOptions(size, keep_aspect, named or "JPEG", quality, passing, most_pixels, lenient)


LAYOUTS = ("base64", "datasets")  #: of the columns, by `columns.py`
_MOST_PART = 1_900  # MB: no part is over 2 GB, with the image that fills it
_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """The options of `convert`."""

    name: str = option("", "The dataset: YourDataset.your_dataset, or your_dataset.YourDataset.")
    image_path: str = option("", "The folder of its images or videos, or the file that lists them.")
    output: Path = option(Path(), "The store: XX.parquet, XX.json, or a folder of parts for a large one.")
    image_root: tuple[Path, ...] = option((), "Another folder that may be read, and where relative paths start.")
    query_inputs_path: str = option("", "Annotations: just the images that their rows name.", "-in")
    from_: Path | None = option(None, "Another store instead of a dataset: its images go over as they are.")

    size: str = option("224", "Pixels of an image, N or WxH.")
    keep_aspect: bool = option(False, "Fit images into this size, undistorted.")
    original: bool = option(False, "Leave images at the size that they have.")
    image_format: str = option("", "jpeg or png; jpeg if nothing says otherwise.")
    quality: int = option(90, "Of JPEG, from 1 to 100.")
    lenient: bool = option(False, "Take CMYK, 16 bits a channel, and the first picture of animations, too.")
    max_pixels: int = option(MOST_PIXELS, "More than these are a bomb.")

    layout: str = option("base64", "base64 for Otter and MIMIC-IT, datasets for raw bytes with the Image feature.")
    part_mb: int = option(256, "Megabytes of images in a part.")
    num_threads: int = option(0, "Processes that decode; 0 is one for each core.")
    max_bad: float = option(1.0, "Stop where more than this share can't be taken; 1 never does.")
    timeout: float = option(60.0, "Seconds that an image may take.")
    download: bool = option(False, "Get photos that are not in the --image_root yet from the web, politely.")
    requests_per_second: float = option(5.0, "Of a download.")
    restart: bool = option(False, "Begin anew, and write over what is there.")
    datasets_dir: tuple[Path, ...] = option((), "Another folder with plugins; may be given several times.")
    json: bool = option(False, "Print the summary as JSON.")

    @property
    def look(self) -> EncodeOptions:
        """What images become. Raises `ConfigError`."""
        found = _SIZE.fullmatch(self.size)
        if not found or not int(found[1]) or int(found[2] or 1) < 1:
            raise ConfigError(f"--size {self.size}: a number of pixels, or two as in 336x224.")
        size = None if self.original else (int(found[1]), int(found[2] or found[1]))
        return make_encode_options(
            size, self.keep_aspect, self.image_format, self.quality, self.max_pixels, self.lenient
        )

    @property
    def kind(self) -> str:
        """.parquet, .json, or "" for a folder of parts."""
        return self.output.suffix if self.output.suffix in (".parquet", ".json") else ""

    @property
    def work(self) -> Path:
        """The folder of what is not finished."""
        return self.output.with_name(f".{self.output.name}.convert")

    @property
    def skipped(self) -> Path:
        """The list of what could not be taken."""
        return self.output.with_name(f"{self.output.name}.skipped.jsonl")


def check(wish: ConvertOptions) -> None:
    """Raises `UsageError` for what can't be meant."""
    _check_source(wish)
    if not wish.output.name:
        raise ConfigError("Where to? Add --output.")
    if not 1 <= wish.part_mb <= _MOST_PART:
        raise ConfigError(f"--part_mb {wish.part_mb}: a number from 1 to {_MOST_PART:,}.")
    if wish.layout not in LAYOUTS or (wish.kind == ".json" and wish.layout != "base64"):
        raise ConfigError(f"--layout {wish.layout}: there is {', '.join(LAYOUTS)}; JSON holds base64.")
    if wish.download and not wish.image_root:
        raise ConfigError("--download needs a folder for the photos: --image_root.")
    if not 0 <= wish.max_bad <= 1 or min(wish.timeout, wish.requests_per_second) <= 0 or wish.num_threads < 0:
        raise ConfigError(
            "--max_bad is a share from 0 to 1, --num_threads a number from 0; --timeout and --requests_per_second are "
            "more than 0."
        )


def _check_source(wish: ConvertOptions) -> None:
    if bool(wish.from_) == bool(wish.name):
        raise ConfigError("Which images? Add --name and --image_path for those of a dataset, or --from for a store.")
    if wish.name and not wish.image_path:
        raise ConfigError("Where are the images? Add --image_path.")
    if wish.from_ and (wish.query_inputs_path or wish.image_path or wish.image_root):
        raise ConfigError("--from takes a whole store as it is: --image_path, --image_root and -in are for a dataset.")
    if wish.name and not Path(wish.image_path).exists():
        raise InputError(f"{wish.image_path}: no such file or folder; name the images with --image_path")
    if wish.from_ and wish.from_.absolute() == wish.output.absolute():
        raise ConfigError("--from and --output are the same.")
