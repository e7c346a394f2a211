"""Decodes the images of `convert` on the nodes of a Ray cluster: the same images in the same order.

The files are cut into parts, and each part is a task that Ray places where a core is free. In a task, a decoder process
of its own reads the files, as it does without Ray: a file that crashes it is an entry of its own. What a node had under
way when it dies is done again on another one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from syphus.cluster.ray_connection import RayWorkers, connect
from syphus.errors import ConfigError, NodesLostError
from syphus.images.convert_options import MISSING, ConvertOptions, EncodeOptions, ImageJob
from syphus.images.pool import DecoderPool

PART_FILES = 24  #: stills of a task; a video is one by itself
_ANSWER_BYTES = 4_000_000  # after which a task hands over what it has
_ANSWERS_AHEAD = 4  # that a task may have made before they are taken
_TASKS_AHEAD = 3.0  # for each core of the cluster
_RETRIES = 5  # of a task whose node or process dies
_LOOK_SECONDS = 5.0  # between two looks at the cluster
_NO_NODE_SECONDS = 90.0  # that tasks wait if no node has a core

NumberedResult: TypeAlias = tuple[int, float, bytes | str]  #: number of its job, key, image or reason


def ray_pool(options: ConvertOptions) -> Callable[[EncodeOptions, int, float], RayDecoderPool]:
    """Return what opens the pool of `--ray`, after a look at each node. Blocks. Raises `ConfigError`."""
    if options.from_:
        raise ConfigError("--ray decodes the images of a dataset, and --from only copies. Leave out --ray.")
    roots = [*options.image_root, Path(options.image_path)]
    workers = connect(options.ray, [root for root in roots if root.exists()], ["pillow", "av"])
    return lambda encode, _, timeout: RayDecoderPool(workers, encode, options.num_threads, timeout)


class RayDecoderPool:
    """The cores of a cluster as decoders, with the results of `DecoderPool`. `most_tasks` are at once, 0 for all."""

    def __init__(self, workers: RayWorkers, options: EncodeOptions, most_tasks: int, timeout: float) -> None:
        self._workers = workers
        self._options = options
        self._most_tasks = most_tasks
        self._timeout = timeout
        self._cores = 0.0
        self._looked_at = self._had_cores_at = 0.0
        self._tasks: deque[tuple[list[ImageJob], Any]] = deque()  # Any: a generator of references

    def __enter__(self) -> RayDecoderPool:
        self._had_cores_at = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, NodesLostError):  # with no head, or nothing to cancel
            self._workers.leave()
            return
        import ray

        for _, task in self._tasks:
            with contextlib.suppress(ray.exceptions.RayError, ValueError):
                ray.cancel(task, force=True)
        self._tasks.clear()

    def results(self, jobs: Iterable[ImageJob]) -> Iterator[NumberedResult]:
        """Yield what `DecoderPool.results` yields. Raises `ConfigError` if a node can't read a file that is here.

        Raises `NodesLostError` if there is no node for long.
        """
        remaining = _parts(jobs)
        next_part = next(remaining, None)
        while self._tasks or next_part is not None:
            while next_part is not None and len(self._tasks) < self._room():
                self._tasks.append((next_part, self._start(next_part)))
                next_part = next(remaining, None)
            part, task = self._tasks[0]
            yield from self._of_part(part, task)
            self._tasks.popleft()

    def _room(self) -> float:
        """Return how many tasks may be under way: some wait, so that no core does."""
        now = time.monotonic()
        if now - self._looked_at > _LOOK_SECONDS:
            self._looked_at = now
            try:
                self._cores = sum(node.cores for node in self._workers.nodes())
            except NodesLostError as error:
                raise _lost(str(error)) from None
            if self._cores:
                self._had_cores_at = now
            elif now - self._had_cores_at > _NO_NODE_SECONDS:
                raise _lost(f"No node of the Ray cluster at {self._workers.address} has a core")
        ahead = max(2.0, _TASKS_AHEAD * self._cores)
        return min(ahead, self._most_tasks) if self._most_tasks else ahead

    @cached_property
    def _decode(self) -> Any:  # Ray adds the methods at run time
        """What runs `decode_part` on a node. The first call hands the function to the head."""
        import ray

        return ray.remote(decode_part).options(
            num_cpus=1,
            num_returns="streaming",
            max_retries=_RETRIES,
            scheduling_strategy="SPREAD",
            _generator_backpressure_num_objects=_ANSWERS_AHEAD,
        )

    def _start(self, part: list[ImageJob]) -> Any:  # a generator of references
        return self._decode.remote(self._options, self._timeout, part)

    def _of_part(self, part: list[ImageJob], task: Any) -> Iterator[NumberedResult]:
        import ray

        taken = 0
        try:
            for answer in self._answers(task):
                for result in answer:
                    taken += 1
                    yield self._checked(part, result)
        except ray.exceptions.RayError:
            yield from self._one_by_one(part, taken)

    def _answers(self, task: Any) -> Iterator[list[NumberedResult]]:
        """Yield what a task hands over. Raises `RayError` if it fails, and `NodesLostError` if no node is left."""
        import ray

        while True:
            if not ray.wait([task], timeout=_LOOK_SECONDS, fetch_local=False)[0]:
                self._room()  # which notices that no node is left
                continue
            try:
                reference = next(task)
            except StopIteration:
                return
            yield self._get(reference)

    def _get(self, reference: Any) -> list[NumberedResult]:
        import ray

        while True:
            try:
                answer: list[NumberedResult] = ray.get(reference, timeout=_LOOK_SECONDS)
            except ray.exceptions.GetTimeoutError:
                self._room()  # as above: its node may be gone, and nobody there who knows it
            else:
                return answer

    def _one_by_one(self, part: list[ImageJob], taken: int) -> Iterator[NumberedResult]:
        """Yield the results of a part that no node could finish, from a number on: each file gets a task of its own."""
        import ray

        numbers = count()
        for job in part:
            results: list[NumberedResult] = []
            try:
                for answer in self._answers(self._start([job])):
                    results += answer
            except ray.exceptions.RayError as error:
                results.append((job.number, -1, f"its node failed: {type(error).__name__}"))
            yield from (self._checked(part, result) for result in results if next(numbers) >= taken)

    def _checked(self, part: list[ImageJob], result: NumberedResult) -> NumberedResult:
        if result[2] == MISSING:
            path = part[result[0] - part[0].number].path
            if os.path.exists(path):  # noqa: PTH110 - `Path` raises if a name is too long
                raise ConfigError(f"A Ray node does not see {path}. Put it on storage that all nodes share.")
        return result


def _lost(why: str) -> NodesLostError:
    return NodesLostError(f"{why}. Finished parts are kept: start the cluster again, then run the same command again.")


def _parts(jobs: Iterable[ImageJob]) -> Iterator[list[ImageJob]]:
    """Cut jobs into parts: some stills in a row, or one video."""
    part: list[ImageJob] = []
    for job in jobs:
        if part and (job.is_video or len(part) == PART_FILES):
            yield part
            part = []
        part.append(job)
        if job.is_video:
            yield part
            part = []
    if part:
        yield part


def decode_part(options: EncodeOptions, timeout: float, jobs: list[ImageJob]) -> Iterator[list[NumberedResult]]:
    """Yield the results of files on a node, some in each list. The same files give the same lists."""
    answer: list[NumberedResult] = []
    size = 0
    decoder = _decoder(options, timeout)
    try:
        for result in decoder.results(jobs):
            answer.append(result)
            size += len(result[2])
            if size >= _ANSWER_BYTES:
                yield answer
                answer, size = [], 0
    except BaseException:  # it was stopped within a file, and would continue with it in the next task
        _decoder.cache_clear()
        decoder.close()
        raise
    if answer:
        yield answer


@lru_cache(1)
def _decoder(options: EncodeOptions, timeout: float) -> DecoderPool:
    """Return the decoder process of this process of Ray, which serves many tasks. It ends when this one does."""
    return DecoderPool(options, 1, timeout)
