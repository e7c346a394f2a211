"""What the simulated endpoint makes of images: looked at, counted, and refused as a provider refuses them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from harness import server
from image_rows import picture

from syphus.simulator import SimulatedServer
from syphus.simulator.chat_request import MAX_IMAGE_BYTES, MAX_REQUEST_BYTES
from syphus.text import strip_images


@pytest.fixture(scope="module")
def endpoint() -> Iterator[SimulatedServer]:
    with server() as running:
        yield running


def url_of(image: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"


def post(endpoint: SimulatedServer, body: bytes) -> tuple[int, dict[str, object]]:
    connection = HTTPConnection("127.0.0.1", endpoint.port)
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer sk-any"})
    reply = connection.getresponse()
    data = json.loads(reply.read())
    connection.close()
    return reply.status, data


def ask(endpoint: SimulatedServer, *parts: object, model: str = "gpt-4o") -> tuple[int, dict[str, object]]:
    content = [{"type": "text", "text": "There is a red car in front of the house."}, *parts]
    return post(endpoint, json.dumps({"model": model, "messages": [{"role": "user", "content": content}]}).encode())


def image(url: object, **more: object) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def prompt_tokens(reply: tuple[int, dict[str, object]]) -> int:
    status, data = reply
    assert status == 200, data
    usage = data["usage"]
    assert isinstance(usage, dict)
    return int(usage["prompt_tokens"])


def test_an_image_takes_the_tokens_that_its_model_counts(endpoint: SimulatedServer) -> None:
    url = url_of(picture(1024, 1024))
    for model, detail, tokens in (("gpt-4o", "high", 765), ("gpt-4o", "low", 85), ("gpt-4.1-mini", "low", 1659)):
        more = prompt_tokens(ask(endpoint, image(url, detail=detail), model=model)) - prompt_tokens(
            ask(endpoint, model=model)
        )
        assert more == tokens, model


@pytest.mark.parametrize(
    ("url", "more", "code"),
    [
        ("http://elsewhere.invalid/a.jpg", {}, "invalid_image_url"),
        (None, {}, "invalid_image_url"),
        ("data:image/jpeg;base64,????", {}, "invalid_base64_image"),
        (url_of(b"no image"), {}, "image_parse_error"),
        (url_of(picture(600, 400, coarse=1)[:9_000]), {}, "image_parse_error"),
        (url_of(picture(8, 8, form="BMP")), {}, "invalid_image_format"),
        (url_of(picture(8, 8)), {"detail": "best"}, "invalid_value"),
        (url_of(picture(8, 8) + bytes(MAX_IMAGE_BYTES)), {}, "image_too_large"),
    ],
    ids=["web", "none", "alphabet", "text", "cut", "format", "detail", "large"],
)
def test_an_image_that_a_provider_would_not_take_is_refused(
    endpoint: SimulatedServer, url: object, more: dict[str, object], code: str
) -> None:
    status, data = ask(endpoint, image(url, **more))
    error = data["error"]
    assert isinstance(error, dict)
    assert (status, error["code"]) == (400, code)


def test_a_request_that_is_too_large_is_refused(endpoint: SimulatedServer) -> None:
    assert post(endpoint, b" " * (MAX_REQUEST_BYTES + 1))[0] == 413


def test_images_are_taken_out_of_what_a_server_says_and_words_are_not() -> None:
    said = b"words of a sentence, a-path/with/folders and a key_of_some_letters " * 50
    for url in (url_of(picture(300, 200)), url_of(picture(300, 200)).replace("/", "\\/")):
        assert strip_images(said + b'"url": "' + url.encode() + b'" ' + said) == said + b'"url": "<image>" ' + said
    assert strip_images(said) == said
