"""Made-up embeddings: a vector for each text, always the same for the same text, and near where texts share words.

A word is a direction that its letters are hashed to, and a text the sum of its words, long ones counting more. So
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

from syphus.simulator.chat_request import Body, ChatRequest, bad_request, parse_body
from syphus.types import SIMULATED

ROUTE = "/embeddings"
DIMENSION = 64  #: where none is asked for

_WORD = re.compile(r"\w+")
_MOST_TEXTS, _MOST_TOKENS, _MOST_DIMENSIONS = 2048, 8192, 4096
_SHORT = 3  # letters of a word that says little
_OWN = 0.05  # weight of what is a text's own, whatever its words


class EmbeddingsRequest(NamedTuple):
    """A request for embeddings. `chat` is the same as a chat would have it, for limits, faults and the bill."""

    chat: ChatRequest
    texts: list[str]
    dimension: int
    base64: bool


def read_embeddings_request(raw: bytes) -> EmbeddingsRequest:
    """The request in `raw` (JSON, UTF-8). Raises `Rejected` with the 400 that OpenAI gives for a bad one."""
    body = parse_body(raw)
    texts = _input(body)
    dimension = body.get("dimensions", DIMENSION)
    if type(dimension) is not int or not 1 <= dimension <= _MOST_DIMENSIONS:
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
    """The whole answer, as OpenAI writes it; `name` is the model or deployment that was asked for."""
    vectors = [embedding(text, request.dimension) for text in request.texts]
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if request.base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": f"{SIMULATED}{name}", "usage": usage}


def embedding(text: str, dimension: int) -> list[float]:
    """A vector of length 1 for a text."""
    words = _WORD.findall(text.lower())
    parts = [(_direction(word, dimension), 1.0 if len(word) > _SHORT else 0.25) for word in words]
    parts.append((_direction(f"\0{text}", dimension), _OWN))
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
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise bad_request("'$.input' is invalid. Please check the API reference.", None, None)
    if len(texts) > _MOST_TEXTS:
        text = f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_TEXTS}."
        raise bad_request(text, "input", "array_above_max_length")
    longest = max(-(-len(text.encode("utf-8", "surrogatepass")) // 4) for text in texts)
    if longest > _MOST_TOKENS:
        text = (
            f"This model's maximum context length is {_MOST_TOKENS} tokens, however you requested {longest} tokens "
            f"({longest} in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
        )
        raise bad_request(text, None, None)
    return texts
