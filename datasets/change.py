"""Datasets about what has changed between two images."""

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import blake2b

from syphus.plugins.contract import AbstractDataset
from syphus.reading.records import field, read_json, texts


class SpotTheDifference(AbstractDataset):
    """Spot-the-Diff: what changed between two frames of a surveillance camera."""

    short_name = "SD"
    prompt = "spot_the_difference"
    query_inputs_path = "annotations/spot_the_difference/train.json"
    example = "spot_the_difference.json"

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """One query a record. `img_id` repeats in the file, so an id adds a hash of the text, and depends on no other
        record; only of two identical ones does the second get a further `_2`.
        """
        seen: Counter[str] = Counter()
        for record in read_json(path):
            image, text = f"{field(record, 'img_id', str):0>5}", "\n".join(texts(record, "sentences"))
            key = f"{image}_{blake2b(text.encode(), digest_size=3).hexdigest()}"
            seen[key] += 1
            yield {
                "id": key if seen[key] == 1 else f"{key}_{seen[key]}",
                "sentences": text,
                "image_ids": [f"SD_IMG_{image}_1", f"SD_IMG_{image}_2"],
            }
