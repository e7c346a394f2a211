"""Requests that are turned away for their images, though these are right. Nothing is billed."""

from __future__ import annotations

from syphus.endpoints.simulated.completion import Case
from syphus.endpoints.simulated.faults.table import fault, fixed
from syphus.endpoints.simulated.images import BROKEN, NO_VISION
from syphus.endpoints.simulated.replies import Reply, html_reply, json_reply, openai_error


@fault()
def request_echo(case: Case) -> Reply:
    """422 of FastAPI that writes what it was asked into its answer, with the images in it."""
    asked = case.chat.asked
    return json_reply(422, {"detail": [{"input": asked, "type": "literal_error", "loc": ["body", "messages"]}]})


fixed(
    "image_unreadable",
    "400 image_parse_error: the image can't be read.",
    openai_error(400, BROKEN, param="messages.[1].content.[0]", code="image_parse_error"),
)
fixed(
    "no_vision",
    "400: the model takes no images.",
    openai_error(400, NO_VISION, param="messages.[1].content.[0].type"),
)
fixed("too_large_413", "413 of a proxy: the request is too large.", html_reply(413, "413 Request Entity Too Large"))
