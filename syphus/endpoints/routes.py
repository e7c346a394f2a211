"""What an endpoint can be asked for: where each service is, and how a good reply is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from syphus.endpoints.chat_reply import classify_chat_reply
from syphus.endpoints.classify import ReplyVerdict
from syphus.endpoints.embeddings_reply import EmbeddingsClassifier
from syphus.types import Request


class ApiRoute(NamedTuple):
    """One service, by its route behind the base URL (https://platform.openai.com/docs/api-reference).

    `judge(body, request, headers)` reads the body of a reply with a status of 2xx to a request. What it
    `writes` is charged as completion tokens; embeddings have none.
    """

    path: str
    classify: Callable[[bytes, Request, Mapping[str, str]], ReplyVerdict]
    generates_text: bool


def _judge_chat(body: bytes, request: Request, headers: Mapping[str, str]) -> ReplyVerdict:
    return classify_chat_reply(body, request.size, headers)


CHAT_ROUTE = ApiRoute("/chat/completions", _judge_chat, generates_text=True)


def embeddings_route(dimension: int = 0) -> ApiRoute:
    """Vectors of texts. All must have one `dimension`: this one, or with 0 that of the first reply."""
    return ApiRoute("/embeddings", EmbeddingsClassifier(dimension), generates_text=False)
