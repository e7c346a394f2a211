"""What goes to a process that decodes, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple, TypeAlias

from syphus.errors import ConfigError
from syphus.text import install_hint

READY = -1  #: the number of the first answer of a process, before any job: it has started
MISSING = "missing"  #: the reason for a file that is not there

Answer: TypeAlias = tuple[int, float | None, bytes | str]


class ImageJob(NamedTuple):
    """A file to convert. A still is answered under the key 0, a video's frame under its second.

    `roots` are the folders that may be read, as their true paths; `seconds` are those that are wanted of a video, None
    all of them. `threads` is how many cores its decoder may use.
    """

    number: int
    path: str
    roots: tuple[str, ...]
    is_video: bool = False
    seconds: Sequence[float] | None = None
    threads: int = 1


def require_decoders(videos: bool) -> None:
    """Raises `ConfigError` where what decodes images, or `videos`, is not installed."""
    for module, name in (("PIL", "Pillow"), *([("av", "PyAV")] if videos else [])):
        if find_spec(module) is None:
            raise ConfigError(f"Converting images needs {name}: {install_hint('images')}")
