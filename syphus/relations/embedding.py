"""Get vectors of texts from an embedding model, at an endpoint or in this process, for every text that has none yet.

A query of the stage is a batch of texts; its answer is one vector for each. A text in any batch is never put into
another one, so nothing is paid for twice, whatever happens to the pairs that it is from.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import orjson

from syphus.config.endpoint_settings import ENDPOINT_KINDS, EndpointConfig
from syphus.config.environment import OFFICIAL
from syphus.config.pricing import price_date
from syphus.config.settings import Config, EmbeddingsConfig
from syphus.endpoints.request import KEY_BYTES, request_key
from syphus.endpoints.routes import check_vectors, embeddings_route, pack_vectors, unpack_vectors
from syphus.errors import ConfigError, SyphusError
from syphus.exchange import BYTES_PER_TOKEN, Completion, Request, Usage
from syphus.ledger.batches import (
    add_text_batches,
    delete_pending_text_batches,
    registered_texts,
    split_failed_text_batches,
    texts_with_vectors,
)
from syphus.ledger.records import Entry, NewAnswer, Records, Row, StoredAnswer
from syphus.ledger.sessions import Settings, begin_session, end_session
from syphus.ledger.store import Store
from syphus.model_names import LOCAL
from syphus.pipeline.observer import Observer
from syphus.pipeline.stage import Judgement, Stage
from syphus.runs.model_life import life_notice
from syphus.runs.prepare import PreparedRun
from syphus.runs.session import StageRunner
from syphus.text import format_dollars, format_tokens, one_line, pluralize
from syphus.types import Outcome, State

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

WORDS = 256  #: of a text that are embedded, as for the sets of LLaVA in MIMIC-IT
_BATCH_TOKENS = 32_000  # estimated; OpenAI accepts requests of up to 300,000


_DEFAULT_MODEL = "text-embedding-3-small"  # of OpenAI
_SIMULATED_MODEL = "embedding"
HERE = "this machine"  #: the endpoint of a model that runs in this process


class EmbedStage(Stage):
    """Asks `model` for vectors with `dimensions` numbers; None leaves the number to the model."""

    def __init__(self, name: str, model: str, dimensions: int | None) -> None:
        self.name = name
        self.title = "vectors"
        self._fields: dict[str, object] = {"model": model, "encoding_format": "base64"}
        if dimensions is not None:
            self._fields["dimensions"] = dimensions

    def request(self, row: Row, last: StoredAnswer | None) -> Request:  # noqa: ARG002 - asked once
        """Return the request for the texts of a batch."""
        fields = {**self._fields, "input": orjson.loads(row.query.text)}
        body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
        return Request(request_key(body), body, names=frozenset(fields), required=frozenset({"dimensions"}))

    def judge(self, row: Row, completion: Completion) -> Judgement:  # noqa: ARG002 - as every stage
        """Accept the answer: the endpoint has checked that it holds a vector for each text."""
        return Judgement(Outcome(State.OK))

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - as every stage
        """Return no lines: vectors are not pairs."""
        return ""


def embedded_part(text: str) -> str:
    """Return the part of a text that is embedded."""
    words = text.split(maxsplit=WORDS)
    return " ".join(words[:WORDS])


def make_batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield batches of at most `size` texts and 32,000 tokens; a longer text is a batch by itself."""
    batch: list[str] = []
    tokens = 0
    for text in texts:
        text_tokens = -(-len(text.encode()) // BYTES_PER_TOKEN)
        if batch and (len(batch) == size or tokens + text_tokens > _BATCH_TOKENS):
            yield batch
            batch, tokens = [], 0
        batch.append(text)
        tokens += text_tokens
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class EmbeddingSource:
    """Where vectors come from: the endpoint and model of `prepared.config`, or a `local` model in this process."""

    prepared: PreparedRun
    dimensions: int | None
    batch: int
    local: str

    @property
    def model(self) -> str:
        """The model's name; a prefix marks a local one."""
        return f"{LOCAL}{self.local}" if self.local else self.prepared.config.model

    @property
    def space(self) -> str:
        """The name of the vector space: only vectors of one space can be compared."""
        simulated = "simulated " if self.prepared.options.offline else ""
        return f"{simulated}{self.model}" + (f" {self.dimensions}" if self.dimensions else "")

    @property
    def stage(self) -> str:
        """The name of the stage in the ledger; each space has its own."""
        return f"embed {self.space}"

    @property
    def settings(self) -> dict[str, object]:
        """What the vectors depend on."""
        return {"model": self.model, "dimensions": self.dimensions, "simulated": self.prepared.options.offline}


def find_embedding_source(prepared: PreparedRun) -> EmbeddingSource:
    """Return where a run's vectors come from: its config's `embeddings`, or else the endpoint of its answers.

    Raises `ConfigError` if no model is given, or if the budget could not be kept.
    """
    options, embeddings_config = prepared.options, prepared.config.embeddings or EmbeddingsConfig()
    if embeddings_config.local and options.embedding_model is None and not options.offline:
        require_local(embeddings_config.local)
        return EmbeddingSource(prepared, embeddings_config.dimensions, embeddings_config.batch, embeddings_config.local)
    model = options.embedding_model or embeddings_config.model
    config = prepared.config.model_copy(update={"model": model or _SIMULATED_MODEL})
    if not options.offline:
        config = _config(prepared, embeddings_config, model)
        life_notice(config, {}, datetime.now(UTC).date())  # a model past its end is refused before pairs are paid for
    found = replace(prepared, config=config, endpoint_error=None)
    if options.max_cost is not None and found.price is None:
        raise ConfigError(
            f"--max-cost needs the price of {config.model}, which is not known. "
            "Add it under `prices:` in a --config file (`output: 0`), or use --max-requests."
        )
    return EmbeddingSource(found, embeddings_config.dimensions, embeddings_config.batch, "")


def embed_texts(source: EmbeddingSource, store: Store, texts: Iterable[str], observer: Observer) -> SyphusError | None:
    """Get a vector for every text that is in no batch yet. Return what stopped it, or None if all are done.

    Batches that fail are split, down to the failing texts. Raises `StorageError` if the disk failed.
    """
    delete_pending_text_batches(store, source.stage)
    known = {text for batch in registered_texts(store, source.stage) for text in batch}
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if not missing:
        return None
    for line in _forecast_lines(source, missing, len(known)):
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
    """Return the dimension of the stage's vectors; 0 if there are none yet."""
    for texts, packed in texts_with_vectors(store, stage):
        return int(unpack_vectors(packed, len(texts)).shape[1])
    return 0


def _config(prepared: PreparedRun, embeddings_config: EmbeddingsConfig, model: str) -> Config:
    """Return the main job's config with the endpoints and the model of embeddings."""
    endpoints = embeddings_config.endpoints
    if not endpoints:
        prepared.require_endpoint()
        endpoints = prepared.config.endpoints
    if not model:
        if any(endpoint.base_url != OFFICIAL for endpoint in endpoints):
            raise ConfigError(
                "Which model makes the vectors? Pass --embedding-model (on Azure its deployment), or put "
                "`embeddings: {model: ...}` into a --config file."
            )
        model = _DEFAULT_MODEL
    if not embeddings_config.endpoints:
        endpoints = tuple(_with_deployment(endpoint, model) for endpoint in endpoints)
    return prepared.config.model_copy(update={"endpoints": endpoints, "model": model})


def _with_deployment(endpoint: EndpointConfig, model: str) -> EndpointConfig:
    """Return an endpoint of the answers for embeddings: on Azure, these need another deployment."""
    return endpoint.model_copy(update={"deployment": model}) if ENDPOINT_KINDS[endpoint.kind].deployments else endpoint


def _forecast_lines(source: EmbeddingSource, missing: list[str], known: int) -> list[str]:
    prepared = source.prepared
    where = "in this process" if source.local else f"at {prepared.endpoint}"
    existing = f", {known:,} exist already" if known else ""
    lines = [f"Vectors of {pluralize(len(missing), 'text')}{existing}: {source.model} {where}"]
    if source.local or prepared.options.offline:
        return lines
    tokens = sum(len(text.encode()) for text in missing) // BYTES_PER_TOKEN
    price = prepared.price
    cost = "cost unknown (no price for this model)"
    if price is not None:
        cost = f"{format_dollars(price.cost(Usage(tokens)))} (prices of {price_date()})"
    return [*lines, f"about {format_tokens(tokens)} tokens, {cost}"]


class EmbeddingModel(Protocol):
    """A model of sentence-transformers, or of a test."""

    def encode(self, sentences: Sequence[str]) -> NDArray[numpy.float32]:
        """Return a vector for each text: an array of shape (texts, dimension)."""
        ...


def require_local(name: str) -> None:
    """Raise `ConfigError` if sentence-transformers is not installed."""
    if find_spec("sentence_transformers") is None:
        raise ConfigError(f"{_config_entry(name)} needs sentence-transformers: pip install sentence-transformers")


def load_model(name: str) -> EmbeddingModel:
    """Load a model by its name or its folder. Raises `ConfigError` if it can't be loaded."""
    from sentence_transformers import SentenceTransformer  # brings torch along

    try:
        model: EmbeddingModel = SentenceTransformer(name)
    except Exception as error:  # anything that the library, or one below it, raises
        raise ConfigError(f"{_config_entry(name)} can't be loaded: {one_line(str(error))}") from error
    return model


def embed_locally(name: str, stage: str, settings: Settings, store: Store) -> None:
    """Compute the vectors of all pending batches of a stage, and commit batch by batch.

    Raises `ConfigError` if the model can't be loaded or returns unusable vectors.
    """
    model = load_model(name)
    began = time.time()
    session = begin_session(store, stage, settings, 0, HERE, began)
    records = Records(store, stage, session)
    for row in records.pending():
        started = time.monotonic()
        texts: list[str] = orjson.loads(row.query.text)
        try:
            vectors = check_vectors(model.encode(texts), len(texts))
        except ValueError as error:
            raise ConfigError(f"{_config_entry(name)} gave {error}.") from error
        key = blake2b(f"{stage}\0{row.query.text}".encode(), digest_size=KEY_BYTES).digest()
        completion = Completion(pack_vectors(vectors), "", f"{LOCAL}{name}", Usage())
        answer = NewAnswer(records.next_answer_number(), key, 0, completion, time.monotonic() - started, HERE)
        records.write(Entry(row, Outcome(State.OK), 0, answer))
        store.commit()
    now = time.time()
    end_session(store, session, "", now - began, now)


def _config_entry(name: str) -> str:
    return f"`embeddings: {{local: {name}}}`"
