"""The routes of the API: where each is, and how its replies are read; those with embeddings are read here.

{"data": [{"index": 0, "embedding": [0.01, -0.02, ...]}, ...], "model": ..., "usage": {"prompt_tokens": 8, ...}}

An `embedding` is a list of numbers, or base64 of 32-bit floats, little endian
(https://platform.openai.com/docs/api-reference/embeddings). The vectors are stored as the text of a completion: scaled
to length 1, as 16-bit floats, which changes a cosine by less than 0.0001 and takes a quarter of the space of the JSON.

Needs numpy, which comes with `pip install syphus[relations]`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import orjson

from syphus.endpoints.chat_reply import (
    classify_chat_reply,
    decode_json,
    invalid_json,
    storable,
    unexpected_body,
)
from syphus.endpoints.classify import Action, ReplyVerdict
from syphus.endpoints.token_usage import read_usage
from syphus.exchange import Completion, Request
from syphus.text import one_line, pluralize

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Vectors = NDArray[numpy.float32]

_MAX_ATTEMPTS = 3  # of texts that get no usable vectors; then they are sent in smaller batches


class EmbeddingsClassifier:
    """Classifies replies. All vectors must have the same `dimension`: 0 until the first reply has shown it."""

    def __init__(self, dimension: int = 0) -> None:
        self.dimension = dimension

    def __call__(self, body: bytes, request: Request, headers: Mapping[str, str]) -> ReplyVerdict:
        """Return ANSWER with the vectors, RETRY if the body does not hold one per text, STOP for another dimension."""
        try:
            data = decode_json(body)
        except (ValueError, RecursionError):
            return invalid_json(body, headers)
        if not isinstance(data, dict) or not isinstance(data.get("data"), list):
            return unexpected_body("list of embeddings", data, body)
        try:
            vectors = _vectors(data["data"], len(orjson.loads(request.body)["input"]))
        except ValueError as error:
            return ReplyVerdict(
                Action.RETRY, str(error), max_attempts=_MAX_ATTEMPTS, maybe_billed=True, caused_by_row=True
            )
        found = vectors.shape[1]
        if self.dimension not in (0, found):
            message = f"The server returns vectors of {found} dimensions, but {self.dimension} are expected"
            advice = "Use the model that made the first vectors, or set another number of dimensions"
            return ReplyVerdict(Action.STOP, "another dimension", message, advice, maybe_billed=True)
        self.dimension = found
        completion = Completion(
            text=pack_vectors(vectors),
            finish_reason="",
            model=storable(one_line(str(data.get("model") or ""), 200)),
            usage=read_usage(data.get("usage"), len(request.body), 0),
            response_id=storable(one_line(str(data.get("id") or ""), 200)),
        )
        return ReplyVerdict(Action.ANSWER, "", completion=completion)


def pack_vectors(vectors: Vectors) -> str:
    """Return vectors, none of length 0, as the text of an answer: base64 of their 16-bit floats, one after another."""
    import numpy

    lengths = numpy.linalg.norm(vectors.astype(numpy.float64), axis=1, keepdims=True)
    return b64encode((vectors / lengths).astype("<f2").tobytes()).decode()


def unpack_vectors(text: str, count: int) -> Vectors:
    """Return the `count` vectors in the text of an answer: 32-bit floats in an array of shape (count, dimension)."""
    import numpy

    return numpy.frombuffer(b64decode(text), "<f2").reshape(count, -1).astype(numpy.float32)


def _vectors(items: Sequence[object], count: int) -> Vectors:
    """Return the vectors in the order of their indexes. Raises `ValueError` with a short reason if any is unusable."""
    import numpy

    if len(items) != count:
        raise ValueError(f"{pluralize(len(items), 'vector')} for {pluralize(count, 'text')}")
    rows: list[Vectors | None] = [None] * count
    for position, item in enumerate(items):
        index = item.get("index", position) if isinstance(item, dict) else None
        if not isinstance(item, dict) or type(index) is not int or not 0 <= index < count or rows[index] is not None:
            raise ValueError("vectors without an order")
        rows[index] = _vector(item.get("embedding"))
    if len({len(row) for row in rows if row is not None}) != 1:
        raise ValueError("vectors of several dimensions")
    return check_vectors(numpy.stack([row for row in rows if row is not None]), count)


def check_vectors(vectors: Vectors, count: int) -> Vectors:
    """Return `vectors`. Raises `ValueError` with a short reason unless they are `count` that can be compared."""
    import numpy

    if vectors.ndim != 2 or len(vectors) != count:
        raise ValueError(f"{pluralize(len(vectors), 'vector')} for {pluralize(count, 'text')}")
    if not numpy.isfinite(vectors).all():
        raise ValueError("vectors that are not finite")
    if not vectors.any(axis=1).all():
        raise ValueError("vectors of nothing but 0")
    return vectors


def _vector(embedding: object) -> Vectors:
    import numpy

    try:
        if isinstance(embedding, str):
            return numpy.frombuffer(b64decode(embedding, validate=True), "<f4")
        if isinstance(embedding, list) and embedding and all(type(value) in (int, float) for value in embedding):
            with numpy.errstate(over="ignore"):  # a value that is too large becomes infinite, which is checked later
                return numpy.array(embedding, numpy.float32)
    except (ValueError, OverflowError):
        pass
    raise ValueError("vectors that can't be read")


class ApiRoute(NamedTuple):
    """One route, by its path after the base URL (https://platform.openai.com/docs/api-reference).

    `classify(body, request, headers)` reads the body of a 2xx reply to a request. What a route generates is charged as
    completion tokens; embeddings have none.
    """

    path: str
    classify: Callable[[bytes, Request, Mapping[str, str]], ReplyVerdict]
    generates_text: bool


def _classify_chat(body: bytes, request: Request, headers: Mapping[str, str]) -> ReplyVerdict:
    return classify_chat_reply(body, request.size, headers)


CHAT_ROUTE = ApiRoute("/chat/completions", _classify_chat, generates_text=True)


def embeddings_route(dimension: int = 0) -> ApiRoute:
    """Return the route for embeddings. All must have this `dimension`, or with 0 that of the first reply."""
    return ApiRoute("/embeddings", EmbeddingsClassifier(dimension), generates_text=False)
