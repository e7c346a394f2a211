"""Reads the shards of WebDataset: tar files whose members with one name, up to the first dot, are one sample.

The form is that of https://github.com/webdataset/webdataset: `000123.jpg` and `000123.json` next to each other are the
sample `000123`, as in LAION, DataComp and OBELICS.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from syphus.errors import InputError
from syphus.io.record_reader import Record, RecordReader
from syphus.io.records import missing_file
from syphus.io.text_files import local_file
from syphus.storage.addresses import as_url, join_url
from syphus.text import one_line

KEY = "__key__"
_TEXTS = frozenset(("txt", "text", "transcript", "caption", "cls"))


def read_webdataset(path: str | Path, columns: Sequence[str] = ()) -> Iterator[dict[str, Record]]:
    """Yield the samples of a tar file, or of all tar files below a folder in the order of their names, as dicts.

    `path` may be a URL. A dict has the sample's name under `__key__`, and each member under its suffix: JSON as its
    value, `txt` and the like as text, everything else as bytes. With `columns`, only these members are read. One sample
    is in memory. Raises `InputError` with file and sample, also for a file that is torn.
    """
    local, url = Path(local_file(path)), as_url(path)
    if not str(path) or not local.exists():
        raise missing_file(path)
    files = sorted(each for each in local.rglob("*.tar*") if each.is_file()) if local.is_dir() else [local]
    if not files:
        raise InputError(f"{path}: a folder without tar files")
    for file in files:
        below = str(file.relative_to(local)) if local.is_dir() else ""
        name = (join_url(url, below) if below else url) if url else str(file)
        with closing(_TarReader(name)) as reader:
            yield from reader.samples(file, frozenset(columns))


class _TarReader(RecordReader):
    def samples(self, local: Path, columns: frozenset[str]) -> Iterator[dict[str, Record]]:
        """Yield the samples of a file."""
        try:
            with tarfile.open(local, "r|*") as file:
                yield from self._samples(file, columns)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InputError(f"{self.path}: can't be read as tar: {one_line(str(error))}") from error
        self._done = True

    def _samples(self, file: tarfile.TarFile, columns: frozenset[str]) -> Iterator[dict[str, Record]]:
        sample: dict[str, Record] = {}
        problem = ""
        for member in file:
            file.members = []  # type: ignore[attr-defined]  # or it keeps all headers, gigabytes of large files
            folder, slash, name = member.name.removeprefix("./").rpartition("/")
            stem, dot, suffix = name.partition(".")
            if not member.isfile() or not stem or not dot:  # a folder, or a hidden file such as macOS' `._a.jpg`
                continue
            key, suffix = f"{folder}{slash}{stem}", suffix.lower()
            if sample and sample[KEY] != key:
                yield from self._sample(sample, problem)
                sample, problem = {}, ""
            sample[KEY] = key
            if not columns or suffix in columns:
                content = file.extractfile(member)
                assert content is not None, "a plain file has content"
                try:
                    sample[suffix] = _value(suffix, content.read())
                except ValueError as error:
                    problem = problem or f"{member.name}: {one_line(str(error))}"
        if sample:
            yield from self._sample(sample, problem)

    def _sample(self, sample: dict[str, Record], problem: str) -> Iterator[dict[str, Record]]:
        if problem:
            self._collect(InputError(f"{self.path}: record {self.number + 1}: {problem}"))
        elif self._note(sample):
            yield sample


def _value(suffix: str, data: bytes) -> Record:
    """Return the content of a member. Raises `ValueError` for JSON or text that is not valid."""
    if suffix.rpartition(".")[2] == "json":
        from orjson import loads  # it would slow down the start of every command

        return loads(data)
    return data.decode() if suffix.rpartition(".")[2] in _TEXTS else data
