"""Prompt caches: the mark at the end of the shared prefix, the fields that go with it, and what a cache will save.

Every request of a stage begins with the same messages. Servers keep the state of such a prefix and charge less for
reading it. Older models find the beginning of a prompt by themselves and write it for free. Newer ones read and write
only what ends at a mark, and charge for writing; without options they mark the end of the prompt, so they would write
every prompt and read none.

Only input can be marked, no answer of the assistant. A prefix mostly ends with one: the last in-context example. So the
mark is on a constant part at the beginning of the message after it. What is between a mark and the row's own text is
paid in full in every request; this way it is nothing.

Marks and fields are added to a finished body. They are not in the request key, so an answer that was paid for is found
whatever the cache does.

Sources, looked up on 2026-11-30: developers.openai.com/api/docs/guides/prompt-caching, and the types of the official
SDK 3.57 (`completion_create_params.PromptCacheOptions`, `chat_completion_content_part_text_param`); that answers can't
be marked: `OpenAiOfficialPromptCacheBreakpoint` of langchain4j. A mark can ask for 12 hours (`"ttl": "12h"` in the same
SDK, on 2026-12-01), which the options of a chat request don't take.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from syphus.config.model_table import LONG_MINUTES, PromptCache, find_model
from syphus.config.settings import Config
from syphus.exchange import BYTES_PER_TOKEN, SharedPrefix

#: The fields that a server may refuse. If it refuses one, none is sent.
CACHE_FIELDS = (CACHE_OPTIONS := "prompt_cache_options", "prompt_cache_breakpoint", "prompt_cache_key")
USUAL_RATE = 1_000.0  #: requests per minute that are assumed if no limit is known

_MESSAGE_TOKENS = 4  # around each message
_BREAKPOINT = "prompt_cache_breakpoint"
_CONTENT, _MESSAGES = b'{"content":', b'"messages":['
_MINUTES = 30  # the lifetime of a request's marks; a mark can ask for LONG_MINUTES; else the server's own holds


def has_own_cache_fields(config: Config) -> bool:
    """Return whether the user's own fields decide about the prompt cache."""
    return any(name in config.extra_body for name in CACHE_FIELDS)


def cache_rules(config: Config) -> PromptCache | None:
    """Return how the configured model caches prompts, None if that is not known or left to the user's own fields."""
    if has_own_cache_fields(config):
        return None
    model = find_model(config.model, config.models)
    return model.cache if model is not None else None


def shared_prefix(
    turns: Sequence[Mapping[str, Any]], count: int, beside: object, image_tokens: int, rules: PromptCache
) -> SharedPrefix:
    """Return the first `count` of the messages of a request as the prefix that it shares with others.

    `turns` are messages as they are sent, `beside` is what else the server puts before them, such as the model and the
    schema of the answer. `image_tokens` are those of the prefix's images.
    """
    if count <= 0 or count >= len(turns):
        return SharedPrefix()
    body = orjson.dumps(turns[:count], option=orjson.OPT_SORT_KEYS)
    digest = blake2b(orjson.dumps(beside, option=orjson.OPT_SORT_KEYS) + body, digest_size=8).hexdigest()
    text_bytes = sum(len(text.encode()) for turn in turns[:count] for text in _texts(turn["content"]))
    tokens = text_bytes // BYTES_PER_TOKEN + _MESSAGE_TOKENS * count + image_tokens
    if rules.kind != "marked" or tokens < rules.minimum:
        return SharedPrefix(digest, tokens)
    size = len(body) - 1  # without the brackets, with the comma before the next message
    if any(isinstance(turn["content"], list) for turn in turns[:count]):
        size = -1  # it grows when the images are put in
    if turns[count - 1]["role"] == "assistant":
        return SharedPrefix(digest, tokens, mark=count, offset=size)
    before = size - 1 - len(orjson.dumps(turns[count - 1], option=orjson.OPT_SORT_KEYS))
    return SharedPrefix(digest, tokens, mark=count - 1, offset=max(-1, before), in_prefix=True)


def _texts(content: object) -> list[str]:
    if isinstance(content, list):
        return [part["text"] for part in content if part.get("type") == "text"]
    return [str(content)]


def cache_key(prefix: SharedPrefix, number: int) -> str:
    """Return the stable `prompt_cache_key` number `number` of a prefix. It tells nothing about the prompt."""
    return f"syphus-{prefix.digest}-{number}"


@cache
def _mark(is_long: bool) -> dict[str, str]:
    return {"mode": "explicit", "ttl": "12h"} if is_long else {"mode": "explicit"}


@cache
def _marked_part(is_long: bool) -> dict[str, object]:
    return {_BREAKPOINT: _mark(is_long), "text": "\n", "type": "text"}  # as neutral as a text can be


