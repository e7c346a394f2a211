"""The stage that asks for vectors of texts: a query is a batch of texts, and its answer one vector for each.

A text that any batch holds is never put into another one, so nothing is paid for twice, whatever becomes of the pairs
that it is from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import orjson

from syphus.endpoints.answers import BYTES_PER_TOKEN
from syphus.ledger.records import Answer, Row
from syphus.pipeline.stage import Judgement
from syphus.sampling import KEY_BYTES
from syphus.types import Completion, Outcome, Request, State

WORDS = 256  #: of a text that are looked at, as for the sets of LLaVA in MIMIC-IT
_BATCH_TOKENS = 32_000  # of a batch, about; the largest request that OpenAI takes has 300,000


class Embed:
    """Asks `model` for vectors, of its own number of `dimensions` or of this one."""

    def __init__(self, name: str, model: str, dimensions: int | None) -> None:
        self.name = name
        self._fields: dict[str, object] = {"model": model, "encoding_format": "base64"}
        if dimensions is not None:
            self._fields["dimensions"] = dimensions

    def request(self, row: Row, last: Answer | None) -> Request:  # noqa: ARG002  an answer is good, or there is none
        """The texts of the batch."""
        fields = {**self._fields, "input": orjson.loads(row.query.text)}
        body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
        return Request(hashlib.blake2b(body, digest_size=KEY_BYTES).digest(), body)

    def judge(self, row: Row, completion: Completion) -> Judgement:  # noqa: ARG002
        """Whatever has come this far is a vector for each text."""
        return Judgement(Outcome(State.OK))

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002
        """None: these are no pairs."""
        return ""

    def adapt(self, parameter: str) -> bool:
        """Vectors may come as numbers, too; another number of dimensions would not be what was asked for."""
        return parameter == "encoding_format" and self._fields.pop(parameter, None) is not None


def embedded(text: str) -> str:
    """The part of a text that its vector is made from."""
    words = text.split(maxsplit=WORDS)
    return " ".join(words[:WORDS])


def batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Texts in batches of at most `size` texts and 32,000 tokens, or of one text."""
    batch: list[str] = []
    tokens = 0
    for text in texts:
        more = -(-len(text.encode()) // BYTES_PER_TOKEN)
        if batch and (len(batch) == size or tokens + more > _BATCH_TOKENS):
            yield batch
            batch, tokens = [], 0
        batch.append(text)
        tokens += more
    if batch:
        yield batch
