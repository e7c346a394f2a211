"""The images in a chat request: checked as OpenAI checks them, and from then on what is known of them."""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import blake2b
from typing import NamedTuple

from syphus.endpoints.simulated.replies import Rejected, openai_error
from syphus.image_tokens import ImageRules

LARGEST_IMAGE = 20_000_000  #: bytes
LARGEST_REQUEST = 50_000_000  #: bytes
_DATA_URL = re.compile(r"data:image/([a-z]+);base64,", re.IGNORECASE)
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_DETAILS = ("low", "high", "auto")
_BAD_FORMAT = (
    "You uploaded an unsupported image. Please make sure your image has of one the following formats: "
    "['png', 'jpeg', 'gif', 'webp']."
)
BROKEN = "The image data you provided does not represent a valid image. Please check your input and try again."
NO_VISION = "Invalid content type. image_url is only supported by certain models."


class SeenImage(NamedTuple):
    """What is known of an image; width and height are 0 where Pillow is not installed."""

    digest: str
    format: str
    width: int
    height: int
    detail: str
    tokens: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.format} {self.detail}"


def see_image(part: object, where: str, model: str, vision: bool) -> SeenImage:
    """The image in a part of a message's content. Raises `Rejected` with the 400 that it would get."""
    if not vision:
        raise _refused(NO_VISION, f"{where}.type", None)
    inner = part.get("image_url") if isinstance(part, dict) else None
    url, detail = (inner.get("url"), inner.get("detail", "auto")) if isinstance(inner, dict) else (None, "auto")
    if detail not in _DETAILS:
        raise _refused(
            f"Invalid value: '{detail}'. Supported values are: 'low', 'high' and 'auto'.", where, "invalid_value"
        )
    head = _DATA_URL.match(url) if isinstance(url, str) else None
    if head is None or not isinstance(url, str):
        raise _refused("Error while downloading the image, or no data URL.", where, "invalid_image_url")
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except binascii.Error:
        raise _refused("Invalid base64 image_url.", where, "invalid_base64_image") from None
    if len(data) > LARGEST_IMAGE:
        raise _refused("The image is larger than 20 MB.", where, "image_too_large")
    form, width, height = _measured(data, where)
    tokens = ImageRules(model, detail=detail).tokens(max(1, width), max(1, height))
    return SeenImage(blake2b(data, digest_size=16).hexdigest(), form, width, height, detail, tokens)


def _measured(data: bytes, where: str) -> tuple[str, int, int]:
    try:
        from PIL import Image
    except ImportError:
        return "image", 0, 0
    import io

    try:
        with Image.open(io.BytesIO(data)) as image:
            form = image.format or ""
            image.load()
    except Exception as error:
        raise _refused(BROKEN, where, "image_parse_error") from error
    if form not in _FORMATS:
        raise _refused(_BAD_FORMAT, where, "invalid_image_format")
    return form, *image.size


def _refused(message: str, param: str, code: str | None) -> Rejected:
    return Rejected(openai_error(400, message, param=param, code=code))
