"""Relate the pairs of a run.

plan_relation   check, before a request is sent, which relation is requested and whether it is possible
record_choice   store the choice in the ledger: exports and `clean` read it there
relate          find the nearest of each pair once all queries are done, and store them in the ledger
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from syphus.declarations import Relation
from syphus.endpoints.routes import unpack_vectors
from syphus.errors import ConfigError, InputError, SyphusError
from syphus.formats.related_pairs import is_nearest_current, nearest_fingerprint
from syphus.io.records import read_beginning, read_json, read_json_items, type_name
from syphus.ledger.batches import forget_failed_text_batches, texts_with_vectors, texts_without_vector
from syphus.ledger.relations import RelationChoice, TrainEntries, store_choice, store_nearest
from syphus.ledger.results import QueryResult, accepted
from syphus.ledger.store import Store
from syphus.pipeline.observer import Observer
from syphus.relations.embedding import EmbeddingSource, embed_texts, embedded_part, find_embedding_source
from syphus.relations.neighbours import TOP, distinct_neighbours, nearest_neighbours, require_libraries
from syphus.relations.vector_files import read_vectors
from syphus.runs.outputs import invalidate_exports
from syphus.runs.prepare import PreparedRun
from syphus.text import one_line, pluralize

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_NO_IMAGES = "nearest by image needs a vector for each image: --image-embeddings FILE (.parquet, .npz or .npy)."
PairKeys = Callable[[QueryResult], list[str]]  # the key of each pair's vector; "" for none


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


class NearestResult(NamedTuple):
    """The number of compared vectors, and of pairs without a neighbour.

    `rows` are the ids of queries, each with the ids of the nearest pairs of each of its pairs.
    """

    vectors: int
    pairs_without: int
    rows: Iterator[tuple[str, list[list[str]]]]


def texts_of(result: QueryResult) -> list[str]:
    """Return the text by which each pair is compared: the embedded part of its instruction."""
    return [embedded_part(pair.instruction) for pair in result.pairs]


def images_of(result: QueryResult) -> list[str]:
    """Return the image by which each pair is compared: the first of its query."""
    return [result.image_ids[0] if result.image_ids else ""] * len(result.pairs)


def nearest_by_text(store: Store, stage: str, space: str) -> NearestResult:
    """Compare by the vectors of the embedding stage `space`. Texts that differ only in case or space are duplicates."""
    known = ((text, row) for texts, packed in texts_with_vectors(store, space) for text, row in _rows(texts, packed))
    return _compare(store, stage, texts_of, known, lambda text: " ".join(text.casefold().split()))


def nearest_by_image(store: Store, stage: str, file: Path) -> NearestResult:
    """Compare by the vectors in a file. Raises `InputError` if it can't be read."""
    ids, rows = read_vectors(file)
    return _compare(store, stage, images_of, zip(ids, rows, strict=True), str)


def _rows(texts: Sequence[str], packed: str) -> Iterator[tuple[str, NDArray[numpy.float32]]]:
    return zip(texts, unpack_vectors(packed, len(texts)), strict=True)


def _compare(
    store: Store,
    stage: str,
    keys: PairKeys,
    known: Iterator[tuple[str, NDArray[numpy.float32]]],
    label: Callable[[str], str],
) -> NearestResult:
    first: dict[str, str] = {}  # the first pair with a key stands for all that have it
    for result in accepted(store, stage):
        for pair, key in zip(result.pairs, keys(result), strict=True):
            if key:
                first.setdefault(key, pair.id)
    names, matrix = _matrix(first, known)
    labels = [label(key) for key in names]
    order = nearest_neighbours(matrix, TOP)
    ids = [first[key] for key in names]
    numbers = {key: number for number, key in enumerate(names)}
    context = [
        [ids[neighbour] for neighbour in distinct_neighbours(row.tolist(), index, labels)]
        for index, row in enumerate(order)
    ]

    def rows() -> Iterator[tuple[str, list[list[str]]]]:
        for result in accepted(store, stage):
            yield result.query, [context[numbers[key]] if key in numbers else [] for key in keys(result)]

    without = sum(not ids for _, related in rows() for ids in related)
    return NearestResult(len(names), without, rows())


def _matrix(
    keys: Collection[str], known: Iterator[tuple[str, NDArray[numpy.float32]]]
) -> tuple[list[str], NDArray[numpy.float32]]:
    """Return the keys that have a vector, in their order, and the matrix of these vectors."""
    import numpy

    positions = {key: position for position, key in enumerate(keys)}
    matrix = numpy.empty((0, 0), numpy.float32)
    found = numpy.zeros(len(positions), bool)
    for key, vector in known:
        position = positions.get(key)
        if position is None:
            continue
        if not matrix.size:
            matrix = numpy.empty((len(positions), len(vector)), numpy.float32)
        matrix[position] = vector
        found[position] = True
    names = [key for key, is_found in zip(positions, found, strict=True) if is_found]
    return names, matrix[found] if names and len(names) < len(matrix) else matrix
