"""Parse a chat request and its images. A bad request gets the same error, word for word, that api.openai.com sends."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import orjson

from syphus.endpoints.image_tokens import ImageRules
from syphus.simulator.replies import Rejected, SimulatedReply, openai_error

Body = Mapping[str, object]

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_TYPES = {bool: "boolean", int: "integer", float: "decimal", str: "string", dict: "object", list: "array"}
_NUMBERS = {"temperature": 2, "top_p": 1, "frequency_penalty": 2, "presence_penalty": 2}
_IMAGE_TYPE = "seen_image"  # part of the hashed messages, from which answers follow: it must not change
_COUNTS = {"max_tokens": None, "max_completion_tokens": None, "n": 128}
_NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
)

MAX_IMAGE_BYTES = 20_000_000
MAX_REQUEST_BYTES = 50_000_000
_DATA_URL = re.compile(r"data:image/([a-z]+);base64,", re.IGNORECASE)
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_DETAILS = ("low", "high", "auto")
_BAD_FORMAT = (
    "You uploaded an unsupported image. Please make sure your image has of one the following formats: "
    "['png', 'jpeg', 'gif', 'webp']."
)
BROKEN_IMAGE = "The image data you provided does not represent a valid image. Please check your input and try again."
NO_VISION = "Invalid content type. image_url is only supported by certain models."


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A valid chat request. `max_tokens` is 0 if the client set no limit, `model` "" if it named none.

    In `messages`, each image is replaced by a part of the type "seen_image" that holds the fields of a `RequestImage`.
    """

    body: Body
    messages: list[Body]
    model: str
    max_tokens: int
    n: int
    seed: object
    stream: bool

    @property
    def last_content(self) -> object:
        """The content of the last message, as it was sent."""
        messages = self.body["messages"]
        return messages[-1].get("content") if isinstance(messages, list) else None


def read_chat(raw: bytes, vision: bool = True) -> ChatRequest:
    """Parse the request in `raw` (JSON, UTF-8), to a model with or without `vision`.

    Raises `Rejected` with the error of OpenAI: 400 for a body that is not JSON, has no messages, or has a parameter of
    the wrong type or out of range; 413 for a request that is too large.
    """
    if len(raw) > MAX_REQUEST_BYTES:
        raise Rejected(openai_error(413, "The request is larger than 50 MB.", code="request_too_large"))
    body = parse_body(raw)
    messages = [_with_images(n, message, body, vision) for n, message in enumerate(_messages(body))]
    for name, highest in _NUMBERS.items():
        _check_number(body, name, highest)
    limits = {name: _check_count(body, name, highest) for name, highest in _COUNTS.items()}
    if limits["max_tokens"] and limits["max_completion_tokens"]:
        text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise bad_request(text, "max_tokens", "invalid_parameter_combination")
    model = body.get("model")
    return ChatRequest(
        body=body,
        messages=messages,
        model=model if isinstance(model, str) else "",
        max_tokens=limits["max_tokens"] or limits["max_completion_tokens"],
        n=limits["n"] or 1,
        seed=body.get("seed"),
        stream=body.get("stream") is True,
    )


def text_of(message: Body) -> str:
    """Return the text of a message; if its content is a list of parts, its text parts as lines."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)


def images_of(message: Body) -> list[RequestImage]:
    """Return the images of a message."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [RequestImage(*part["seen"]) for part in parts if isinstance(part, dict) and part.get("type") == _IMAGE_TYPE]


def _with_images(position: int, message: Body, body: Body, vision: bool) -> Body:
    """Return a message with its images checked and replaced by their `RequestImage`s."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    model = str(body.get("model") or "")
    parts = [
        {"type": _IMAGE_TYPE, "seen": list(read_image(part, f"messages.[{position}].content.[{index}]", model, vision))}
        if isinstance(part, dict) and part.get("type") == "image_url"
        else part
        for index, part in enumerate(content)
    ]
    return {**message, "content": parts}


def bad_request(message: str, param: str | None, code: str | None) -> Rejected:
    """Return a 400 to raise."""
    return Rejected(openai_error(400, message, param=param, code=code))


def parse_body(raw: bytes) -> Body:
    """Parse the JSON object of a request. Raises `Rejected` if it is not one."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Rejected(openai_error(400, _NOT_JSON)) from None
    if not isinstance(body, dict):
        raise Rejected(openai_error(400, _NOT_JSON))
    return body


def _type_name(value: object) -> str:
    return "null" if value is None else _TYPES.get(type(value), "object")


def _wrong_type(name: str, expected: str, value: object) -> Rejected:
    kind = _type_name(value)
    got = kind if kind == "null" else f"{'an' if kind[0] in 'aio' else 'a'} {kind}"
    return bad_request(f"Invalid type for '{name}': expected {expected}, but got {got} instead.", name, "invalid_type")


