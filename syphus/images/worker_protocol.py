"""The messages between the pool and a decoder process."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple, TypeAlias

from syphus.errors import ConfigError
from syphus.text import install_hint

READY = -1  #: the job number of a process's first answer, which says that it has started
MISSING = "missing"  #: the reason for a file that does not exist

#: Job number, key, and an image or the reason why there is none; the key None ends a job.
Answer: TypeAlias = tuple[int, float | None, bytes | str]


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
