"""The values that flow from a plugin to the result. All are frozen: nothing changes behind anybody's back.

Query --render--> Request --send--> Completion --parse, accept--> Outcome
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

SIMULATED = "simulated-"  #: how the names of models begin whose answers are made up
BYTES_PER_TOKEN = 4  #: rule of thumb for English text, until a server has reported its usage
LOCAL = "local:"  #: how the names of models begin that run in the process itself, for free


def is_simulated(model: str) -> bool:
    """Return whether a model of this name is the simulator, whose answers are made up."""
    return model.startswith(SIMULATED)


@dataclass(frozen=True, slots=True)
class PromptImage:
    """One image that goes out with a query: where it is, and what it was when the input was read.

    It is in a file (`path`), in the image store (`id`), or was handed over (`data`). Once it was looked at, `digest` is
    a hash of its content in hex, under which what was handed over is kept; `width` and `height` are its pixels when
    upright, `format` the one in which it can go out as it is, if it can. A `problem` says why it can't be read.
    """

    path: str = ""
    id: str = ""
    data: bytes = b""
    digest: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.path or self.id or f"image {self.digest[:8]}".rstrip()


class Message(TypedDict):
    """One turn of a chat: `role` is system, user or assistant; `content` is its text, `images` go out before it."""

    role: str
    content: str
    images: NotRequired[Sequence[PromptImage]]


class State(StrEnum):
    """Where a query stands. There are no other states, and every query is in exactly one."""

    OK = "ok"  #: pairs were accepted
    INVALID = "invalid"  #: an answer came, and could not be parsed or was rejected
    TRUNCATED = "truncated"  #: the answer was cut off at max_tokens
    REFUSED = "refused"  #: a refusal, or a content filter on the prompt or the answer
    FAILED = "failed"  #: this row can't be answered, or its attempts ran out
    PENDING = "pending"  #: no outcome yet; an outage, a stop or a crash leaves rows here


class Relation(StrEnum):
    """Which pairs are a pair's context, its `rel_ins_ids`."""

    SIBLINGS = "siblings"  #: all other pairs of its query
    EARLIER = "earlier rounds"  #: those before it in its conversation, the first of them first
    NONE = "none"
    TEXT = "nearest by text"  #: those whose instructions are nearest to its own, the nearest first
    IMAGE = "nearest by image"  #: those whose first images are nearest to its own, the nearest first

    @property
    def nearest(self) -> bool:
        """Whether it relates pairs of different queries."""
        return self in (Relation.TEXT, Relation.IMAGE)


@dataclass(frozen=True, slots=True)
class Train:
    """Which pairs are the keys of `XX_train.json`, and how much of its context each keeps.

    `keys`: "firsts" (pairs that were no key's context yet, in their order), "every", or "last rounds" (the last pair
    of each conversation, if it has any context). With `first` or `last`, a key keeps exactly so many of its context,
    the first or the last of them; less is repeated, and a key without any is left out. 0 keeps all.
    """

    keys: Literal["firsts", "every", "last rounds"] = "firsts"
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """One instruction and its response, exactly as the model wrote them.

    An accepted pair has an `id`, and names the `related` pairs of the same query by their numbers, from 1.
    """

    instruction: str
    answer: str
    id: str = ""
    related: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """One row of the input: what the model is asked about.

    `id` is unique in its dataset and stable over runs, `text` the annotation as the model gets to see it, `image_ids`
    the keys of its images in the image store, `meta` whatever else the plugin wants to find again (JSON values only).
    A row with a `problem` can't be asked about, and this says why. One that brings its own `pairs` needs no model.
    `images` are shown to the model together with the text.
    """

    id: str
    text: str
    image_ids: tuple[str, ...] = ()
    meta: Mapping[str, object] = field(default_factory=dict)
    problem: str = ""
    pairs: tuple[Pair, ...] = ()
    images: tuple[PromptImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Still:
    """An image of a dataset: its id, and the file that it is in.

    Relative paths start at the folder of the images. Where the file may be missing, `urls` are where it can be had, the
    best first; `convert --download` puts it at `path`.
    """

    id: str
    path: str | Path
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """An image that is the frame of a video nearest to a second of it."""

    id: str
    video: str | Path
    second: float


@dataclass(frozen=True, slots=True)
class Video:
    """An image for every second of a video, from second 0 on; its id is `prefix` and the second in so many `digits`."""

    path: str | Path
    prefix: str
    digits: int = 4

    def id(self, second: int) -> str:
        """`DC_IMG_v_abc123_0007`."""
        return f"{self.prefix}{second:0{self.digits}}"


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """What every query of a dataset is asked with: the system message and the in-context examples, in turns."""

    system_message: str
    in_context: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read out of one answer.

    `problems` are the reasons why it can't be taken ("question without an answer"): an answer with problems is invalid
    as a whole, so that nothing is dropped silently. `notes` are harmless ("text before the first question").
    """

    pairs: tuple[Pair, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call or of many: usages add up with `+`.

    `cached_tokens` is a part of `prompt_tokens`, `reasoning_tokens` a part of `completion_tokens`; `estimated` counts
    the tokens that no server reported and that we guessed.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.estimated + other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One chat request, ready to go.

    `body` is the exact JSON that is sent, `key` its hash: the name of its answer for ever. `sample` tells apart the
    answers to one and the same body: it is the number of answers that the query had before this one.

    A request with images has marks in the place of them in its `body`. `whole` then gives what is sent; it blocks, and
    raises `ImageError`. `image_bytes` is how much text would take as many tokens as the images do.
    """

    key: bytes
    body: bytes
    sample: int = 0
    whole: Callable[[], bytes] | None = None
    image_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes, of which about four are a token."""
        return len(self.body) + self.image_bytes


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer as it came: paid for, whatever it is worth. `model` is the name that the server gave."""

    text: str
    finish_reason: str
    model: str
    usage: Usage
    refusal: str = ""
    flags: tuple[str, ...] = ()  #: content filter categories that cut the answer ("hate: high"), "filter did not run"
    response_id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a query: its accepted pairs, or why there are none.

    `reason` is one short line that can be counted, `detail` everything else worth keeping; `repairs` says which rules
    of cleaning have changed the pairs, and how often; `rejected_by` which of them have found no way to take them.
    """

    state: State
    pairs: tuple[Pair, ...] = ()
    reason: str = ""
    detail: str = ""
    repairs: Mapping[str, int] = field(default_factory=dict)
    rejected_by: tuple[str, ...] = field(default=(), compare=False)  # counted, and not kept with the outcome
