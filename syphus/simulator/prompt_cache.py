"""The prompt cache of a simulated endpoint, by the rules of older and of newer models.

automatic  up to GPT-5.5: finds the longest beginning that an earlier prompt had, from 1,024 tokens on, in steps of 128.
           Writing is free and is not reported.
marked     from GPT-5.6 on: reads and writes only what ends at a breakpoint, to the token. Without options, the end of
           the latest message is one, so prompts that end differently write all of it, and read nothing.

A request goes to the machine that knows its `prompt_cache_key` and the beginning of its prompt. What exceeds the rate
of one key goes to another machine, which has to write its own cache. A prefix can be read once the request that wrote
it is answered, until it was not used for its lifetime.

Source, looked up on 2026-11-30: developers.openai.com/api/docs/guides/prompt-caching.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from random import Random
from typing import NamedTuple

import orjson

from syphus.simulator.chat_request import Body, ChatRequest, bad_request, images_of

_MINIMUM, _STEP = 1024, 128  # tokens
_MARKED_SINCE = (5, 6)
_GPT = re.compile(r"(?:^|/)gpt-(\d)(?!\d)(?:\.(\d+))?")
_KNOWN = re.compile(r"(?:^|/)(?:gpt|chatgpt|o\d)-?")  # models of OpenAI, which check their parameters
_BYTES_PER_TOKEN, _FRAMING = 4, 16  # bytes; the prompt reader counts in the same way
_ROUTED_BY = 1024  # bytes at the beginning of a prompt that choose its machine: 256 tokens
_MOST_READ, _MOST_WRITTEN = 80, 4  # breakpoints of one request
_LIFETIMES = {"30m": 1800.0, "12h": 43_200.0}  # seconds
_DEFAULT_LIFETIME, _AUTOMATIC_LIFETIME = _LIFETIMES["30m"], 600.0
_MINUTE = 60.0
_MOST_ENTRIES = 100_000


class CacheRule(StrEnum):
    """The rules of a prompt cache."""

    BY_MODEL = "by_model"
    AUTOMATIC = "automatic"
    MARKED = "marked"
    NONE = "none"


class CacheSettings(NamedTuple):
    """The settings of a prompt cache; see `Simulation`."""

    rule: CacheRule = CacheRule.BY_MODEL
    requests_per_minute: float = 15.0
    machines: int = 0  #: that requests above the rate are spread over; 0 is endless
    seconds: float = 0.0  #: that a prefix is kept after its last use; 0 is what the rules say
    seed: int = 0


class _Mark(NamedTuple):
    end: int  # bytes from the beginning of the prompt
    lifetime: float


@dataclass(slots=True)
class _Machine:
    """What one machine has: the prefixes by their hash with the time until which each is kept, and recent requests."""

    kept_until: dict[bytes, float] = field(default_factory=dict)
    recent: deque[float] = field(default_factory=deque)

    def is_full(self, limit: float, now: float) -> bool:
        """Count a request; return whether it exceeds the limit per minute."""
        while self.recent and self.recent[0] <= now - _MINUTE:
            self.recent.popleft()
        if limit and len(self.recent) >= limit:
            return True
        self.recent.append(now)
        return False


class CacheLookup(NamedTuple):
    """The input tokens that a request reads and writes; pass it to `SimulatedCache.store` once it is answered."""

    cached_tokens: int
    cache_write_tokens: int
    machine: _Machine
    lifetimes: dict[bytes, float]  # of the prefixes that are written, or read and so kept for longer


class SimulatedCache:
    """All machines of an endpoint. Times are seconds of any clock that does not go back."""

    def __init__(self, settings: CacheSettings) -> None:
        self.settings = settings
        self._homes: dict[tuple[str, str, bytes], _Machine] = {}
        self._others: dict[int, _Machine] = {}
        self._random = Random(f"machines/{settings.seed}")

    def look_up(self, chat: ChatRequest, model: str, now: float) -> CacheLookup:
        """Return what a valid request to `model` reads and writes."""
        rule = rule_of(model) if self.settings.rule is CacheRule.BY_MODEL else self.settings.rule
        if rule is CacheRule.NONE:
            return CacheLookup(0, 0, _Machine(), {})
        prompt, marks = _read_prompt(chat, model)
        machine = self._machine(model, str(chat.body.get("prompt_cache_key") or ""), prompt, now)
        if rule is CacheRule.MARKED:
            return _look_up_marked(prompt, _effective(marks, len(prompt), chat.body), machine, now)
        return _look_up_automatic(prompt, machine, now)

    def store(self, lookup: CacheLookup, now: float) -> None:
        """Keep what an answered request has written, and what it has read for longer."""
        kept = lookup.machine.kept_until
        if len(kept) > _MOST_ENTRIES:
            for key in [key for key, until in kept.items() if until <= now]:
                del kept[key]
        for key, lifetime in lookup.lifetimes.items():
            kept[key] = now + (self.settings.seconds or lifetime)

    def _machine(self, model: str, key: str, prompt: bytes, now: float) -> _Machine:
        route = (model, key, blake2b(prompt[:_ROUTED_BY], digest_size=16).digest())
        home = self._homes.setdefault(route, _Machine())
        if not home.is_full(self.settings.requests_per_minute, now):
            return home
        if not self.settings.machines:  # as many as there are requests
            return _Machine()
        return self._others.setdefault(self._random.randrange(self.settings.machines), _Machine())


def rule_of(model: str) -> CacheRule:
    """Return the rule of a model by its name."""
    version = _GPT.search(model)
    if version is not None and (int(version[1]), int(version[2] or 0)) >= _MARKED_SINCE:
        return CacheRule.MARKED
    return CacheRule.AUTOMATIC


def check_cache_fields(chat: ChatRequest, model: str, rule: CacheRule) -> None:
    """Raise `Rejected` for cache fields that a model does not accept, as OpenAI does; other servers ignore them."""
    if rule is CacheRule.BY_MODEL:
        if not _KNOWN.search(model):
            return
        rule = rule_of(model)
    options = chat.body.get("prompt_cache_options")
    marked = _breakpoints(chat)
    if rule is CacheRule.MARKED:
        _check_options(options)
        for where, role in marked.items():
            if role == "assistant":
                text = "Invalid value: 'prompt_cache_breakpoint' is only supported on input content."
                raise bad_request(text, where, "invalid_value")
    elif options is not None or marked:
        name = "prompt_cache_options" if options is not None else next(iter(marked))
        text = f"Unsupported parameter: '{name}' is not supported with this model."
        raise bad_request(text, name, "unsupported_parameter")


def _check_options(options: object) -> None:
    if options is None:
        return
    if not isinstance(options, dict):
        text = "Invalid type for 'prompt_cache_options': expected an object."
        raise bad_request(text, "prompt_cache_options", "invalid_type")
    for name, allowed in (("mode", ("implicit", "explicit")), ("ttl", ("30m",))):
        value = options.get(name, allowed[0])
        if value not in allowed:
            supported = " and ".join(f"'{each}'" for each in allowed)
            text = f"Invalid value: '{value}'. Supported values are: {supported}."
            raise bad_request(text, f"prompt_cache_options.{name}", "invalid_value")


def _breakpoints(chat: ChatRequest) -> dict[str, object]:
    """Return the place of each breakpoint, with the role of its message."""
    return {
        f"messages[{number}].content[{index}].prompt_cache_breakpoint": message["role"]
        for number, message in enumerate(chat.messages)
        for index, part in enumerate(_parts(message))
        if isinstance(part, dict) and part.get("prompt_cache_breakpoint") is not None
    }


def _parts(message: Body) -> list[object]:
    content = message.get("content")
    return content if isinstance(content, list) else [{"type": "text", "text": content or ""}]


def _read_prompt(chat: ChatRequest, model: str) -> tuple[bytes, list[_Mark]]:
    """Return a prompt as bytes, four to a token, and its breakpoints.

    Prompts have the same beginning if their bytes have. What comes before all messages, such as the schema of the
    answer, takes no tokens here, but changes all bytes.
    """
    before = blake2b(orjson.dumps([model, chat.body.get("response_format"), chat.body.get("tools")]), digest_size=8)
    prompt, marks = bytearray(), []
    for message in chat.messages:
        prompt += (before.digest() + str(message["role"]).encode()).ljust(_FRAMING)[:_FRAMING]
        for part in _parts(message):
            prompt += _part_bytes(part)
            mark = part.get("prompt_cache_breakpoint") if isinstance(part, dict) else None
            if isinstance(mark, dict):
                marks.append(_Mark(len(prompt), _LIFETIMES.get(str(mark.get("ttl")), _DEFAULT_LIFETIME)))
    return bytes(prompt), marks


def _part_bytes(part: object) -> bytes:
    images = images_of({"content": [part]})
    if images:
        pattern = images[0].digest.encode() + images[0].detail.encode()
        size = _BYTES_PER_TOKEN * images[0].tokens
        return (pattern * (size // len(pattern) + 1))[:size]
    return str(part.get("text") or "").encode() if isinstance(part, dict) else b""


def _effective(marks: list[_Mark], end: int, body: Body) -> list[_Mark]:
    """Return the breakpoints that count, in order: the marks, and without `mode: explicit` the end of the prompt."""
    options = body.get("prompt_cache_options")
    explicit = isinstance(options, dict) and options.get("mode") == "explicit"
    return (marks if explicit else [*marks, _Mark(end, _DEFAULT_LIFETIME)])[-_MOST_READ:]


def _look_up_marked(prompt: bytes, marks: list[_Mark], machine: _Machine, now: float) -> CacheLookup:
    long_enough = [mark for mark in marks if _tokens(mark.end) >= _MINIMUM]
    keys = {mark: _hash(prompt[: mark.end]) for mark in long_enough}
    read = max((mark for mark in long_enough if machine.kept_until.get(keys[mark], 0.0) > now), default=None)
    start = read.end if read else 0
    written = [mark for mark in long_enough if mark.end > start][-_MOST_WRITTEN:]
    cached = _tokens(start)
    used = [*written, *([read] if read else [])]
    return CacheLookup(
        cached,
        _tokens(written[-1].end) - cached if written else 0,
        machine,
        {keys[mark]: mark.lifetime for mark in used},
    )


def _look_up_automatic(prompt: bytes, machine: _Machine, now: float) -> CacheLookup:
    chain, keys, found = b"", [], 0
    step = _STEP * _BYTES_PER_TOKEN
    for number in range(1, len(prompt) // step + 1):
        chain = _hash(chain + prompt[(number - 1) * step : number * step])
        tokens = number * _STEP
        if tokens >= _MINIMUM:
            keys.append(chain)
            if machine.kept_until.get(chain, 0.0) > now:
                found = tokens
    return CacheLookup(found, 0, machine, dict.fromkeys(keys, _AUTOMATIC_LIFETIME))


def _tokens(size: int) -> int:
    return -(-size // _BYTES_PER_TOKEN)


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
