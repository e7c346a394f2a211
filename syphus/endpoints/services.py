"""What an endpoint can be asked for: where each service is, and how a good reply is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from syphus.endpoints.classify import ReplyVerdict
from syphus.endpoints.completions import classify_answer
from syphus.endpoints.embeddings import EmbeddingsReader
from syphus.types import Request


class Service(NamedTuple):
    """One service, by its route behind the base URL (https://platform.openai.com/docs/api-reference).

    `judge(body, request, headers)` reads the body of a reply with a status of 2xx to a request. What it
    `writes` is charged as completion tokens; embeddings have none.
    """

    route: str
    judge: Callable[[bytes, Request, Mapping[str, str]], ReplyVerdict]
    writes: bool


def _judge_chat(body: bytes, request: Request, headers: Mapping[str, str]) -> ReplyVerdict:
    return classify_answer(body, request.size, headers)


CHAT = Service("/chat/completions", _judge_chat, writes=True)


def embeddings(dimension: int = 0) -> Service:
    """Vectors of texts. All must have one `dimension`: this one, or with 0 that of the first reply."""
    return Service("/embeddings", EmbeddingsReader(dimension), writes=False)
