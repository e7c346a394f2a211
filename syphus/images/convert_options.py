"""The options of `convert`, each declared once, and the checks that they make sense together.

Also what the pool and its decoder processes send each other: `EncodeOptions` once, then an `ImageJob` per file, which
is answered by any number of `Answer`s.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypedDict

from syphus.config.options import option
from syphus.errors import ConfigError, InputError
from syphus.io.text_files import missing
from syphus.storage.addresses import as_url
from syphus.text import install_hint

DEFAULT_MAX_PIXELS = 50_000_000  #: of an image or a video frame; a phone's camera takes 50 million
MAX_SIDE = 16_384
LAYOUTS = ("base64", "datasets")  #: of the columns, see `parquet_store.py`
READY = -1  #: the job number of a process's first answer, which says that it has started
MISSING = "missing"  #: the reason for a file that does not exist

#: Job number, key, and an image or the reason why there is none; the key None ends a job.
Answer: TypeAlias = tuple[int, float | None, bytes | str]

_MAX_PART_MB = 1_900  # keeps a part, with the image that fills it, under 2 GB
_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How images are resized and encoded; every decoder process gets a copy.

    `size` is (width, height) in pixels, or None to keep the size of the source; with `keep_aspect` the image is fitted
    into it. Images in one of the `passthrough_formats` are copied byte by byte if nothing else needs to change.
    `lenient` accepts what is ambiguous: CMYK, 16 bits per channel, and the first image of an animation.
    """

    size: tuple[int, int] | None = (224, 224)
    keep_aspect: bool = False
    format: Literal["JPEG", "PNG"] = "JPEG"
    quality: int = 90
    passthrough_formats: tuple[str, ...] = ("JPEG",)
    max_pixels: int = DEFAULT_MAX_PIXELS
    lenient: bool = False

    def target_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the output size of an image that is `width` x `height` pixels."""
        if self.size is None:
            return width, height
        if not self.keep_aspect:
            return self.size
        scale = min(self.size[0] / width, self.size[1] / height)
        return max(1, round(width * scale)), max(1, round(height * scale))


class ImageJob(NamedTuple):
    """A file to convert. The answer to a still has the key 0; the answers to a video have their seconds as keys.

    `roots` are the real paths of the folders that may be read. `seconds` are the requested seconds of a video, or None
    for all of them. `threads` is the number of cores that its decoder may use.
    """

    number: int
    path: str
    roots: tuple[str, ...]
    is_video: bool = False
    seconds: Sequence[float] | None = None
    threads: int = 1


def require_decoders(videos: bool) -> None:
    """Raise `ConfigError` if the library that decodes images, or `videos`, is not installed."""
    for module, name in (("PIL", "Pillow"), *([("av", "PyAV")] if videos else [])):
        if find_spec(module) is None:
            raise ConfigError(f"Converting images needs {name}: {install_hint('images')}")


def make_encode_options(
    size: tuple[int, int] | None, keep_aspect: bool, image_format: str, quality: int, max_pixels: int, lenient: bool
) -> EncodeOptions:
    """Build the options from what the user typed. Without a format, images that keep their size stay JPEG or PNG.

    Raises `ConfigError` if a value is out of range.
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
            raise ConfigError(f"--image-format {image_format}: must be jpeg or png.")
    if not 1 <= quality <= 100 or max_pixels < 1:
        raise ConfigError("--quality must be a number from 1 to 100, --max-pixels at least 1.")
    if size is not None and max(size) > MAX_SIDE:
        raise ConfigError(f"--size: must be at most {MAX_SIDE:,} pixels.")
    passthrough = ("JPEG", "PNG") if size is None and named is None else (named or "JPEG",)
    return EncodeOptions(size, keep_aspect, named or "JPEG", quality, passthrough, max_pixels, lenient)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """The options of `convert`."""

    name: str = option("", "The dataset: YourDataset.your_dataset or your_dataset.YourDataset.")
    image_path: str = option("", "Folder with the images or videos, or the file that lists them.")
    output: str = option("", "The store: XX.parquet, XX.json, or for a large one a folder of parts, XX or XX.parquet/.")
    image_root: tuple[Path, ...] = option((), "Look for images in this folder, too; can be repeated.")
    query_inputs_path: str = option("", "Annotations: convert only the images that their rows name.", "-in")
    allow_bad_rows: bool = option(False, "List unreadable rows as skipped instead of stopping at the first.")
    from_: Path | None = option(None, "Convert another store instead of a dataset; its images are copied unchanged.")

    size: str = option("224", "Size of the images in pixels, N or WxH.")
    keep_aspect: bool = option(False, "Fit images into this size without distortion.")
    original: bool = option(False, "Keep the original size of the images.")
    image_format: str = option("", "jpeg or png (default: jpeg).")
    quality: int = option(90, "JPEG quality, from 1 to 100.")
    lenient: bool = option(False, "Accept CMYK, 16 bits per channel, and the first image of animations.")
    max_pixels: int = option(DEFAULT_MAX_PIXELS, "Reject larger images (decompression bombs).")

    layout: str = option("base64", "base64 (for Otter and MIMIC-IT) or datasets (raw bytes with the Image feature).")
    part_mb: int = option(256, "Megabytes of images per part.")
    num_threads: int = option(0, "Number of decoder processes (0 = one per core).")
    ray: str = option("", "Decode on the nodes of this Ray cluster: HOST:PORT, or auto.", metavar="ADDRESS")
    max_bad: float = option(1.0, "Stop if more than this share of the images is bad; 1 never stops.")
    timeout: float = option(60.0, "Maximum seconds to decode an image, or to download a photo.")
    download: bool = option(False, "Download photos that are missing from --image-root.")
    requests_per_second: float = option(5.0, "Maximum downloads per second.")
    restart: bool = option(False, "Start over, and overwrite existing output.")
    datasets_dir: tuple[Path, ...] = option((), "Search this folder for plugins, too; can be repeated.")
    json: bool = option(False, "Print the summary as JSON.")

    @property
    def encode_options(self) -> EncodeOptions:
        """How the images are encoded. Raises `ConfigError` if a value is out of range."""
        found = _SIZE.fullmatch(self.size)
        if not found or not int(found[1]) or int(found[2] or 1) < 1:
            raise ConfigError(f"--size {self.size}: must be a number of pixels, or two as in 336x224.")
        size = None if self.original else (int(found[1]), int(found[2] or found[1]))
        return make_encode_options(
            size, self.keep_aspect, self.image_format, self.quality, self.max_pixels, self.lenient
        )

    @property
    def store(self) -> Path:
        """The path of the store."""
        return Path(self.output)

    @property
    def file_type(self) -> str:
        """.parquet, .json, or "" for a folder of parts, which may be named with a slash at its end."""
        is_folder = os.fspath(self.output).endswith(("/", os.sep))
        return self.store.suffix if self.store.suffix in (".parquet", ".json") and not is_folder else ""

    @property
    def work_dir(self) -> Path:
        """The folder for unfinished work."""
        return self.store.with_name(f".{self.store.name}.convert")

    @property
    def skipped_path(self) -> Path:
        """The file that lists the skipped images."""
        return self.store.with_name(f"{self.store.name}.skipped.jsonl")


