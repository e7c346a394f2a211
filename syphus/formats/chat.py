r"""Conversations as `messages`: OpenAI's fine-tuning format, and Axolotl's. JSON Lines, one conversation per line.

    {"messages": [{"role": "user", "content": "[image: SD_IMG_00058_1]\n[image: SD_IMG_00058_2]\nWhich vehicle ...?"},
                  {"role": "assistant", "content": "A second motorcycle ..."}]}

This is the form without images: the text names them. With images, the first question is a list of parts, and
holds each image as a data URL. Source: "Supervised fine-tuning" and "Vision fine-tuning" in OpenAI's API guide, which
allow no other keys.

Axolotl takes the same messages with parts everywhere, and images as paths: {"type": "image", "path": "images/..."}.
Source: `processing_strategies.py` of axolotl, and "Multimodal" in its documentation.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from syphus.errors import ImageError
from syphus.formats.source import ExportSource, turns
from syphus.io.durable import replace_file
from syphus.ledger.results import conversations
from syphus.ledger.serialization import StoredPair
from syphus.text import pluralize

# Of OpenAI's vision fine-tuning, developers.openai.com/api/docs/guides/vision-fine-tuning (2026-12-01).
_MOST_IMAGES, _MOST_BYTES, _MOST_ROWS = 10, 10_000_000, 50_000
_FORMATS, _MODES = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}, ("RGB", "RGBA")


def write_chat(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `XX_chat.jsonl` in UTF-8; return its name. Raises `StorageError` if the disk fails."""
    name = source.file_name("chat", ".jsonl")
    encoder = _DataUrls(source) if source.images else None
    with replace_file(folder / name) as file:
        for result in source.results():
            parts = encoder.parts(result.image_ids) if encoder else []
            images = "" if encoder else source.placeholders(result.image_ids)
            for pairs in conversations(result.pairs):
                messages = _chat_messages(source.system, pairs, images, parts)
                file.write(orjson.dumps({"messages": messages}, option=orjson.OPT_APPEND_NEWLINE))
                if encoder:
                    encoder.count_row(len(parts))
    if encoder and source.images:
        source.images.notes += encoder.notes(name)
    return (name,)


def _chat_messages(
    system: str, pairs: Sequence[StoredPair], images: str, parts: Sequence[object]
) -> list[dict[str, object]]:
    messages: list[dict[str, object]] = [{"role": "system", "content": system}] if system else []
    for number, (question, answer) in enumerate(turns(pairs)):
        content: object = question if number or not images else f"{images}\n{question}"
        if parts and not number:
            content = [*parts, {"type": "text", "text": question}]
        messages.append({"role": "user", "content": content})
        messages.append({"role": "assistant", "content": answer})
    return messages


def write_axolotl(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `XX_axolotl.jsonl` in UTF-8; return its name. Raises `StorageError` if the disk fails."""
    name = source.file_name("axolotl", ".jsonl")
    with replace_file(folder / name) as file:
        for result in source.results():
            media = _paths(source, result.image_ids)
            for pairs in conversations(result.pairs):
                messages = [_in_parts("system", [], source.system)] if source.system else []
                for number, (question, answer) in enumerate(turns(pairs)):
                    messages.append(_in_parts("user", [] if number else media, question))
                    messages.append(_in_parts("assistant", [], answer))
                line = {"messages": messages, **source.edited(result, pairs)}
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    return (name,)


def _paths(source: ExportSource, image_ids: Sequence[str]) -> list[dict[str, str]]:
    if source.images is None:
        return []
    if video := source.images.video(image_ids):
        return [{"type": "video", "path": video}]
    return [{"type": "image", "path": source.images.path(image_id)} for image_id in image_ids]


def _in_parts(role: str, media: Sequence[dict[str, str]], text: str) -> dict[str, object]:
    return {"role": role, "content": [*media, {"type": "text", "text": text}]}


class _DataUrls:
    """Encodes images as data URLs, and counts what OpenAI's vision fine-tuning does not take."""

    def __init__(self, source: ExportSource) -> None:
        assert source.images is not None
        self._images = source.images
        self._found: Counter[str] = Counter()

    def parts(self, image_ids: Sequence[str]) -> list[dict[str, object]]:
        """Return the images of a query as parts of a message."""
        return [{"type": "image_url", "image_url": {"url": self._url(image_id)}} for image_id in image_ids]

    def count_row(self, images: int) -> None:
        """Count a conversation by its number of images."""
        self._found["rows"] += images > 0
        self._found["many"] += images > _MOST_IMAGES

    def notes(self, name: str) -> Iterator[str]:
        """Yield what OpenAI's vision fine-tuning refuses in this file, one line each."""
        limits = {
            "many": f"more than {_MOST_IMAGES} images; add --max-images {_MOST_IMAGES}",
            "large": f"an image above {_MOST_BYTES // 1_000_000} MB",
        }
        for key, limit in limits.items():
            if count := self._found[key]:
                yield f"{name}: {pluralize(count, 'row' if key == 'many' else 'image')} beyond OpenAI's limits: {limit}"
        if (rows := self._found["rows"]) > _MOST_ROWS:
            yield f"{name}: {rows:,} rows with images, of which OpenAI takes {_MOST_ROWS:,} in a file; see --split"

    def _url(self, image_id: str) -> str:
        data = self._images.read(image_id)
        kind = _mime(image_id, data)
        if kind:
            self._found["large"] += len(data) > _MOST_BYTES
            return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
        from syphus.images.pixels import data_url, measure_image  # loads Pillow

        width, height, _ = measure_image(image_id, data)
        return data_url(image_id, data, width, height, "JPEG").decode("ascii")


def _mime(image_id: str, data: bytes) -> str:
    """Return `jpeg`, `png` or `webp` if the image can stay as it is; "" if its format or mode is not accepted."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return _FORMATS.get(image.format or "", "") if image.mode in _MODES else ""
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(image_id, str(error).partition("\n")[0]) from error
