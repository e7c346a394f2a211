"""Run an embedding model of sentence-transformers in this process. The user installs that package."""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import blake2b
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import orjson

from syphus.endpoints.request import KEY_BYTES
from syphus.endpoints.routes import check_vectors, pack_vectors
from syphus.errors import ConfigError
from syphus.exchange import Completion, Usage
from syphus.ledger.records import Entry, NewAnswer, Records
from syphus.ledger.sessions import Settings, begin_session, end_session
from syphus.ledger.store import Store
from syphus.model_names import LOCAL
from syphus.text import one_line
from syphus.types import Outcome, State

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

HERE = "this machine"  #: the endpoint of a model that runs in this process


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
