"""Vectors of texts: where they come from, what they cost, and having them made for every text that has none yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import orjson

from syphus.config.environment import OFFICIAL
from syphus.config.pricing import price_date
from syphus.config.settings import Config, EmbeddingsConfig, EndpointConfig
from syphus.endpoints.embeddings_reply import unpack_vectors
from syphus.endpoints.request import KEY_BYTES
from syphus.endpoints.routes import embeddings_route
from syphus.errors import ConfigError, SyphusError
from syphus.ledger.batches import (
    add_text_batches,
    delete_pending_text_batches,
    registered_texts,
    split_failed_text_batches,
    texts_with_vectors,
)
from syphus.ledger.records import Row, StoredAnswer
from syphus.ledger.store import Store
from syphus.pipeline.engine import Observer
from syphus.pipeline.stage import Judgement
from syphus.relations.local_model import embed_locally, require_local
from syphus.runs.forecast import format_tokens
from syphus.runs.prepare import PreparedRun
from syphus.runs.session import StageRunner
from syphus.text import format_dollars, pluralize
from syphus.types import BYTES_PER_TOKEN, LOCAL, Completion, Outcome, Request, State, Usage

# FOLDED from embed.py:
# The stage that asks for vectors of texts: a query is a batch of texts, and its answer one vector for each.
#
# A text that any batch holds is never put into another one, so nothing is paid for twice, whatever becomes of the pairs
# that it is from.

WORDS = 256  #: of a text that are looked at, as for the sets of LLaVA in MIMIC-IT
_BATCH_TOKENS = 32_000  # of a batch, about; the largest request that OpenAI takes has 300,000


class EmbedStage:
    """Asks `model` for vectors, of its own number of `dimensions` or of this one."""

    def __init__(self, name: str, model: str, dimensions: int | None) -> None:
        self.name = name
        self._fields: dict[str, object] = {"model": model, "encoding_format": "base64"}
        if dimensions is not None:
            self._fields["dimensions"] = dimensions

    def request(self, row: Row, last: StoredAnswer | None) -> Request:  # noqa: ARG002  an answer is good, or there is none
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


def embedded_part(text: str) -> str:
    """The part of a text that its vector is made from."""
    words = text.split(maxsplit=WORDS)
    return " ".join(words[:WORDS])


def make_batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
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


_USUAL_MODEL = "text-embedding-3-small"  # where OpenAI is asked
_SIMULATED_MODEL = "embedding"


@dataclass(frozen=True, slots=True)
class EmbeddingSource:
    """Where vectors come from: the endpoint and the model of `prepared.config`, or a `local` model in this process."""

    prepared: PreparedRun
    dimensions: int | None
    batch: int
    local: str

    @property
    def model(self) -> str:
        """The model's name, which says so if it is a local one."""
        return f"{LOCAL}{self.local}" if self.local else self.prepared.config.model

    @property
    def space(self) -> str:
        """What vectors must have in common to be compared."""
        made_up = "simulated " if self.prepared.options.offline else ""
        return f"{made_up}{self.model}" + (f" {self.dimensions}" if self.dimensions else "")

    @property
    def stage(self) -> str:
        """The name of the stage in the ledger: each space has its own vectors."""
        return f"embed {self.space}"

    @property
    def settings(self) -> dict[str, object]:
        """What the vectors depend on."""
        return {"model": self.model, "dimensions": self.dimensions, "simulated": self.prepared.options.offline}


