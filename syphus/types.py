"""The values that flow from a plugin to the result. All are frozen, so nothing changes behind a caller's back.

Query --render--> Request --send--> Completion --parse, accept--> Outcome

`syphus.exchange` has the two in the middle, which go to a model and come back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NotRequired, TypedDict


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
    """An image that is sent with a query. It is a file, an entry of the image store, or its content."""

    path: str = ""
    id: str = ""  #: in the image store
    data: bytes = b""
    digest: str = ""  #: hash of the content, in hex; set when the image is inspected, like the fields below
    width: int = 0  #: in pixels, after rotation by EXIF
    height: int = 0
    format: str = ""  #: set if the image can be sent as it is
    problem: str = ""  #: why the image can't be read

    @property
    def name(self) -> str:
        """The name to show to people."""
        return self.path or self.id or f"image {self.digest[:8]}".rstrip()


class Message(TypedDict):
    """One turn of a chat."""

    role: str  #: system, user or assistant
    content: str
    images: NotRequired[Sequence[PromptImage]]  #: sent before the content


class State(StrEnum):
    """The state of a query. Every query is in exactly one."""

    OK = "ok"  #: pairs were accepted
    INVALID = "invalid"  #: an answer came, but could not be parsed or was rejected
    TRUNCATED = "truncated"  #: the answer was cut off at max_tokens
    REFUSED = "refused"  #: the model refused, or a content filter stopped the prompt or the answer
    FAILED = "failed"  #: this row can't be answered, or its attempts ran out
    PENDING = "pending"  #: no outcome yet; outages, stops and crashes leave rows here


class ReasonKind(StrEnum):
    """Why a query or a translation has no usable result. A value that ends in a space begins a longer reason.

    A reason is one stored line of text. Most reasons are only counted and shown. These few also decide what happens
    next, so their spelling is fixed: old ledgers hold it.
    """

    BAD_ROW = "bad row"  #: the row can't be read
    EMPTY_ANNOTATION = "the annotation is empty"
    PLUGIN = "plugin: "  #: the plugin's code failed on the row
    IMAGE = "image: "  #: an image of the row can't be sent
    CONTENT_FILTER = "content filter on the "  #: prompt or answer
    FINISH_REASON = "finish reason "  #: the server gave a finish reason that is not known
    JUDGE = "judge: "  #: a judge rejected the translation
    ALONE = "asked again alone"  #: its part of the answer to a pack could not be used; of pending queries
    ANOTHER_FORM = "asked again in another form"  #: the answer was not JSON as it was asked for; of pending queries
    OTHER = ""

    @classmethod
    def parse(cls, reason: str) -> ReasonKind:
        """Return the kind of a stored reason; `OTHER` for one that no code acts on."""
        for kind in cls:
            if reason == kind or (kind.endswith(" ") and reason.startswith(kind)):
                return kind
        return cls.OTHER

    @property
    def is_fixed_by_retry(self) -> bool:
        """Whether another attempt may succeed although nothing else has changed."""
        return self not in (
            ReasonKind.BAD_ROW,
            ReasonKind.EMPTY_ANNOTATION,
            ReasonKind.PLUGIN,
            ReasonKind.IMAGE,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a query: its accepted pairs, or why it has none."""

    state: State
    pairs: tuple[Pair, ...] = ()
    reason: str = ""  #: one short line, so that equal reasons can be counted
    detail: str = ""
    repairs: Mapping[str, int] = field(default_factory=dict)  #: cleaning rules that changed the pairs, and how often
    rejected_by: tuple[str, ...] = field(default=(), compare=False)  #: cleaning rules; counted, not stored