def mark_body(body: bytes, prefix: SharedPrefix, key: str, rules: PromptCache) -> bytes:
    """Return a body with the mark after its prefix and with the cache fields.

    Without a `key` nothing is marked, which turns the cache and its fee off.
    """
    ttl = b',"ttl":"30m"' if rules.minutes in (None, _MINUTES) else b""
    options = b'{"prompt_cache_options":{"mode":"explicit"%b},' % ttl
    if not key:
        return options + body[1:]
    is_long = rules.minutes == LONG_MINUTES
    marked = (_insert_mark(body, prefix, is_long) if prefix.offset >= 0 else None) or _mark_parsed(
        body, prefix, is_long
    )
    return b'{"prompt_cache_key":"%b",' % key.encode() + options[1:] + marked[1:]


def _insert_mark(body: bytes, prefix: SharedPrefix, is_long: bool) -> bytes | None:
    """Insert the mark without parsing the body; None if the message is not where it should be."""
    start = body.find(_MESSAGES) + len(_MESSAGES) + prefix.offset
    content = start + len(_CONTENT)
    if body[start - 1 : content] not in (b"," + _CONTENT, b"[" + _CONTENT):
        return None
    if body[content : content + 1] == b"[" and not prefix.in_prefix:
        return b"%b[%b,%b" % (body[:content], orjson.dumps(_marked_part(is_long)), body[content + 1 :])
    end = body.find(b'","role":"', content) + 1  # quotes inside a text are escaped
    if body[content : content + 1] != b'"' or end <= content:
        return None
    text = body[content:end]
    if prefix.in_prefix:
        mark = orjson.dumps({_BREAKPOINT: _mark(is_long)})[1:-1]
        return b'%b[{%b,"text":%b,"type":"text"}]%b' % (body[:content], mark, text, body[end:])
    part = orjson.dumps(_marked_part(is_long))
    return b'%b[%b,{"text":%b,"type":"text"}]%b' % (body[:content], part, text, body[end:])


def _mark_parsed(body: bytes, prefix: SharedPrefix, is_long: bool) -> bytes:
    fields = orjson.loads(body)
    message = fields["messages"][prefix.mark]
    content = message["content"]
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    if prefix.in_prefix:
        message["content"] = [*parts[:-1], {**parts[-1], _BREAKPOINT: _mark(is_long)}]
    else:
        message["content"] = [_marked_part(is_long), *parts]
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def are_marks_refused(evidence: str, sent: Mapping[str, Any]) -> bool:
    """Return whether an error is about the fields of the cache or about the message that was split for the mark.

    `evidence` is everything that the error says, `sent` are the fields of the request.
    """
    if CACHE_OPTIONS not in sent:
        return False
    if any(name in evidence for name in CACHE_FIELDS):
        return True
    messages = sent.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else []):
        parts = message.get("content")
        if isinstance(parts, list) and all(part.get("type") == "text" for part in parts):  # it was one text before
            return re.search(rf"messages\W+{number}\W+content\b", evidence) is not None
    return False


class CacheUse(NamedTuple):
    """Input tokens: read from the cache, written to it, and neither of the two."""

    cached: int
    written: int
    uncached: int

    @property
    def share(self) -> float:
        """The share of all input tokens that is read from the cache."""
        return self.cached / (sum(self) or 1)


def expected_cache_use(
    prefix_tokens: float,
    rows: int,
    own_tokens: float,
    rules: PromptCache | None,
    requests_per_minute: float | None = None,
    warm_keys: int = 0,
) -> CacheUse:
    """Return what `rows` requests will read from the prompt cache, write to it, and neither.

    Each request has `prefix_tokens` that all of them share, and `own_tokens` after these, on average. `rules` are those
    of the model, None if it has no cache or an unknown one. `requests_per_minute` is the rate that the run will reach,
    None if it is unknown: then USUAL_RATE.

    A marked prefix is written once for each key but the `warm_keys`, which an earlier session wrote, and a new key is
    used for the requests above the rate of one key. A
    prefix that is found by itself has no key: the requests above that rate miss the cache.
    """
    total = rows * (prefix_tokens + own_tokens)
    if rules is None or rows < 1 or prefix_tokens < rules.minimum:
        return CacheUse(0, 0, round(total))
    limit = float(rules.requests_per_minute or math.inf)
    in_a_minute = min(float(rows), requests_per_minute or USUAL_RATE)
    if rules.kind == "marked":
        keys = max(1, min(rows, math.ceil(in_a_minute / limit)))
        cold = max(0, keys - warm_keys)
        cached, written = (rows - cold) * prefix_tokens, cold * prefix_tokens
    else:
        found = rows - 1 if in_a_minute <= limit else limit * rows / in_a_minute
        cached, written = max(0.0, min(rows - 1, found)) * (prefix_tokens // rules.step * rules.step), 0.0
    return CacheUse(round(cached), round(written), round(total - cached - written))
