"""What a run will take, before it costs anything: tokens, dollars, minutes. Estimates, and told as such."""

from __future__ import annotations

from typing import NamedTuple

from syphus.endpoints.answers import BYTES_PER_TOKEN
from syphus.image_tokens import ImageRules
from syphus.pricing import Price
from syphus.types import Prefix, Usage

USUAL_ANSWER = 250.0  #: tokens, where no in-context example shows how long an answer is
CACHED_FROM, CACHED_STEP = 1024, 128  #: tokens: OpenAI's prompt cache takes prefixes from 1,024 on, in steps of 128
SPREAD = 0.2  #: of the cost, either way


class Forecast(NamedTuple):
    """Tokens of a run, `cached` ones being part of the prompt's; dollars and minutes where they can be known."""

    usage: Usage
    low: float | None
    high: float | None
    minutes: float | None


def forecast(
    rows: int, tokens_a_row: float, prefix: Prefix, fixed: int, price: Price | None, requests_per_minute: float | None
) -> Forecast:
    """For `rows` queries of `tokens_a_row` tokens on average, behind a prefix of `fixed` tokens."""
    prompt = int(rows * (fixed + tokens_a_row))
    cached = int((rows - 1) * (fixed // CACHED_STEP * CACHED_STEP)) if fixed >= CACHED_FROM and rows > 1 else 0
    usage = Usage(prompt, int(rows * _answer_tokens(prefix)), cached)
    cost = price.of(usage) if price else None
    return Forecast(
        usage,
        cost * (1 - SPREAD) if cost is not None else None,
        cost * (1 + SPREAD) if cost is not None else None,
        rows / requests_per_minute if requests_per_minute else None,
    )


def prefix_tokens(prefix: Prefix, rules: ImageRules) -> int:
    """Tokens, about, of what every request begins with."""
    shown = [image for message in prefix.in_context for image in message.get("images", ())]
    images = sum(rules.tokens(*rules.size(image.width, image.height)) for image in shown)
    texts = [prefix.system_message, *(message["content"] for message in prefix.in_context)]
    return sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN + 4 * len(texts) + images


def _answer_tokens(prefix: Prefix) -> float:
    shown = [len(m["content"].encode()) for m in prefix.in_context if m["role"] == "assistant"]
    return sum(shown) / len(shown) / BYTES_PER_TOKEN if shown else USUAL_ANSWER
