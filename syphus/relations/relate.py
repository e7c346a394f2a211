"""How the pairs of a run are related: chosen before anything is asked, made once all is answered, kept in the ledger.

plan_relation   what is wanted, and whether it can be had
settle_choice   noted in the ledger
relate          the nearest of each pair, with a vector bought for every text that has none
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syphus.errors import ConfigError, InputError, SyphusError
from syphus.formats.context import is_nearest_current, nearest_fingerprint
from syphus.io.records import read_beginning, read_json, read_json_items, type_name
from syphus.ledger.batches import forget_failed_text_batches, texts_without_vector
from syphus.ledger.relations import RelationChoice, TrainEntries, store_choice, store_nearest
from syphus.ledger.results import accepted
from syphus.ledger.store import Store
from syphus.pipeline.engine import Observer
from syphus.relations.embedding import EmbeddingSource, embed_texts, find_embedding_source
from syphus.relations.nearest import nearest_by_image, nearest_by_text, texts_of
from syphus.relations.neighbours import require_libraries
from syphus.relations.vector_files import read_vectors
from syphus.runs.outputs import invalidate_exports
from syphus.runs.prepare import PreparedRun
from syphus.text import one_line, pluralize
from syphus.types import Relation

# FOLDED from own_train.py:
# A train file of the user's own: which pairs are trained on, and if it says so with which context.
#
# {"SD_INS_00058_67c0ba_1": ["SD_INS_00058_67c0ba_2"], ...}   or only the ids: ["SD_INS_00058_67c0ba_1", ...]


def read_train_file(path: Path) -> TrainEntries:
    """The entries of a user's file. Raises `InputError` for one that is none, or where an id comes twice."""
    entries = list(_entries(path))
    seen: set[str] = set()
    for name, _ in entries:
        if name in seen:
            raise InputError(f"{path}: {name} comes twice")
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


_NO_IMAGES = "nearest by image needs a vector for each image: --image-embeddings FILE (.parquet, .npz or .npy)."


@dataclass(frozen=True, slots=True)
class RelationPlan:
    """What is wanted: a relation, the source of its vectors, and perhaps the user's own train file."""

    choice: RelationChoice
    embedding: EmbeddingSource | None
    image_vectors: Path | None
    train_entries: TrainEntries | None
    retry_failed: bool  #: texts that got no vector are asked about again

    @property
    def vectors(self) -> str:
        """What the vectors are made from, as the ledger notes it."""
        if self.embedding is not None:
            return self.embedding.space
        if self.image_vectors is None:
            return ""
        stat = self.image_vectors.stat()
        return f"{self.image_vectors.name} {stat.st_size} {stat.st_mtime_ns}"


def plan_relation(prepared: PreparedRun) -> RelationPlan:
    """What a run's options and its plugin want. Raises `UsageError` where that can't be had."""
    options, relation = prepared.options, prepared.relation
    if relation is not None and relation.is_nearest:
        require_libraries()
    embedding = find_embedding_source(prepared) if relation is Relation.TEXT else None
    images = options.image_embeddings if relation is Relation.IMAGE else None
    if images is not None:
        read_vectors(images)  # what is wrong with it is told before anything is asked
    own = read_train_file(options.train) if options.train is not None else None
    return RelationPlan(
        RelationChoice(relation, prepared.dataset.short_name, prepared.dataset.train),
        embedding,
        images,
        own,
        bool(options.retry),
    )


def record_choice(store: Store, plan: RelationPlan) -> None:
    """Notes in the ledger what is wanted; without another look at it, exports and cleaning go by that. Commits."""
    if store_choice(store, plan.choice, plan.train_entries):
        invalidate_exports(store)
        store.commit()


def check_images(store: Store, stage: str, plan: RelationPlan, pending: bool) -> None:
    """Raises `ConfigError` where the nearest by image must be found, and no vectors were brought."""
    wanted = plan.choice.relation is Relation.IMAGE and plan.image_vectors is None
    if wanted and (pending or not is_nearest_current(store, stage, Relation.IMAGE)):
        raise ConfigError(_NO_IMAGES)


def relate(store: Store, stage: str, plan: RelationPlan, observer: Observer) -> SyphusError | None:
    """Finds the nearest of each pair, where that is wanted and not in the ledger yet; returns what stopped it.

    Raises `StorageError` where the disk failed.
    """
    relation = plan.choice.relation
    again = plan.retry_failed and plan.embedding is not None and forget_failed_text_batches(store, plan.embedding.stage)
    if relation is None or not relation.is_nearest:
        return None
    if is_nearest_current(store, stage, relation, plan.vectors) and not again:
        return None
    if plan.embedding is not None:
        texts = (text for result in accepted(store, stage) for text in texts_of(result) if text)
        stopped_by = embed_texts(plan.embedding, store, texts, observer)
        if stopped_by is not None:
            return stopped_by
    _keep(store, stage, plan, relation, observer)
    return None


def _keep(store: Store, stage: str, plan: RelationPlan, relation: Relation, observer: Observer) -> None:
    if plan.embedding is not None:
        found = nearest_by_text(store, stage, plan.embedding.stage)
        _tell_of_failures(store, plan.embedding.stage, observer)
    elif plan.image_vectors is None:  # the pairs were current until a changed plugin read the answers anew
        raise ConfigError(_NO_IMAGES)
    else:
        found = nearest_by_image(store, stage, plan.image_vectors)
    facts = {"from": plan.vectors, "vectors": found.vectors, "pairs_without_context": found.without}
    invalidate_exports(store)
    store_nearest(store, found.rows, stage, nearest_fingerprint(store, stage, relation, plan.vectors), facts)
    line = f"{relation}: {pluralize(found.vectors, 'vector')} compared"
    if found.without:
        line += f"; {pluralize(found.without, 'pair has', 'pairs have')} no context, for want of a vector or of others"
    observer.say(f"{line}.")


def _tell_of_failures(store: Store, stage: str, observer: Observer) -> None:
    reasons = Counter(reason for _, reason in texts_without_vector(store, stage))
    for reason, count in reasons.most_common():
        observer.say(f"{pluralize(count, 'text')} got no vector: {one_line(reason)}. Ask again with --retry failed.")
