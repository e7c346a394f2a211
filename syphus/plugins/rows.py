"""Converts a plugin's row, an untrusted dict, to a checked Query. It normalises nothing, and copies what is mutable.

`choose_stably` is for plugins that choose at random what a row has.
"""

from __future__ import annotations

import math
import os
from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NoReturn, TypeVar
from urllib.parse import unquote_to_bytes

from syphus.errors import InputError, PluginError
from syphus.io.text_files import text_problem
from syphus.text import did_you_mean
from syphus.types import Pair, PromptImage, Query

T = TypeVar("T")

_LONGEST_NUMBER = 1700  # bits; 512 digits
MAX_ID = 512  # characters; the longest ids in use are file names

_KEYS = frozenset({"id", "sentences", "image_ids", "images", "meta", "pairs"})


def to_query(row: object) -> Query:
    """Return the query for a row; see `AbstractDataset._load_query_inputs`.

    Raises `PluginError` for a row of the wrong form and `InputError` for unusable text; both name the problem, but not
    its position.
    """
    if not isinstance(row, dict) and not isinstance(row, Mapping):  # the first check is the fast one
        raise PluginError(f"a row must be a dict, this is {type(row).__name__}")
    if not row.keys() <= _KEYS:
        _refuse_keys(row)
    meta = row.get("meta")
    return Query(
        _id(row),
        _sentences(row),
        _image_ids(row["image_ids"]) if "image_ids" in row else (),
        {} if meta is None else _meta(meta),
        pairs=_pairs(row["pairs"]) if "pairs" in row else (),
        images=_images(row["images"]) if "images" in row else (),
    )


def _id(row: Mapping[str, object]) -> str:
    value = row.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > _LONGEST_NUMBER:
            raise InputError(f"the id is a number of more than {MAX_ID} digits")
        value = str(value)
    if not isinstance(value, str):
        _refuse_type(row, "id", "text or a whole number")
    if not value or value.isspace():
        raise InputError("the id is empty")
    if len(value) > MAX_ID:
        raise InputError(f"the id has {len(value):,} characters; {MAX_ID} are allowed")
    return _clean(value, "id")


def _sentences(row: Mapping[str, object]) -> str:
    value = row.get("sentences")
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        value = "\n".join(value)
    if not isinstance(value, str):
        _refuse_type(row, "sentences", "text or a list of texts")
    return _clean(value, "sentences")


def _image_ids(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise PluginError(f'"image_ids" must be a list of texts, this is {type(value).__name__}')
    for key in value:
        if not isinstance(key, str) or not key:
            raise PluginError(f'"image_ids" must be a list of texts that are not empty, it holds {key!r:.60}')
        _clean(key, "image_ids")
    return tuple(value)


def _images(value: object) -> tuple[PromptImage, ...]:
    if not isinstance(value, (list, tuple)):
        raise PluginError(f'"images" must be a list, this is {type(value).__name__}')
    return tuple(map(_image, value))


def _image(value: object) -> PromptImage:
    """Return an image, given as a path, bytes, or an id."""
    if isinstance(value, (bytes, bytearray, memoryview)) and len(value):
        return PromptImage(data=bytes(value))
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str) and value:
        data = _data_of_uri(value)
        return PromptImage(data=data) if data else PromptImage(path=_clean(value, "images"))
    name = value.get("id") if isinstance(value, Mapping) and len(value) == 1 else None
    if not isinstance(name, str) or not name:
        raise PluginError(f'"images" must hold paths, bytes or {{"id": "..."}}, {value!r:.60} is none of them')
    return PromptImage(id=_clean(name, "images"))


def _data_of_uri(value: str) -> bytes:
    """Return the bytes of a data URI (RFC 2397); b"" for any other text, and for one that can't be decoded."""
    scheme, colon, rest = value[:2_000].partition(":")
    header, comma, _ = rest.partition(",")
    if not colon or not comma or scheme.strip().lower() != "data":
        return b""
    body = unquote_to_bytes(value[len(scheme) + len(header) + 2 :])
    if not header.lower().replace(" ", "").endswith(";base64"):
        return body
    try:
        return b64decode(b"".join(body.split()), validate=True)
    except ValueError:
        return b""


def _pairs(value: object) -> tuple[Pair, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(pair, Pair) for pair in value):
        raise PluginError(f'"pairs" must be a list of Pair, this is {type(value).__name__}')
    for pair in value:
        _clean(pair.instruction, "pairs")
        _clean(pair.answer, "pairs")
    return tuple(value)


def _meta(value: object) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise PluginError(f'"meta" must be a dict, this is {type(value).__name__}')
    try:
        return {_key(key): _json(inner) for key, inner in value.items()}
    except RecursionError:
        raise PluginError('"meta" is nested too deeply, or holds itself') from None


def _json(value: object) -> object:
    """Return a copy of a JSON value."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise PluginError(f'"meta" holds {value:.3e}, a whole number that many JSON readers corrupt; make it text')
        return value
    if isinstance(value, str):
        return _clean(value, "meta")
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        return [_json(inner) for inner in value]
    if isinstance(value, Mapping):
        return {_key(key): _json(inner) for key, inner in value.items()}
    raise PluginError(f'"meta" must hold JSON values only, {value!r:.60} is {type(value).__name__}')


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise PluginError(f'"meta": a key must be text, {key!r:.60} is {type(key).__name__}')
    return _clean(key, "meta")


def _clean(text: str, key: str) -> str:
    if text.isascii() and "\0" not in text:  # almost always true, and twice as fast
        return text
    if problem := text_problem(text):
        raise InputError(f'"{key}" {problem}')
    return text


def _refuse_keys(row: Mapping[object, object]) -> NoReturn:
    names = sorted(str(key) for key in row if key not in _KEYS)
    unknown = ", ".join(f'"{name}"' for name in names)
    if near := did_you_mean(names[0], _KEYS):
        raise PluginError(f"unknown key {unknown}{near}")
    raise PluginError(
        f"unknown key {unknown}; a row has id, sentences, image_ids, images, meta and pairs; put other things into meta"
    )


def _refuse_type(row: Mapping[str, object], key: str, wanted: str) -> NoReturn:
    if key not in row:
        raise PluginError(f'no "{key}"')
    raise PluginError(f'"{key}" must be {wanted}, this is {type(row[key]).__name__}')


def choose_stably(options: Sequence[T], count: int, key: str) -> list[T]:
    """Return `count` of the options (or all, if there are fewer) in a random order that depends on `key` alone, in
    every run and on every machine.

    The rank of an option depends only on the key and on the option itself, so adding or removing an option keeps the
    others in their order.
    """
    repeats: dict[str, int] = {}
    ranked = []
    for index, option in enumerate(options):
        text = str(option)
        repeats[text] = repeats.get(text, 0) + 1
        rank = blake2b(f"{key}\0{text}\0{repeats[text]}".encode(errors="surrogatepass"), digest_size=8).digest()
        ranked.append((rank, index))
    return [options[index] for _, index in sorted(ranked)[:count]]
