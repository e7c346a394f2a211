"""Writes finished files below a URL or folder, so that readers see all of them or those before.

    manifest.json                 written last: whose the place is, and the files of the newest version
    versions/<version>/<file>     files that are never changed; `version` is a hash of all of them

A second export of the same bytes sends nothing. A changed one is a new version beside the old one, and the manifest
moves on the condition that it is the one that was read, so that a place has one owner.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from syphus.errors import RunError
from syphus.storage.folders import ChangedError, Folder, in_parallel

MANIFEST = "manifest.json"
_FORMAT = 1


class _File(NamedTuple):
    name: str
    path: Path
    size: int
    digest: str


class Owner(NamedTuple):
    """Who writes to a place: a name that is the same in all copies of a run, and its title for people."""

    key: str
    title: str


def check_place(folder: Folder, owner: Owner) -> str | None:
    """Return the version of the manifest in a folder; None if there is none. Raises `RunError` if it is another's."""
    stored = folder.read(MANIFEST)
    if stored is None:
        return None
    try:
        values: dict[str, Any] = json.loads(stored.content)
        other, title = values["owner"], values["title"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder.name}/{MANIFEST} is not from an export: choose another --output.") from error
    if other != owner.key:
        raise RunError(f"{folder.name} has the export of another run, {title}: choose another --output.")
    return stored.version


def publish(folder: Folder, source: Path, owner: Owner) -> tuple[str, ...]:
    """Write all files below `source` as the newest version; return their names in the folder, the manifest first.

    Raises `RunError` if another run or process has the place, `StorageError` for what may work later. The version
    before stays whole.
    """
    expected = check_place(folder, owner)
    files = [_described(source, path) for path in sorted(source.rglob("*")) if path.is_file()]
    listing = "".join(f"{each.name} {each.digest}\n" for each in files)
    version = blake2b(listing.encode(), digest_size=8).hexdigest()
    below = f"versions/{version}"
    present = folder.names(below)
    in_parallel(
        lambda each: folder.write(f"{below}/{each.name}", each.path),
        [each for each in files if f"{below}/{each.name}" not in present],
    )
    manifest = {
        "format": _FORMAT,
        "owner": owner.key,
        "title": owner.title,
        "at": time.time(),
        "version": version,
        "files": _listed(below, files),
    }
    try:
        folder.write_if(MANIFEST, json.dumps(manifest, indent=1).encode(), expected)
    except ChangedError:
        raise RunError(
            f"{folder.name}: another process has written there meanwhile. Its files were not changed."
        ) from None
    return (MANIFEST, *(f"{below}/{each.name}" for each in files))


def _listed(below: str, files: Sequence[_File]) -> list[dict[str, object]]:
    return [{"path": f"{below}/{each.name}", "size": each.size, "blake2b": each.digest} for each in files]


def _described(source: Path, path: Path) -> _File:
    digest = blake2b(digest_size=32)
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return _File(path.relative_to(source).as_posix(), path, path.stat().st_size, digest.hexdigest())
