"""A plugin for tests: JSON Lines with an id and a text."""

from __future__ import annotations

from collections.abc import Iterator

from syphus import AbstractDataset, read_jsonl


class Rows(AbstractDataset):
    """Rows made up by a test."""

    short_name = "RW"
    prompt = "rows"

    def _load_query_inputs(self, path: str) -> Iterator[dict[str, object]]:
        for row in read_jsonl(path):
            yield {"id": row["id"], "sentences": row["text"], "image_ids": [f"RW_IMG_{row['id']}"]}