def find_embedding_source(prepared: PreparedRun) -> EmbeddingSource:
    """Where a run's vectors come from: its config's `embeddings`, and for the rest as its answers.

    Raises `ConfigError` where nothing says so, or where a budget could not be kept.
    """
    options, given = prepared.options, prepared.config.embeddings or EmbeddingsConfig()
    if given.local and options.embedding_model is None and not options.offline:
        require_local(given.local)
        return EmbeddingSource(prepared, given.dimensions, given.batch, given.local)
    model = options.embedding_model or given.model
    config = prepared.config.model_copy(update={"model": model or _SIMULATED_MODEL})
    if not options.offline:
        config = _config(prepared, given, model)
    found = replace(prepared, config=config, endpoint_error=None)
    if options.max_cost is not None and found.price is None:
        raise ConfigError(
            f"--max-cost needs the price of {config.model}, which is not known. "
            "Add it under `prices:` in a --config file (`output: 0`), or use --max-requests."
        )
    return EmbeddingSource(found, given.dimensions, given.batch, "")


def embed_texts(source: EmbeddingSource, store: Store, texts: Iterable[str], observer: Observer) -> SyphusError | None:
    """Has a vector made for every text that none was asked for yet; returns what stopped it, None when all is done.

    Batches that fail are split, down to the texts that are at fault. Raises `StorageError` where the disk failed.
    """
    delete_pending_text_batches(store, source.stage)
    known = {text for batch in registered_texts(store, source.stage) for text in batch}
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if not missing:
        return None
    for line in _opening(source, missing, len(known)):
        observer.say(line)
    add_text_batches(store, source.stage, make_batches(missing, source.batch))
    if source.local:
        embed_locally(source.local, source.stage, source.settings, store)
        return None
    return _ask(source, store, observer)


def _ask(source: EmbeddingSource, store: Store, observer: Observer) -> SyphusError | None:
    service = embeddings_route(source.dimensions or _dimension(store, source.stage))
    runner = StageRunner(source.prepared, store, observer, service)
    while True:
        stage = EmbedStage(source.stage, source.prepared.config.model, source.dimensions)
        stopped_by = runner.run(stage, source.settings, runner.report(stage.name))
        if stopped_by is not None or not split_failed_text_batches(store, stage.name):
            return stopped_by


def _dimension(store: Store, stage: str) -> int:
    """That of the vectors that are there already; 0 where there are none."""
    for texts, packed in texts_with_vectors(store, stage):
        return int(unpack_vectors(packed, len(texts)).shape[1])
    return 0


def _config(prepared: PreparedRun, given: EmbeddingsConfig, model: str) -> Config:
    """The main job's, with the endpoints and the model of embeddings."""
    endpoints = given.endpoints
    if not endpoints:
        prepared.require_endpoint()
        endpoints = prepared.config.endpoints
    if not model:
        if any(endpoint.base_url != OFFICIAL for endpoint in endpoints):
            raise ConfigError(
                "Which model makes the vectors? Pass --embedding-model (on Azure its deployment), or put "
                "`embeddings: {model: ...}` into a --config file."
            )
        model = _USUAL_MODEL
    if not given.endpoints:
        endpoints = tuple(_deployed(endpoint, model) for endpoint in endpoints)
    return prepared.config.model_copy(update={"endpoints": endpoints, "model": model})


def _deployed(endpoint: EndpointConfig, model: str) -> EndpointConfig:
    """The endpoint of the answers, asked for vectors: on Azure they have a deployment of their own."""
    return endpoint.model_copy(update={"deployment": model}) if endpoint.kind == "azure" else endpoint


def _opening(source: EmbeddingSource, missing: list[str], known: int) -> list[str]:
    prepared = source.prepared
    where = "in this process" if source.local else f"at {prepared.endpoint}"
    have = f", {known:,} are there" if known else ""
    lines = [f"Vectors of {pluralize(len(missing), 'text')}{have}: {source.model} {where}"]
    if source.local or prepared.options.offline:
        return lines
    tokens = sum(len(text.encode()) for text in missing) // BYTES_PER_TOKEN
    price = prepared.price
    cost = "cost unknown (no price for this model)"
    if price is not None:
        cost = f"{format_dollars(price.cost(Usage(tokens)))} (prices of {price_date()})"
    return [*lines, f"about {format_tokens(tokens)} tokens, {cost}"]
