"""Files of a simulated endpoint: their content lies in a folder, a description of each in memory and beside it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from syphus.simulator.replies import Rejected, openai_error

BATCH, BATCH_OUTPUT = "batch", "batch_output"
LIFETIME = 30 * 86_400  #: seconds until a file of a batch expires, unless its upload says otherwise


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One file. Times are seconds since the epoch; `expires_at` is 0 if it never expires."""

    id: str
    filename: str
    purpose: str
    bytes: int
    created_at: float
    expires_at: float = 0.0

    def as_dict(self) -> dict[str, object]:
        """Return the file object of the API."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": int(self.created_at),
            "expires_at": int(self.expires_at) or None,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class FileStore:
    """The files in a folder, by default a temporary one. Files that an earlier server left there are found again."""

    def __init__(self, folder: str = "") -> None:
        self._kept = folder
        self._temporary = ""
        found = (
            FileVersion(**orjson.loads(path.read_bytes()))
            for path in (Path(folder).glob("file-*.json") if folder else ())
        )
        self._files = {file.id: file for file in sorted(found, key=lambda file: (file.created_at, file.id))}

    def __iter__(self) -> Iterator[FileVersion]:
        """Yield the files, oldest first."""
        return iter(list(self._files.values()))

    @property
    def folder(self) -> Path:
        """The folder; it is made when it is needed."""
        if self._kept:
            Path(self._kept).mkdir(parents=True, exist_ok=True)
        elif not self._temporary:
            self._temporary = tempfile.mkdtemp(prefix="syphus-batches-")
        return Path(self._kept or self._temporary)

    def close(self) -> None:
        """Delete a temporary folder."""
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = ""

    def path(self, file_id: str) -> Path:
        """Return where the content of a file is, or is to be written before `add`."""
        return self.folder / f"{file_id}.jsonl"

    def add(self, file: FileVersion) -> None:
        """Add a file whose content is written."""
        (self.folder / f"{file.id}.json").write_bytes(orjson.dumps(asdict(file)))
        self._files[file.id] = file

    def get(self, file_id: str, now: float) -> FileVersion:
        """Return a file. Raises `Rejected` with a 404 if there is none, or if it has expired."""
        self.expire(now)
        file = self._files.get(file_id)
        if file is None:
            raise Rejected(openai_error(404, f"No such File object: {file_id}", param="id"))
        return file

    def remove(self, file_id: str) -> None:
        """Delete a file, if there is one."""
        if self._files.pop(file_id, None) is not None:
            (self.folder / f"{file_id}.json").unlink()
            self.path(file_id).unlink(missing_ok=True)

    def expire(self, now: float) -> None:
        """Delete the files whose time has come."""
        for file in self:
            if 0 < file.expires_at <= now:
                self.remove(file.id)
