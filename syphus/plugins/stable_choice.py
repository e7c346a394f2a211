"""Drawing by lot so that it comes out the same on every run and every machine, whatever else is there."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def choose_stably(options: Sequence[T], count: int, key: str) -> list[T]:
    """`count` of the options (all, where there are fewer), in an order that follows from `key` alone.

    An option's place in the order depends on the key and on what the option is, so that one that is added or taken away
    leaves the others in their order.
    """
    seen: dict[str, int] = {}
    ranked = []
    for place, option in enumerate(options):
        text = str(option)
        seen[text] = seen.get(text, 0) + 1
        rank = blake2b(f"{key}\0{text}\0{seen[text]}".encode(errors="surrogatepass"), digest_size=8).digest()
        ranked.append((rank, place))
    return [options[place] for _, place in sorted(ranked)[:count]]
