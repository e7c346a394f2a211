"""Simulated embeddings: the same text always gets the same vector, and texts that share words get similar ones.

Each word is hashed to a direction. The vector of a text is the sum of its words, where long words count more. So
duplicates and near duplicates are found as with a real model; paraphrases are not.
"""

from __future__ import annotations

import math
import re
from array import array
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import shake_128
from typing import NamedTuple

from syphus.model_names import SIMULATED
from syphus.simulator.chat_request import Body, ChatRequest, bad_request, parse_body

ROUTE = "/embeddings"
DIMENSION = 64  #: the default

_WORD = re.compile(r"\w+")
_MAX_TEXTS, _MAX_TOKENS, _MAX_DIMENSIONS = 2048, 8192, 4096
_SHORT = 3  # letters; a word up to this length says little
_UNIQUE_WEIGHT = 0.05  # of a direction that only this text has


class EmbeddingsRequest(NamedTuple):
    """A request for embeddings. `chat` is the same as a chat request, for limits, faults and the request log."""

    chat: ChatRequest
    texts: list[str]
    dimension: int
    base64: bool


def read_embeddings_request(raw: bytes) -> EmbeddingsRequest:
    """Parse the request in `raw` (JSON, UTF-8). Raises `Rejected` with the 400 of OpenAI for a bad request."""
    body = parse_body(raw)
    texts = _input(body)
    dimension = body.get("dimensions", DIMENSION)
    if type(dimension) is not int or not 1 <= dimension <= _MAX_DIMENSIONS:
        raise bad_request(f"Invalid value for 'dimensions' = {dimension}.", "dimensions", "invalid_value")
    encoding = body.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        supported = "Supported values are: 'float' and 'base64'."
        raise bad_request(f"Invalid value: '{encoding}'. {supported}", "encoding_format", "invalid_value")
    model = body.get("model")
    messages: list[Body] = [{"role": "user", "content": "\n".join(texts)}]
    chat = ChatRequest(
        body, messages, model if isinstance(model, str) else "", max_tokens=0, n=1, seed=None, stream=False
    )
    return EmbeddingsRequest(chat, texts, dimension, encoding == "base64")


def embeddings_object(request: EmbeddingsRequest, name: str, tokens: int) -> dict[str, object]:
    """Return the body of the answer, as OpenAI writes it; `name` is the requested model or deployment."""
    vectors = [embedding(text, request.dimension) for text in request.texts]
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if request.base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": f"{SIMULATED}{name}", "usage": usage}


def embedding(text: str, dimension: int) -> list[float]:
    """Return the vector of a text, of length 1."""
    words = _WORD.findall(text.lower())
    parts = [(_direction(word, dimension), 1.0 if len(word) > _SHORT else 0.25) for word in words]
    parts.append((_direction(f"\0{text}", dimension), _UNIQUE_WEIGHT))
    sums = [sum(values) for values in zip(*(_scaled(*part) for part in parts), strict=True)]
    length = math.hypot(*sums)
    return [value / length for value in sums]


def _scaled(direction: Iterable[float], weight: float) -> list[float]:
    return [weight * value for value in direction]


@lru_cache(maxsize=4096)
def _direction(word: str, dimension: int) -> tuple[float, ...]:
    return tuple(byte - 127.5 for byte in shake_128(word.encode("utf-8", "surrogatepass")).digest(dimension))


def _base64(vector: Sequence[float]) -> str:
    return b64encode(array("f", vector).tobytes()).decode()


def _input(body: Body) -> list[str]:
    if "input" not in body:
        raise bad_request("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    value = body["input"]
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise bad_request("'$.input' is invalid. Please check the API reference.", None, None)
    if len(texts) > _MAX_TEXTS:
        text = f"Invalid 'input': array too long. Expected an array with maximum length {_MAX_TEXTS}."
        raise bad_request(text, "input", "array_above_max_length")
    longest = max(-(-len(text.encode("utf-8", "surrogatepass")) // 4) for text in texts)
    if longest > _MAX_TOKENS:
        text = (
            f"This model's maximum context length is {_MAX_TOKENS} tokens, however you requested {longest} tokens "
            f"({longest} in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
        )
        raise bad_request(text, None, None)
    return texts
