"""The sampling parameters, the exact body of a request, and its key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import orjson

from syphus.endpoints.image_tokens import ImageRules
from syphus.types import BYTES_PER_TOKEN, Message, PromptImage, Request

_PART = 100  # bytes of JSON around an image, about, of which the model gets to see none
KEY_BYTES = 16  #: of BLAKE2b; the chance that two of a billion requests collide is 1 in 10^20


class PromptImages(Protocol):
    """What makes images ready to go: `vision.Album` is the one."""

    rules: ImageRules

    def placeholder(self, image: PromptImage) -> object:
        """What stands for an image until it goes: as text, its content and what it goes out as."""
        ...

    def tokens(self, image: PromptImage) -> int:
        """The tokens that it will take, about."""
        ...

    def body_builder(self, body: bytes, images: Iterable[PromptImage]) -> Callable[[], bytes]:
        """What puts the images in the place of their marks."""
        ...


class RequestBuilder:
    """The parameters that go out with every request; `None` leaves one out. `pictures` makes its images ready.

    Some models don't take all of them. `adapt` makes do without: `max_tokens` is then sent by its newer name, any other
    is left to the model's default.
    """

    def __init__(
        self,
        model: str,
        parameters: Mapping[str, object],
        adapted: Iterable[str] = (),
        images: PromptImages | None = None,
    ) -> None:
        self.model = model
        self._pictures = images
        self._asked = {name: value for name, value in parameters.items() if value is not None}
        self._offered: set[str] = set()
        self.adapted: list[str] = list(dict.fromkeys(adapted))

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters as they are sent."""
        sent = {k: v for k, v in self._asked.items() if k not in self.adapted or k == "max_tokens"}
        if "max_tokens" in self.adapted and "max_tokens" in sent:
            sent["max_completion_tokens"] = sent.pop("max_tokens")
        return sent

    def adapt(self, parameter: str) -> bool:
        """Does without a parameter from now on; False where it was not sent in the first place."""
        if parameter not in self._asked and parameter not in self._offered:
            return False
        if parameter not in self.adapted:
            self.adapted.append(parameter)
        return True

    def request(
        self,
        messages: Sequence[Message],
        sample: int = 0,
        owner: str = "",
        extra_fields: Mapping[str, object] | None = None,
    ) -> Request:
        """The request for these messages: its key is the hash of the very bytes that are sent.

        Of an image it is the hash of content, size and format: another Pillow, which writes other bytes, buys no answer
        again. The fields are sorted, for the order in which somebody wrote them into a file says nothing. `owner` makes
        it another request than the same one of somebody else. `offered` are fields of this request alone, such as the
        schema of its answer, that go along as long as the model takes them; they may not come with every request too.
        """
        shown = [picture for message in messages for picture in message.get("images", ())]
        turns = [self._in_parts(message) for message in messages] if shown else messages
        own = {name: value for name, value in (extra_fields or {}).items() if name not in self.adapted}
        self._offered.update(own)
        fields = {"model": self.model, "messages": turns, **self.parameters, **own}
        body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
        key = hashlib.blake2b(body, digest_size=KEY_BYTES)
        key.update(owner.encode())
        if not shown:
            return Request(key.digest(), body, sample)
        assert self._pictures is not None, "a stage with images has an album"
        takes = sum(BYTES_PER_TOKEN * self._pictures.tokens(picture) - _PART for picture in shown)
        return Request(key.digest(), body, sample, self._pictures.body_builder(body, shown), takes)

    def _in_parts(self, message: Message) -> Mapping[str, object]:
        """A message with images, as the API wants it: a part for each, then one for the text, if there is any."""
        images = message.get("images", ())
        text = message["content"]
        if not images or self._pictures is None:
            return {"role": message["role"], "content": text}
        detail = self._pictures.rules.detail
        more = {} if detail is None else {"detail": detail}
        parts: list[object] = [
            {"type": "image_url", "image_url": {"url": str(self._pictures.placeholder(image)), **more}}
            for image in images
        ]
        return {"role": message["role"], "content": [*parts, *([{"type": "text", "text": text}] if text else [])]}
