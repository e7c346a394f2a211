"""Pairs as the ledger keeps them: [[id, instruction, answer, related numbers], ...], JSON."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from syphus.types import Pair


def load_pairs(text: str) -> list[Pair]:
    """Reads what `dump_pairs` wrote."""
    return [Pair(instruction, answer, name, tuple(rel)) for name, instruction, answer, rel in orjson.loads(text)]


def dump_pairs(pairs: Sequence[Pair]) -> str:
    """Writes pairs."""
    return orjson.dumps([(pair.id, pair.instruction, pair.answer, pair.related) for pair in pairs]).decode()
