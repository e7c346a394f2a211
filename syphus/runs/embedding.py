"""Vectors of texts: where they come from, what they cost, and having them made for every text that has none yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from syphus.config import Config, EmbeddingsConfig, EndpointConfig
from syphus.endpoints.answers import BYTES_PER_TOKEN
from syphus.endpoints.embeddings import unpack
from syphus.endpoints.services import embeddings
from syphus.environment import OFFICIAL
from syphus.errors import ConfigError, SyphusError
from syphus.ledger.store import Store
from syphus.ledger.vectors import add_batches, drop_pending, held, split, vectors
from syphus.pipeline.engine import Observer
from syphus.pricing import price_date
from syphus.runs.asking import Asker
from syphus.runs.local_model import embed_locally, require_local
from syphus.runs.opening import about_tokens
from syphus.runs.prepare import Prepared
from syphus.stages.embed import Embed, batches
from syphus.text import dollars, many
from syphus.types import LOCAL, Usage

_USUAL_MODEL = "text-embedding-3-small"  # where OpenAI is asked
_SIMULATED_MODEL = "embedding"


@dataclass(frozen=True, slots=True)
class Embedding:
    """Where vectors come from: the endpoint and the model of `prepared.config`, or a `local` model in this process."""

    prepared: Prepared
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


def find_embedding(prepared: Prepared) -> Embedding:
    """Where a run's vectors come from: its config's `embeddings`, and for the rest as its answers.

    Raises `ConfigError` where nothing says so, or where a budget could not be kept.
    """
    options, given = prepared.options, prepared.config.embeddings or EmbeddingsConfig()
    if given.local and options.embedding_model is None and not options.offline:
        require_local(given.local)
        return Embedding(prepared, given.dimensions, given.batch, given.local)
    model = options.embedding_model or given.model
    config = prepared.config.model_copy(update={"model": model or _SIMULATED_MODEL})
    if not options.offline:
        config = _config(prepared, given, model)
    found = replace(prepared, config=config, no_endpoint=None)
    if options.max_cost is not None and found.price is None:
        raise ConfigError(
            f"--max-cost needs the price of {config.model}, which is not known. "
            "Add it under `prices:` in a --config file (`output: 0`), or use --max-requests."
        )
    return Embedding(found, given.dimensions, given.batch, "")


def embed(source: Embedding, store: Store, texts: Iterable[str], observer: Observer) -> SyphusError | None:
    """Has a vector made for every text that none was asked for yet; returns what stopped it, None when all is done.

    Batches that fail are split, down to the texts that are at fault. Raises `StorageError` where the disk failed.
    """
    drop_pending(store, source.stage)
    known = {text for batch in held(store, source.stage) for text in batch}
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if not missing:
        return None
    for line in _opening(source, missing, len(known)):
        observer.say(line)
    add_batches(store, source.stage, batches(missing, source.batch))
    if source.local:
        embed_locally(source.local, source.stage, source.settings, store)
        return None
    return _ask(source, store, observer)


def _ask(source: Embedding, store: Store, observer: Observer) -> SyphusError | None:
    service = embeddings(source.dimensions or _dimension(store, source.stage))
    asker = Asker(source.prepared, store, observer, service)
    while True:
        stage = Embed(source.stage, source.prepared.config.model, source.dimensions)
        stopped_by = asker.ask(stage, source.settings, asker.report(stage.name))
        if stopped_by is not None or not split(store, stage.name):
            return stopped_by


def _dimension(store: Store, stage: str) -> int:
    """That of the vectors that are there already; 0 where there are none."""
    for texts, packed in vectors(store, stage):
        return int(unpack(packed, len(texts)).shape[1])
    return 0


def _config(prepared: Prepared, given: EmbeddingsConfig, model: str) -> Config:
    """The main job's, with the endpoints and the model of embeddings."""
    endpoints = given.endpoints
    if not endpoints:
        if prepared.no_endpoint is not None:
            raise prepared.no_endpoint
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


def _opening(source: Embedding, missing: list[str], known: int) -> list[str]:
    prepared = source.prepared
    where = "in this process" if source.local else f"at {prepared.endpoint}"
    have = f", {known:,} are there" if known else ""
    lines = [f"Vectors of {many(len(missing), 'text')}{have}: {source.model} {where}"]
    if source.local or prepared.options.offline:
        return lines
    tokens = sum(len(text.encode()) for text in missing) // BYTES_PER_TOKEN
    price = prepared.price
    cost = "cost unknown (no price for this model)"
    if price is not None:
        cost = f"{dollars(price.of(Usage(tokens)))} (prices of {price_date()})"
    return [*lines, f"about {about_tokens(tokens)} tokens, {cost}"]
