"""What goes to a model and comes back: requests, completions and their tokens. All are frozen, like `syphus.types`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BYTES_PER_TOKEN = 4  #: rule of thumb for English text, until a server has reported its usage


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """The messages at the beginning of a request that many requests share, for the server's prompt cache.

    `mark` is the number of the message that gets the mark, or -1 for none: `in_prefix` at the end of the last shared
    message, or else in a part of its own before the content of the message after it. `offset` is where that message
    begins in the JSON of the messages, -1 if that is not known because the prefix shows images.
    """

    digest: str = ""  #: of the messages and of everything else before the mark; "" if nothing is shared
    tokens: int = 0  #: an estimate
    mark: int = -1
    offset: int = 0
    in_prefix: bool = False


PACKED = "pack of "  #: begins the flag of an answer that is about several rows, before their largest number


@dataclass(frozen=True, slots=True)
class Request:
    """One chat request, ready to send."""

    key: bytes  #: hash of `body`; the answer is stored under it
    body: bytes  #: the exact JSON that is sent; an image is represented by a placeholder
    sample: int = 0  #: how many answers the query had before; tells answers to the same body apart
    load_body: Callable[[], bytes] | None = None  #: body with images; blocks, and raises `ImageError`
    image_bytes: int = 0  #: bytes of text that would take as many tokens as the images
    prefix: SharedPrefix | None = None  #: None for a model whose prompt cache is unknown
    max_prompt_tokens: int = 0  #: more tokens than this the prompt can't have; 0 if only its bytes are known
    salt: bytes = b""  #: is hashed into the key with the body
    names: frozenset[str] = frozenset()  #: of the fields in the body
    required: frozenset[str] = frozenset()  #: of the fields without which the answer would be of no use
    form: str = ""  #: an `AnswerFormat`, if the request asks for JSON where the server can do it
    form_room: Callable[[], int] | None = None  #: how many requests in this form may be in flight; 0 if it is given up
    refuse_form: Callable[[str], bool] | None = None  #: notes that the server does not accept this form, and its words
    packed: int = 0  #: rows that make this same request together, at most; 0 if it is about one row

    @property
    def marks(self) -> tuple[str, ...]:
        """What an answer must say about its request, as flags: the form, and that it is of a pack."""
        return tuple(filter(None, (self.form, f"{PACKED}{self.packed}" if self.packed else "")))

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
    cache_write_tokens: int = 0  #: part of `prompt_tokens`: written into the prompt cache, none of `cached_tokens`

    @property
    def read_share(self) -> float:
        """The share of the prompt tokens that was read from the prompt cache."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def written_share(self) -> float:
        """The share of the prompt tokens that was written into the prompt cache."""
        return self.cache_write_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.estimated + other.estimated,
            self.cache_write_tokens + other.cache_write_tokens,
        )


@dataclass(frozen=True, slots=True)
class BilledUsage:
    """Tokens with everything that their price depends on: those of one call, or of many that are billed alike."""

    model: str  #: the server's name for it
    configured_model: str  #: its name in the settings
    usage: Usage
    service_tier: str = ""
    regional: bool = False
    prompt_size: int = 0  #: prompt tokens of each call if they may change the price, or else 0


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer as it came. It is paid for, whatever it is worth."""

    text: str
    finish_reason: str
    model: str  #: the server's name for it
    usage: Usage
    refusal: str = ""
    #: content filter categories that cut the answer ("hate: high"), "filter did not run", the form asked for
    flags: tuple[str, ...] = ()
    response_id: str = ""
    service_tier: str = ""  #: that served it and that is billed, as the server names it; "" if it does not say
    regional: bool = False  #: served by an endpoint that processes data in one region, which may cost more
