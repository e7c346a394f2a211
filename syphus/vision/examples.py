"""The images of the in-context examples: looked at before anything else is done, since every query would go without."""

from __future__ import annotations

from dataclasses import replace

from syphus.errors import PromptError
from syphus.image_tokens import ImageRules
from syphus.types import Message, Prefix, Query
from syphus.vision.album import Album


def look_at_examples(prefix: Prefix, rules: ImageRules) -> Prefix:
    """The prefix, its images looked at. Raises `PromptError` for one that can't be read, and `ConfigError`."""
    if not any("images" in turn for turn in prefix.in_context):
        return prefix
    album = Album(rules)
    turns = tuple(_looked_at(turn, album) for turn in prefix.in_context)
    if album.problem:
        raise PromptError(f"An in-context example shows an image that can't be read: {album.problem}.")
    return replace(prefix, in_context=turns)


def _looked_at(turn: Message, album: Album) -> Message:
    if "images" not in turn:
        return turn
    (query,) = album.look([Query("example", turn["content"], images=tuple(turn["images"]))])
    return Message(role=turn["role"], content=turn["content"], images=query.images)