def check_options(options: ConvertOptions) -> None:
    """Raise `UsageError` if options are missing, out of range, or contradict each other."""
    _check_source(options)
    if not options.store.name:
        raise ConfigError("No output. Add --output.")
    if url := as_url(options.output):
        raise ConfigError(f"--output {url}: a store is written to a local disk. Copy it from there.")
    if options.download and any(map(as_url, options.image_root)):
        raise ConfigError("--download needs a local folder for the photos, and --image-root is a URL.")
    if not 1 <= options.part_mb <= _MAX_PART_MB:
        raise ConfigError(f"--part-mb {options.part_mb}: must be a number from 1 to {_MAX_PART_MB:,}.")
    if options.layout not in LAYOUTS or (options.file_type == ".json" and options.layout != "base64"):
        raise ConfigError(f"--layout {options.layout}: must be {' or '.join(LAYOUTS)}; JSON stores are always base64.")
    if options.download and not options.image_root:
        raise ConfigError("--download needs a folder for the photos: add --image-root.")
    positive = min(options.timeout, options.requests_per_second) > 0
    if not 0 <= options.max_bad <= 1 or not positive or options.num_threads < 0:
        raise ConfigError(
            "--max-bad must be a share from 0 to 1, --num-threads at least 0; --timeout and --requests-per-second must "
            "be greater than 0."
        )


def with_copies(options: ConvertOptions) -> ConvertOptions:
    """Return options that name local copies in place of URLs. They are fetched, which may take long.

    Raises what `local_path` raises.
    """
    from syphus.storage.local_copies import local_path

    return replace(
        options,
        from_=options.from_ and Path(local_path(options.from_)),
        image_path=options.image_path and local_path(options.image_path),
        image_root=tuple(Path(local_path(root)) for root in options.image_root),
    )


def _check_source(options: ConvertOptions) -> None:
    if bool(options.from_) == bool(options.name):
        raise ConfigError(
            "Which images? Add --name and --image-path to convert a dataset, or --from to convert a store."
        )
    if options.name and not options.image_path:
        raise ConfigError("Where are the images? Add --image-path.")
    if options.from_ and (options.query_inputs_path or options.image_path or options.image_root):
        raise ConfigError("--from copies a whole store: --image-path, --image-root and -in are for datasets only.")
    if options.name and not as_url(options.image_path) and not Path(options.image_path).exists():
        raise InputError(f"{missing(options.image_path)}; name the images with --image-path")
    if options.from_ and options.from_.absolute() == options.store.absolute():
        raise ConfigError("--from and --output are the same.")


class ConversionValues(TypedDict, total=False):
    """The options of a conversion, as they are written in Python."""

    image_path: str | Path
    output: str | Path
    image_root: str | Path | Sequence[str | Path]
    query_inputs_path: str | Path
    allow_bad_rows: bool
    from_: str | Path | None
    size: str
    keep_aspect: bool
    original: bool
    image_format: str
    quality: int
    lenient: bool
    max_pixels: int
    layout: str
    part_mb: int
    num_threads: int
    ray: str
    max_bad: float
    timeout: float
    download: bool
    requests_per_second: float
    restart: bool
    datasets_dir: str | Path | Sequence[str | Path]
