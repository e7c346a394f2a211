"""The routes of the API: where each is, and how its replies are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from syphus.endpoints.chat_reply import classify_chat_reply
from syphus.endpoints.classify import ReplyVerdict
from syphus.endpoints.embeddings_reply import EmbeddingsClassifier
from syphus.types import Request


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
