"""Builds the body of a chat request, and its key: the hash that its answer is stored under."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

import orjson

from syphus.config.model_table import PromptCache
from syphus.endpoints.image_tokens import ImageRules
from syphus.endpoints.prompt_cache import shared_prefix
from syphus.endpoints.refusals import Change, apply_changes
from syphus.endpoints.structured import RESPONSE_FORMAT, AnswerFormat, AnswerFormats, AnswerRequest
from syphus.exchange import BYTES_PER_TOKEN, Request, SharedPrefix
from syphus.types import Message, PromptImage

_IMAGE_PART_BYTES = 100  # approximate JSON around an image, which the model does not see
#: Tokens around a message, and around all of them, that are not text of the prompt; OpenAI's chat format has 4 and 3.
_MESSAGE_FRAME, _PROMPT_FRAME = 8, 64
_OUTPUT_LIMIT = re.compile(rb'[{,]"max_(?:completion_)?tokens":(\d+)[,}]')
KEY_BYTES = 16  #: of BLAKE2b; the chance that two of a billion requests collide is 1 in 10^20


def output_limit(body: bytes) -> int | None:
    """Return the most tokens that the answer to a chat request may have, as its body says; None if it has no limit.

    The fields are sorted, so the limit is before the messages; a quote inside of a text is escaped.
    """
    messages = body.find(b'"messages":')
    found = _OUTPUT_LIMIT.search(body, 0, messages if messages >= 0 else len(body))
    return int(found[1]) if found else None


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _nested_bytes(fields: Mapping[str, object]) -> int:
    """Return the bytes of those fields that are not plain values: the model may be shown them."""
    nested = [value for value in fields.values() if not isinstance(value, str | int | float | None)]
    return len(orjson.dumps(nested)) if nested else 0


def request_key(body: bytes, salt: bytes = b"") -> bytes:
    """Return the key that the answer to a body is stored under."""
    key = hashlib.blake2b(body, digest_size=KEY_BYTES)
    key.update(salt)
    return key.digest()


def adapt_request(request: Request, changes: Mapping[str, Change]) -> Request:
    """Return the request with what an endpoint does not accept changed; its key is of the body as it is sent."""
    if request.names.isdisjoint(changes):
        return request
    fields = apply_changes(orjson.loads(request.body), changes)
    body = _dump_adapted(fields)
    load_body = partial(_load_adapted, request.load_body, changes) if request.load_body else None
    key = request_key(body, request.salt)
    return replace(request, key=key, body=body, load_body=load_body, names=frozenset(fields))


def _load_adapted(load_body: Callable[[], bytes], changes: Mapping[str, Change]) -> bytes:
    return _dump_adapted(apply_changes(orjson.loads(load_body()), changes))


def _dump_adapted(fields: dict[str, object]) -> bytes:
    """Return the body again. The schema keeps its order, in which models write."""
    if RESPONSE_FORMAT in fields:
        fields = {**fields, RESPONSE_FORMAT: orjson.Fragment(orjson.dumps(fields[RESPONSE_FORMAT]))}
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


class UnbuiltBody(NamedTuple):
    """A body with images that is built where it is sent: `load` builds it, and `finish` makes the last changes.

    It can be pickled if both can. `build` blocks, and raises `ImageError`.
    """

    load: Callable[[], bytes]
    finish: Callable[[bytes], bytes]

    def build(self) -> bytes:
        """Return the body as it is sent."""
        return self.finish(self.load())


def as_it_is(body: bytes) -> bytes:
    """Return a body that needs no changes."""
    return body


class PromptImages(Protocol):
    """Prepares the images of requests. `syphus.images.prompt.attachments` implements it."""

    rules: ImageRules

    def placeholder(self, image: PromptImage) -> object:
        """Return what stands for an image until it is sent; its text says which image, and in which size and format."""
        ...

    def tokens(self, image: PromptImage) -> int:
        """Return approximately how many tokens an image takes."""
        ...

    def body_builder(self, body: bytes, images: Iterable[PromptImage]) -> Callable[[], bytes]:
        """Return a function that returns `body` with the images in place of their placeholders."""
        ...


class RequestBuilder:
    """Builds requests to one model with the same parameters.

    A parameter that is None is left out. `images` prepares the images of requests. `cache` says how the model caches
    prompts, None if that is not known. `left_out` are fields that the model is known not to take. What an endpoint
    turns out not to accept is changed as a request is sent, see `adapt_request`.
    """

    def __init__(
        self,
        model: str,
        parameters: Mapping[str, object],
        images: PromptImages | None = None,
        cache: PromptCache | None = None,
        left_out: Collection[str] = (),
        formats: AnswerFormats | None = None,
    ) -> None:
        self.model = model
        self.formats = formats or AnswerFormats(model)  #: what is known about how strictly answers can be asked for
        self._cache = cache
        self._images = images
        self._left_out = left_out
        self.parameters = {k: v for k, v in parameters.items() if v is not None and k not in left_out}
        self._frame = _PROMPT_FRAME + _nested_bytes(self.parameters)
        self._last_prefix: tuple[list[Message], Mapping[str, object], SharedPrefix] = ([], {}, SharedPrefix())

    def request(
        self,
        messages: Sequence[Message],
        sample: int = 0,
        owner: str = "",
        extra_fields: Mapping[str, object] | None = None,
        shared: int = 0,
        answer: AnswerRequest | None = None,
    ) -> Request:
        """Return the request for these messages. Its key is the hash of the bytes that are sent.

        For an image, the key covers its content, size and format: another version of Pillow, which writes other bytes,
        does not pay for the answer again. The fields are sorted, since their order in a file means nothing. `owner`
        salts the key, so that owners do not share answers. `extra_fields` belong to this request alone, and replace
        parameters of the same name. `shared` is how many messages at the beginning are the same in many requests, for
        the prompt cache. That is not in the key. `answer` asks for JSON.
        """
        images = [image for message in messages for image in message.get("images", ())]
        turns = [self._in_parts(message) for message in messages] if images else messages
        extra = {name: value for name, value in (extra_fields or {}).items() if name not in self._left_out}
        if answer is not None:
            self.formats.note_sent(answer.format)
            extra |= answer.fields
        fields = {"model": self.model, "messages": turns, **self.parameters, **extra}
        body, salt, names = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS), owner.encode(), frozenset(fields)
        key = request_key(body, salt)
        prefix = self._prefix(messages, turns, shared, extra) if self._cache is not None else None
        if not images:
            most = self._max_tokens(messages, extra)
            plain = Request(key, body, sample, prefix=prefix, max_prompt_tokens=most, salt=salt, names=names)
            return plain if answer is None else self._in_form(plain, answer.format)
        assert self._images is not None, "a stage with images has something that prepares them"
        tokens = sum(map(self._images.tokens, images))
        image_bytes = BYTES_PER_TOKEN * tokens - _IMAGE_PART_BYTES * len(images)
        most = self._max_tokens(messages, extra) + tokens
        load_body = self._images.body_builder(body, images)
        request = Request(key, body, sample, load_body, image_bytes, prefix, most, salt, names)
        return request if answer is None else self._in_form(request, answer.format)

    def _in_form(self, request: Request, form: AnswerFormat) -> Request:
        room = partial(self.formats.room, form)
        return replace(request, form=form.value, form_room=room, refuse_form=self.formats.refuse)

    def _prefix(
        self,
        messages: Sequence[Message],
        turns: Sequence[Mapping[str, object]],
        shared: int,
        extra: Mapping[str, object],
    ) -> SharedPrefix:
        """Return the shared prefix. It is computed once for the same messages: most requests have those of the last."""
        last, last_extra, prefix = self._last_prefix
        if shared and last_extra == extra and last == list(messages[:shared]):
            return prefix
        assert self._cache is not None
        shown = [image for message in messages[:shared] for image in message.get("images", ())]
        tokens = sum(self._images.tokens(image) for image in shown) if self._images is not None else 0
        prefix = shared_prefix(turns, shared, [self.model, extra], tokens, self._cache)
        self._last_prefix = (list(messages[:shared]), extra, prefix)
        return prefix

    def _max_tokens(self, messages: Sequence[Message], extra: Mapping[str, object]) -> int:
        """Return the most tokens that a prompt may have without its images: one for each byte of text, and the frame.

        A schema is shown to the model, too.
        """
        text = sum(_size(message["content"]) for message in messages)
        return text + _MESSAGE_FRAME * len(messages) + self._frame + (_nested_bytes(extra) if extra else 0)

    def _in_parts(self, message: Message) -> Mapping[str, object]:
        """Return a message as the API expects it: with images, a part for each of them, then one for the text."""
        images = message.get("images", ())
        text = message["content"]
        if not images or self._images is None:
            return {"role": message["role"], "content": text}
        detail = self._images.rules.detail
        detail_field = {} if detail is None else {"detail": detail}
        parts: list[object] = [
            {"type": "image_url", "image_url": {"url": str(self._images.placeholder(image)), **detail_field}}
            for image in images
        ]
        return {"role": message["role"], "content": [*parts, *([{"type": "text", "text": text}] if text else [])]}
