"""The process that decodes: it takes jobs from a connection, and gives back images or reasons, one by one.

    python -m syphus.images.worker DESCRIPTOR

What comes first is the `Look`, which is answered by READY, then `Job`s. Each is answered by any number of
`(number, key, image or reason)` and at the end by `(number, None, "")`. A file that crashes the decoder takes this
process with it, and nothing else.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from syphus.images.convert_options import EncodeOptions
from syphus.images.pixels import BadImageError, convert_still, read_file
from syphus.images.worker_protocol import MISSING, READY, Answer, ImageJob


def answers(job: ImageJob, look: EncodeOptions) -> Iterator[Answer]:
    """The answers to a job, without the last."""
    try:
        path = _inside(Path(job.path), job.roots)
        if not job.is_video:
            yield job.number, 0, convert_still(read_file(path), look)
            return
        from syphus.images.video import frames  # here, as most datasets have no videos

        if not path.stat().st_size:
            raise BadImageError("0 bytes")
        for second, image in frames(path, job.seconds, look, job.threads):
            yield job.number, second, image
    except BadImageError as error:
        yield job.number, -1, str(error)
    except MemoryError:
        yield job.number, -1, "too large for the memory"


def _inside(path: Path, roots: Sequence[str]) -> Path:
    """The file that a path leads to, links followed. Raises `BadImageError` where that is outside of all roots."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # a link that leads to itself is a RuntimeError
        raise BadImageError(MISSING if isinstance(error, FileNotFoundError) else "leads nowhere") from error
    if not any(real.is_relative_to(root) for root in roots):
        raise BadImageError("leads out of the folder of the images")
    if not real.is_file():
        raise BadImageError("no file")
    return real


def serve(connection: Connection) -> None:
    """Works until nobody is there any more."""
    look: EncodeOptions = connection.recv()
    connection.send((READY, None, ""))
    while True:
        job: ImageJob = connection.recv()
        for answer in answers(job, look):
            connection.send(answer)
        connection.send((job.number, None, ""))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; who started this ends it
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, OSError):
        sys.exit()
