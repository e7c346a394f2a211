"""Relate the pairs of a run.

plan_relation   check, before a request is sent, which relation is requested and whether it is possible
record_choice   store the choice in the ledger: exports and `clean` read it there
relate          find the nearest of each pair once all queries are done, and store them in the ledger
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syphus.declarations import Relation
from syphus.errors import ConfigError, InputError, SyphusError
from syphus.formats.related_pairs import is_nearest_current, nearest_fingerprint
from syphus.io.records import read_beginning, read_json, read_json_items, type_name
from syphus.ledger.batches import forget_failed_text_batches, texts_without_vector
from syphus.ledger.relations import RelationChoice, TrainEntries, store_choice, store_nearest
from syphus.ledger.results import accepted
from syphus.ledger.store import Store
from syphus.pipeline.observer import Observer
from syphus.relations.embedding import EmbeddingSource, embed_texts, find_embedding_source
from syphus.relations.nearest import nearest_by_image, nearest_by_text, texts_of
from syphus.relations.neighbours import require_libraries
from syphus.relations.vector_files import read_vectors
from syphus.runs.outputs import invalidate_exports
from syphus.runs.prepare import PreparedRun
from syphus.text import one_line, pluralize

_NO_IMAGES = "nearest by image needs a vector for each image: --image-embeddings FILE (.parquet, .npz or .npy)."


@dataclass(frozen=True, slots=True)
class RelationPlan:
    """The requested relation, the source of its vectors, and the entries of the user's own train file, if any."""

    choice: RelationChoice
    embedding: EmbeddingSource | None
    image_vectors: Path | None
    train_entries: TrainEntries | None
    retry_failed: bool  #: ask again about texts that got no vector

    @property
    def vectors_fingerprint(self) -> str:
        """What the vectors are made from, as the ledger stores it."""
        if self.embedding is not None:
            return self.embedding.space
        if self.image_vectors is None:
            return ""
        stat = self.image_vectors.stat()
        return f"{self.image_vectors.name} {stat.st_size} {stat.st_mtime_ns}"


def plan_relation(prepared: PreparedRun) -> RelationPlan:
    """Return the plan of a run's options and its plugin. Raises `UsageError` if it is not possible."""
    options, relation = prepared.options, prepared.relation
    if relation is not None and relation.is_nearest:
        require_libraries()
    embedding = find_embedding_source(prepared) if relation is Relation.TEXT else None
    images = options.image_embeddings if relation is Relation.IMAGE else None
    if images is not None:
        read_vectors(images)  # report its faults before a request is sent
    entries = read_train_file(options.train) if options.train is not None else None
    return RelationPlan(
        RelationChoice(relation, prepared.dataset.short_name, prepared.dataset.train),
        embedding,
        images,
        entries,
        bool(options.retry),
    )


def record_choice(store: Store, plan: RelationPlan) -> None:
    """Store the choice in the ledger. Commits."""
    if store_choice(store, plan.choice, plan.train_entries):
        invalidate_exports(store)
        store.commit()


def require_image_vectors(store: Store, stage: str, plan: RelationPlan, pending: bool) -> None:
    """Raise `ConfigError` if the nearest by image must be found without vectors of images."""
    lacks_vectors = plan.choice.relation is Relation.IMAGE and plan.image_vectors is None
    if lacks_vectors and (pending or not is_nearest_current(store, stage, Relation.IMAGE)):
        raise ConfigError(_NO_IMAGES)


def relate(store: Store, stage: str, plan: RelationPlan, observer: Observer) -> SyphusError | None:
    """Find the nearest of each pair if the relation needs them and the ledger lacks them; return what stopped it.

    Raises `StorageError` if the disk failed.
    """
    relation = plan.choice.relation
    retried = (
        plan.retry_failed and plan.embedding is not None and forget_failed_text_batches(store, plan.embedding.stage)
    )
    if relation is None or not relation.is_nearest:
        return None
    if is_nearest_current(store, stage, relation, plan.vectors_fingerprint) and not retried:
        return None
    if plan.embedding is not None:
        texts = (text for result in accepted(store, stage) for text in texts_of(result) if text)
        stopped_by = embed_texts(plan.embedding, store, texts, observer)
        if stopped_by is not None:
            return stopped_by
    _store_nearest(store, stage, plan, relation, observer)
    return None


def _store_nearest(store: Store, stage: str, plan: RelationPlan, relation: Relation, observer: Observer) -> None:
    if plan.embedding is not None:
        found = nearest_by_text(store, stage, plan.embedding.stage)
        _report_failures(store, plan.embedding.stage, observer)
    elif plan.image_vectors is None:  # the pairs were current until a changed plugin judged the answers again
        raise ConfigError(_NO_IMAGES)
    else:
        found = nearest_by_image(store, stage, plan.image_vectors)
    facts = {"from": plan.vectors_fingerprint, "vectors": found.vectors, "pairs_without_context": found.pairs_without}
    invalidate_exports(store)
    store_nearest(
        store, found.rows, stage, nearest_fingerprint(store, stage, relation, plan.vectors_fingerprint), facts
    )
    line = f"{relation}: {pluralize(found.vectors, 'vector')} compared"
    if found.pairs_without:
        line += f"; {pluralize(found.pairs_without, 'pair has', 'pairs have')} no context: no vector or neighbour found"
    observer.say(f"{line}.")


def _report_failures(store: Store, stage: str, observer: Observer) -> None:
    reasons = Counter(reason for _, reason in texts_without_vector(store, stage))
    for reason, count in reasons.most_common():
        observer.say(f"{pluralize(count, 'text')} got no vector: {one_line(reason)}. Retry with --retry failed.")


def read_train_file(path: Path) -> TrainEntries:
    """Return the entries of the user's own train file: the pairs to train on, in the first form with their context.

        {"SD_INS_00058_67c0ba_1": ["SD_INS_00058_67c0ba_2"], ...}
        ["SD_INS_00058_67c0ba_1", ...]

    Raises `InputError` for an invalid file, or if an id appears twice.
    """
    entries = list(_entries(path))
    seen: set[str] = set()
    for name, _ in entries:
        if name in seen:
            raise InputError(f"{path}: {name} appears twice")
        seen.add(name)
    if not entries:
        raise InputError(f"{path}: names no pairs")
    return entries


def _entries(path: Path) -> Iterator[tuple[str, list[str] | None]]:
    if read_beginning(path).startswith("["):
        for name in read_json(path):
            if not isinstance(name, str):
                raise InputError(f"{path}: a list of ids is expected; this is {type_name(name)}: {name!r:.60}")
            yield name, None
        return
    for name, context in read_json_items(path):
        if not isinstance(context, list) or not all(isinstance(each, str) for each in context):
            raise InputError(f"{path}: {name}: the context must be a list of ids; this is {type_name(context)}")
        yield name, context
