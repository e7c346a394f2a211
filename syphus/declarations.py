"""What a dataset plugin declares: where the images of its dataset are, and which pairs are the context of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Still:
    """A dataset image that is a file."""

    id: str
    path: str | Path  #: relative to the folder of the images
    urls: tuple[str, ...] = ()  #: where `convert --download` finds a missing file, best first


@dataclass(frozen=True, slots=True)
class Frame:
    """A dataset image that is the video frame nearest to a point in time."""

    id: str
    video: str | Path
    second: float


@dataclass(frozen=True, slots=True)
class Video:
    """A dataset image for each second of a video, from second 0."""

    path: str | Path
    prefix: str  #: of the ids; the second follows, padded with zeros to `digits`
    digits: int = 4

    def id(self, second: int) -> str:
        """Return an id such as `DC_IMG_v_abc123_0007`."""
        return f"{self.prefix}{second:0{self.digits}}"


class Relation(StrEnum):
    """Which pairs are the context of a pair: its `rel_ins_ids`."""

    SIBLINGS = "siblings"  #: all other pairs of the same query
    EARLIER = "earlier rounds"  #: the pairs before it in the conversation, in their order
    NONE = "none"
    TEXT = "nearest by text"  #: pairs with the most similar instructions, nearest first
    IMAGE = "nearest by image"  #: pairs with the most similar first images, nearest first

    @property
    def is_nearest(self) -> bool:
        """Whether this relates pairs of different queries."""
        return self in (Relation.TEXT, Relation.IMAGE)


@dataclass(frozen=True, slots=True)
class Train:
    """Which pairs become the keys of `XX_train.json`, and how much context each keeps.

    Keys are `"firsts"` (pairs that are not yet in the context of an earlier key), `"every"` pair, or `"last rounds"`
    (the last pair of each conversation that has context). With `first` or `last`, each key keeps exactly that many
    context pairs from the start or the end: a shorter context is repeated, and a key without context is left out.
    """

    keys: Literal["firsts", "every", "last rounds"] = "firsts"
    first: int = 0  #: 0 keeps all
    last: int = 0