def _messages(body: Body) -> list[Body]:
    if "messages" not in body:
        raise bad_request("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    messages = body["messages"]
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects", messages)
    if not messages:
        text = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise bad_request(text, "messages", "empty_array")
    for position, message in enumerate(messages):
        _check_message(position, message)
    return messages


def _check_message(position: int, message: object) -> None:
    name = f"messages[{position}]"
    if not isinstance(message, dict):
        raise _wrong_type(name, "an object", message)
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        supported = ", ".join(f"'{known}'" for known in _ROLES)
        raise bad_request(
            f"Invalid value: '{role}'. Supported values are: {supported}.", f"{name}.role", "invalid_value"
        )
    if not (isinstance(content, str | list) or (content is None and role == "assistant")):
        where = f"messages.[{position}].content"
        raise bad_request(f"Invalid value for 'content': expected a string, got {_type_name(content)}.", where, None)


def _check_number(body: Body, name: str, highest: int) -> None:
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, "a decimal", value)
    lowest = -2 if name.endswith("penalty") else 0
    if value > highest:
        text = f"Invalid '{name}': decimal above maximum value. Expected a value <= {highest}, but got {value} instead."
        raise bad_request(text, name, "decimal_above_max_value")
    if value < lowest:
        text = f"Invalid '{name}': decimal below minimum value. Expected a value >= {lowest}, but got {value} instead."
        raise bad_request(text, name, "decimal_below_min_value")


def _check_count(body: Body, name: str, highest: int | None) -> int:
    value = body.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(name, "an integer", value)
    if value < 1:
        text = f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead."
        raise bad_request(text, name, "integer_below_min_value")
    if highest is not None and value > highest:
        text = f"Invalid '{name}': integer above maximum value. Expected a value <= {highest}, but got {value} instead."
        raise bad_request(text, name, "integer_above_max_value")
    return value


def unsupported_parameter(name: str) -> SimulatedReply:
    """Return the 400 of a model that does not support parameter `name`; newer models need max_completion_tokens."""
    instead = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
    text = f"Unsupported parameter: '{name}' is not supported with this model.{instead}"
    return openai_error(400, text, param=name, code="unsupported_parameter")


def unsupported_value(name: str, value: object) -> SimulatedReply:
    """Return the 400 of a model that supports only the default for parameter `name`."""
    only = "Only the default (1) value is supported."
    text = f"Unsupported value: '{name}' does not support {value} with this model. {only}"
    return openai_error(400, text, param=name, code="unsupported_value")


class RequestImage(NamedTuple):
    """An image of a request. Width and height are 0 if Pillow is not installed; `digest` is a hash of the file."""

    digest: str
    format: str
    width: int
    height: int
    detail: str
    tokens: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.format} {self.detail}"


def read_image(part: object, where: str, model: str, vision: bool) -> RequestImage:
    """Check the image in a part of a message's content. Raises `Rejected` with the 400 that OpenAI would send."""
    if not vision:
        raise _refused(NO_VISION, f"{where}.type", None)
    inner = part.get("image_url") if isinstance(part, dict) else None
    url, detail = (inner.get("url"), inner.get("detail", "auto")) if isinstance(inner, dict) else (None, "auto")
    if detail not in _DETAILS:
        raise _refused(
            f"Invalid value: '{detail}'. Supported values are: 'low', 'high' and 'auto'.", where, "invalid_value"
        )
    prefix = _DATA_URL.match(url) if isinstance(url, str) else None
    if prefix is None or not isinstance(url, str):
        raise _refused("Error while downloading the image, or no data URL.", where, "invalid_image_url")
    try:
        data = base64.b64decode(url[prefix.end() :], validate=True)
    except binascii.Error:
        raise _refused("Invalid base64 image_url.", where, "invalid_base64_image") from None
    if len(data) > MAX_IMAGE_BYTES:
        raise _refused("The image is larger than 20 MB.", where, "image_too_large")
    image_format, width, height = _decode(data, where)
    tokens = ImageRules(model, detail=detail).tokens(max(1, width), max(1, height))
    return RequestImage(blake2b(data, digest_size=16).hexdigest(), image_format, width, height, detail, tokens)


def _decode(data: bytes, where: str) -> tuple[str, int, int]:
    try:
        from PIL import Image
    except ImportError:
        return "image", 0, 0
    import io

    try:
        with Image.open(io.BytesIO(data)) as image:
            image_format = image.format or ""
            image.load()
    except Exception as error:
        raise _refused(BROKEN_IMAGE, where, "image_parse_error") from error
    if image_format not in _FORMATS:
        raise _refused(_BAD_FORMAT, where, "invalid_image_format")
    return image_format, *image.size


def _refused(message: str, param: str, code: str | None) -> Rejected:
    return Rejected(openai_error(400, message, param=param, code=code))
