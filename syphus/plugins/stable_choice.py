"""A random choice that is the same in every run and on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def choose_stably(options: Sequence[T], count: int, key: str) -> list[T]:
    """Return `count` of the options (or all, if there are fewer) in a random order that depends on `key` alone.

    The rank of an option depends only on the key and on the option itself, so adding or removing an option keeps the
    others in their order.
    """
    repeats: dict[str, int] = {}
    ranked = []
    for index, option in enumerate(options):
        text = str(option)
        repeats[text] = repeats.get(text, 0) + 1
        rank = blake2b(f"{key}\0{text}\0{repeats[text]}".encode(errors="surrogatepass"), digest_size=8).digest()
        ranked.append((rank, index))
    return [options[index] for _, index in sorted(ranked)[:count]]
