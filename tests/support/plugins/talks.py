"""Plugins for tests: rows that bring their pairs along, related and trained on in different ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from syphus import AbstractDataset, Pair, Query, Train, read_jsonl


class Talks(AbstractDataset):
    """Rows with an id, pairs, and an image."""

    short_name = "RW"
    prompt = "rows"
    brings_pairs = True

    def _load_query_inputs(self, path: str) -> Iterator[dict[str, object]]:
        for row in read_jsonl(path):
            pairs = [Pair(question, answer) for question, answer in row["pairs"]]
            yield {"id": row["id"], "sentences": "a row", "image_ids": row.get("images", []), "pairs": pairs}


class LastRounds(Talks):
    """Rounds of a conversation, of which the last is trained on with two before it."""

    relation = "earlier rounds"
    train = Train("last rounds", last=2)


class TwoTalks(Talks):
    """Two conversations in a row: pairs with odd numbers, and pairs with even ones."""

    train = Train("last rounds")

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:
        """The earlier rounds of the same conversation."""
        return list(range(2 - number % 2, number, 2))


class Named(Talks):
    """A set that is called otherwise with another relation."""

    set_names: Mapping[str, str] = {"nearest by text": "RW_T2T", "nearest by image": "RW_I2I"}
    train = Train("every", first=2)

    def instruction_id(self, query: Query, number: int) -> str:
        """With the name of the set."""
        return f"{self.short_name}_INS_{query.id}_{number}"


class ByText(Talks):
    """A plugin that chooses the nearest by text itself."""

    relation = "nearest by text"


class Unknown(Talks):
    """A relation that there is not."""

    relation = "cousins"
