"""A plugin for tests: JSON Lines with an id, a text, and images: paths, ids, or base64 that it hands over as bytes."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from syphus import AbstractDataset, read_jsonl


class Pictures(AbstractDataset):
    """Rows with images, made up by a test."""

    short_name = "PI"
    prompt = "rows"

    def _load_query_inputs(self, path: str) -> Iterator[dict[str, object]]:
        for row in read_jsonl(path):
            coded = [base64.b64decode(text) for text in row.get("coded", ())]
            yield {
                "id": row["id"],
                "sentences": row["text"],
                "image_ids": row.get("image_ids", []),
                "images": [*row.get("images", ()), *coded],
            }
