"""The decoder process: it receives jobs over a connection, and sends back images or reasons, one by one.

    python -m syphus.images.worker DESCRIPTOR

It first receives the `EncodeOptions` and answers READY; then it receives `ImageJob`s. It answers each with any number
of `(number, key, image or reason)`, and finally with `(number, None, "")`. A file that crashes the decoder takes only
this process with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from syphus.images.convert_options import MISSING, READY, Answer, EncodeOptions, ImageJob
from syphus.images.decoder_process import serve_parent
from syphus.images.pixels import BadImageError, convert_still, read_file


def process_job(job: ImageJob, options: EncodeOptions) -> Iterator[Answer]:
    """Yield the answers to a job, except the final one."""
    try:
        path = _real_path(Path(job.path), job.roots)
        if not job.is_video:
            yield job.number, 0, convert_still(read_file(path), options)
            return
        from syphus.images.video import frames  # here, as most datasets have no videos

        if not path.stat().st_size:
            raise BadImageError("0 bytes")
        for second, image in frames(path, job.seconds, options, job.threads):
            yield job.number, second, image
    except BadImageError as error:
        yield job.number, -1, str(error)
    except MemoryError:
        yield job.number, -1, "out of memory"


def _real_path(path: Path, roots: Sequence[str]) -> Path:
    """Follow the links of a path. Raises `BadImageError` if it leads outside all roots, or to no file."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # a link to itself is a RuntimeError
        raise BadImageError(MISSING if isinstance(error, FileNotFoundError) else "broken link or path") from error
    if not any(real.is_relative_to(root) for root in roots):
        raise BadImageError("outside the folder of the images")
    if not real.is_file():
        raise BadImageError("not a regular file")
    return real


def serve(connection: Connection) -> None:
    """Process jobs until the other end closes the connection."""
    options: EncodeOptions = connection.recv()
    connection.send((READY, None, ""))
    while True:
        job: ImageJob = connection.recv()
        for answer in process_job(job, options):
            connection.send(answer)
        connection.send((job.number, None, ""))


if __name__ == "__main__":
    serve_parent(serve)
