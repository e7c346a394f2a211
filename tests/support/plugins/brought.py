"""A plugin for tests: rows of which some bring their pairs along."""

from __future__ import annotations

from collections.abc import Iterator

from syphus import AbstractDataset, Pair, read_jsonl


class Brought(AbstractDataset):
    """Rows with an id, a text, and perhaps pairs."""

    short_name = "RW"
    prompt = "rows"
    brings_pairs = True

    def _load_query_inputs(self, path: str) -> Iterator[dict[str, object]]:
        for row in read_jsonl(path):
            pairs = [Pair(*pair) for pair in row.get("pairs", ())]
            yield {"id": row["id"], "sentences": row.get("text", ""), "image_ids": ["RW_IMG_1"], "pairs": pairs}
