"""Datasets about what has changed between two images."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b

from syphus import AbstractDataset, field, read_json, texts


class SpotTheDifference(AbstractDataset):
    """Spot-the-Diff: what changed between two frames of a surveillance camera."""

    short_name = "SD"
    prompt = "spot_the_difference"
    query_inputs_path = "annotations/spot_the_difference/train.json"
    example = "spot_the_difference.json"
    homepage = "https://github.com/harsh19/spot-the-diff"
    citation = """
@inproceedings{jhamtani2018learning,
  title     = {Learning to Describe Differences Between Pairs of Similar Images},
  author    = {Jhamtani, Harsh and Berg-Kirkpatrick, Taylor},
  booktitle = {Proceedings of the 2018 Conference on Empirical Methods in Natural Language Processing},
  year      = {2018}
}
"""

    def _load_query_inputs(self, path: str) -> Iterator[Mapping[str, object]]:
        """One query a record. `img_id` repeats in the file, so an id adds a hash of the text: no row names another."""
        for record in read_json(path):
            image, text = f"{field(record, 'img_id', str):0>5}", "\n".join(texts(record, "sentences"))
            yield {
                "id": f"{image}_{blake2b(text.encode(), digest_size=3).hexdigest()}",
                "sentences": text,
                "image_ids": [f"SD_IMG_{image}_1", f"SD_IMG_{image}_2"],
            }
