"""The values that flow from a plugin to the result. All are frozen, so nothing changes behind a caller's back.

Query --render--> Request --send--> Completion --parse, accept--> Outcome
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

SIMULATED = "simulated-"  #: prefix of simulated models
BYTES_PER_TOKEN = 4  #: rule of thumb for English text, until a server has reported its usage
LOCAL = "local:"  #: prefix of models that run in this process, for free


def is_simulated(model: str) -> bool:
    """Return whether a model of this name is the simulator, whose answers are made up."""
    return model.startswith(SIMULATED)


@dataclass(frozen=True, slots=True)
class Pair:
    """One instruction and its response, exactly as the model wrote them."""

    instruction: str
    answer: str
    id: str = ""  #: set once the pair is accepted
    related: tuple[int, ...] = ()  #: the pairs of the same query that are its context, by their numbers from 1


@dataclass(frozen=True, slots=True)
class Query:
    """One row of the input: what the model is asked about."""

    id: str  #: unique in the dataset and stable between runs
    text: str  #: the annotation as the model sees it
    image_ids: tuple[str, ...] = ()  #: keys in the image store
    meta: Mapping[str, object] = field(default_factory=dict)  #: JSON values to find again in the output
    problem: str = ""  #: why the model can't be asked about this row
    pairs: tuple[Pair, ...] = ()  #: pairs that the row already has; no model is asked then
    images: tuple[PromptImage, ...] = ()  #: shown to the model with the text


@dataclass(frozen=True, slots=True)
class PromptImage:
    """An image that is sent with a query: a file (`path`), an entry of the image store (`id`), or its content (`data`).

    The other fields are set when the input is read and the image is inspected.
    """

    path: str = ""
    id: str = ""
    data: bytes = b""
    digest: str = ""  #: hash of the content, in hex
    width: int = 0  #: in pixels, after rotation by EXIF
    height: int = 0
    format: str = ""  #: set if the image can be sent as it is
    problem: str = ""  #: why the image can't be read

    @property
    def name(self) -> str:
        """The name to show to people."""
        return self.path or self.id or f"image {self.digest[:8]}".rstrip()


@dataclass(frozen=True, slots=True)
class Still:
    """A dataset image that is a file."""

    id: str
    path: str | Path  #: relative to the folder of the images
    urls: tuple[str, ...] = ()  #: where `convert --download` finds a missing file, best first


@dataclass(frozen=True, slots=True)
class Frame:
    """A dataset image that is the video frame nearest to a point in time."""

    id: str
    video: str | Path
    second: float


@dataclass(frozen=True, slots=True)
class Video:
    """A dataset image for each second of a video, from second 0."""

    path: str | Path
    prefix: str  #: of the ids; the second follows, padded with zeros to `digits`
    digits: int = 4

    def id(self, second: int) -> str:
        """Return an id such as `DC_IMG_v_abc123_0007`."""
        return f"{self.prefix}{second:0{self.digits}}"


class Relation(StrEnum):
    """Which pairs are the context of a pair: its `rel_ins_ids`."""

    SIBLINGS = "siblings"  #: all other pairs of the same query
    EARLIER = "earlier rounds"  #: the pairs before it in the conversation, in their order
    NONE = "none"
    TEXT = "nearest by text"  #: pairs with the most similar instructions, nearest first
    IMAGE = "nearest by image"  #: pairs with the most similar first images, nearest first

    @property
    def is_nearest(self) -> bool:
        """Whether this relates pairs of different queries."""
        return self in (Relation.TEXT, Relation.IMAGE)


@dataclass(frozen=True, slots=True)
class Train:
    """Which pairs become the keys of `XX_train.json`, and how much context each keeps.

    Keys are `"firsts"` (pairs that are not yet in the context of an earlier key), `"every"` pair, or `"last rounds"`
    (the last pair of each conversation that has context). With `first` or `last`, each key keeps exactly that many
    context pairs from the start or the end: a shorter context is repeated, and a key without context is left out.
    """

    keys: Literal["firsts", "every", "last rounds"] = "firsts"
    first: int = 0  #: 0 keeps all
    last: int = 0


class Message(TypedDict):
    """One turn of a chat."""

    role: str  #: system, user or assistant
    content: str
    images: NotRequired[Sequence[PromptImage]]  #: sent before the content


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """What every request of a dataset begins with: the system message and the in-context examples, as turns."""

    system_message: str
    in_context: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One chat request, ready to send."""

    key: bytes  #: hash of `body`; the answer is stored under it
    body: bytes  #: the exact JSON that is sent; an image is represented by a placeholder
    sample: int = 0  #: how many answers the query had before; tells answers to the same body apart
    load_body: Callable[[], bytes] | None = None  #: body with images; blocks, and raises `ImageError`
    image_bytes: int = 0  #: bytes of text that would take as many tokens as the images

    @property
    def size(self) -> int:
        """Size in bytes for estimates; about four bytes make a token."""
        return len(self.body) + self.image_bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call or of many; usages can be added."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0  #: part of `prompt_tokens`
    reasoning_tokens: int = 0  #: part of `completion_tokens`
    estimated: int = 0  #: tokens that no server reported, so they are our estimate

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer as it came. It is paid for, whatever it is worth."""

    text: str
    finish_reason: str
    model: str  #: the server's name for it
    usage: Usage
    refusal: str = ""
    flags: tuple[str, ...] = ()  #: content filter categories that cut the answer ("hate: high"), "filter did not run"
    response_id: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser found in one answer. Any problem makes the whole answer invalid: nothing is dropped silently."""

    pairs: tuple[Pair, ...] = ()
    problems: tuple[str, ...] = ()  #: such as "question without an answer"
    notes: tuple[str, ...] = ()  #: harmless, such as "text before the first question"


class State(StrEnum):
    """The state of a query. Every query is in exactly one."""

    OK = "ok"  #: pairs were accepted
    INVALID = "invalid"  #: an answer came, but could not be parsed or was rejected
    TRUNCATED = "truncated"  #: the answer was cut off at max_tokens
    REFUSED = "refused"  #: the model refused, or a content filter stopped the prompt or the answer
    FAILED = "failed"  #: this row can't be answered, or its attempts ran out
    PENDING = "pending"  #: no outcome yet; outages, stops and crashes leave rows here


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a query: its accepted pairs, or why it has none."""

    state: State
    pairs: tuple[Pair, ...] = ()
    reason: str = ""  #: one short line, so that equal reasons can be counted
    detail: str = ""
    repairs: Mapping[str, int] = field(default_factory=dict)  #: cleaning rules that changed the pairs, and how often
    rejected_by: tuple[str, ...] = field(default=(), compare=False)  #: cleaning rules; counted, not stored
