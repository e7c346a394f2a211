"""Snapshots of a folder in another place: files cut into chunks, and a manifest that is written last.

    snapshot.json               the manifest: each file with its chunks; whose it is, and from when
    chunks/<owner>/<digest>     4 MiB of a file, compressed with zlib, named by the hash of its content

A chunk that is there already is not sent again, so of a large ledger only what has changed goes out. The manifest is
replaced on the condition that it still is the one that was read: an interrupted snapshot leaves the good one, and two
owners can't replace each other's. Each owner has chunks of its own, so that no owner removes what another one needs.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any

from syphus.errors import InputError, RunError
from syphus.storage.folders import ChangedError, Folder, in_parallel

MANIFEST = "snapshot.json"
_CHUNKS = "chunks"
CHUNK = 1 << 22  #: bytes of a file that are one chunk
_FORMAT = 1


class LostError(RunError):
    """The place belongs to another run, or another process has taken this one over."""


@dataclass(frozen=True)
class SavedFile:
    """A file in a snapshot: its size, time of change in nanoseconds, and the names of its chunks."""

    path: str
    size: int
    mtime: int
    chunks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """What the manifest says. `owner` is the copy of the run that writes here, `run` the run of all copies."""

    owner: str
    run: str
    title: str  #: of the run, for people: "SpotTheDifference.change/v1"
    host: str
    at: float  #: seconds since the epoch
    has_begun: bool = True  #: something may have been paid for
    working: bool = True  #: the run was going on
    files: tuple[SavedFile, ...] = ()
    format: int = _FORMAT

    @property
    def chunks(self) -> set[str]:
        """The names of all chunks."""
        return {chunk for file in self.files for chunk in file.chunks}

    def to_json(self) -> bytes:
        """Return the manifest."""
        return json.dumps(asdict(self), indent=1).encode()


@dataclass(frozen=True)
class StoredSnapshot:
    """A snapshot as it is stored, with the version of its manifest."""

    snapshot: Snapshot
    version: str


@dataclass
class Sent:
    """What a snapshot took: bytes of the files, and bytes that were sent."""

    size: int = 0
    sent: int = 0


def read_snapshot(folder: Folder) -> StoredSnapshot | None:
    """Return the newest snapshot in a folder; None if there is none. Raises `RunError` if it can't be read."""
    stored = folder.read(MANIFEST)
    if stored is None:
        return None
    try:
        values: dict[str, Any] = json.loads(stored.content)
        if values["format"] != _FORMAT:
            raise RunError(
                f"{folder.name}: snapshots of format {values['format']}; this Syphus reads format {_FORMAT}."
            )
        files = tuple(SavedFile(**{**each, "chunks": tuple(each["chunks"])}) for each in values.pop("files"))
        found = Snapshot(**values, files=files)
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder.name}/{MANIFEST} is damaged, or no manifest of a snapshot.") from error
    for each in found.files:
        parts = PurePosixPath(each.path).parts
        if each.path.startswith("/") or ".." in parts or not parts:
            raise RunError(f"{folder.name}/{MANIFEST}: a file {each.path!r} would lead out of the run's folder.")
    return StoredSnapshot(found, stored.version)


def check_owner(folder: Folder, stored: StoredSnapshot | None, owner: str) -> None:
    """Raise `LostError` if the snapshots in a folder are those of another owner, and something may have been paid."""
    if stored is not None and stored.snapshot.owner != owner and stored.snapshot.has_begun:
        other = stored.snapshot
        raise LostError(
            f"{folder.name} holds the snapshots of another copy of a run, {other.title} on {other.host}. Use another "
            f"place, or continue that one: syphus resume FOLDER --from {folder.name}"
        )


def save(folder: Folder, files: Mapping[str, Path], new: Snapshot, chunk_size: int = CHUNK) -> Sent:
    """Store a snapshot with these files, by their names in it. `new` says whose it is; its own files do not count.

    Raises `LostError` if another owner has the place, also if that owner came meanwhile; `StorageError` for what may
    work later. Whatever is raised, the snapshot before stays whole.
    """
    stored = read_snapshot(folder)
    check_owner(folder, stored, new.owner)
    before = {file.path: file for file in stored.snapshot.files} if stored else {}
    stored_chunks, below = folder.names(_CHUNKS), f"{_CHUNKS}/{new.owner}"
    present = {chunk for chunk in stored_chunks if chunk.startswith(f"{below}/")}
    done = Sent()
    saved = []
    for name, path in sorted(files.items()):
        with suppress(FileNotFoundError):  # removed meanwhile
            saved.append(_save_file(folder, below, name, path, before.get(name), present, done, chunk_size))
    made = replace(new, files=tuple(saved))
    try:
        folder.write_if(MANIFEST, made.to_json(), stored.version if stored else None)
    except ChangedError:
        check_owner(folder, read_snapshot(folder), new.owner)
        raise LostError(f"{folder.name}: another process wrote a snapshot at the same time.") from None
    needed = made.chunks | (stored.snapshot.chunks if stored else set())  # somebody may be reading the one before
    # What was listed before the manifest was written is of this owner, or of one that has lost the place.
    folder.remove(sorted(stored_chunks - needed))
    return done


def _save_file(
    folder: Folder,
    below: str,
    name: str,
    path: Path,
    before: SavedFile | None,
    present: set[str],
    done: Sent,
    chunk_size: int,
) -> SavedFile:
    stat = path.stat()
    if before and (before.size, before.mtime) == (stat.st_size, stat.st_mtime_ns) and present.issuperset(before.chunks):
        done.size += stat.st_size
        return before
    chunks: list[str] = []
    size = 0  # as it was read: a log may have grown since

    def missing() -> Iterator[list[tuple[str, bytes]]]:
        nonlocal size
        batch: list[tuple[str, bytes]] = []
        with path.open("rb") as file:
            while data := file.read(chunk_size):
                size += len(data)
                chunk = f"{below}/{blake2b(data, digest_size=20).hexdigest()}"
                chunks.append(chunk)
                if chunk not in present:
                    present.add(chunk)
                    batch.append((chunk, zlib.compress(data, 1)))
                if len(batch) == 8:
                    yield batch
                    batch = []
        yield batch

    for batch in missing():
        in_parallel(lambda each: folder.write(*each), batch)
        done.sent += sum(len(data) for _, data in batch)
    done.size += size
    return SavedFile(name, size, stat.st_mtime_ns, tuple(chunks))


def fetch(folder: Folder, snapshot: Snapshot, target: Path) -> None:
    """Write the files of a snapshot into a folder, each chunk checked by its hash. Raises `InputError`, `OSError`."""
    for saved in snapshot.files:
        path = target / saved.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for chunk in saved.chunks:
                file.write(_chunk(folder, chunk))
        if path.stat().st_size != saved.size:
            raise InputError(f"{folder.name}: {saved.path} is not as long as the manifest says: a damaged snapshot.")


def _chunk(folder: Folder, chunk: str) -> bytes:
    stored = folder.read(chunk)
    try:
        data = zlib.decompress(stored.content) if stored else b""
    except zlib.error:
        data = b""
    if blake2b(data, digest_size=20).hexdigest() != PurePosixPath(chunk).name:
        raise InputError(f"{folder.name}/{chunk} is missing or damaged.")
    return data


def take_over(folder: Folder, stored: StoredSnapshot, new: Snapshot) -> None:
    """Make a new owner the owner of a snapshot, so that the one before can't replace it. Raises `ChangedError`."""
    folder.write_if(MANIFEST, replace(new, files=stored.snapshot.files).to_json(), stored.version)
