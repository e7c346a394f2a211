"""Where the pairs are, and where the translations and their ledger go.

A run's folder      its pairs are those of its ledger, which keeps the translations too; the files go beside the English
Any other file      XX_instructions.json: its ledger is in XX_instructions.translation/ beside it, and so are the files
With --output-dir   the same, in that folder
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from syphus.corpus.finding import language, prefix
from syphus.errors import InputError, RunError
from syphus.ledger.store import FILE

MARK = "_instructions"


class Place(NamedTuple):
    """`ledger` is the folder of the ledger, `english` the file of the pairs, `files` where the translated ones go.

    Of a run, the pairs are in the ledger itself.
    """

    ledger: Path
    english: Path
    files: Path
    is_run: bool

    @property
    def prefix(self) -> str:
        """`SD` of `SD_instructions.json`, or all of a name that is put together otherwise."""
        return prefix(self.english) or self.english.stem


def find_place(path: Path, output: Path | None = None) -> Place:
    """What a folder or a file means. Raises `InputError` where there are no pairs, or no single file of them."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    english = _english(path) if path.is_dir() else path
    if language(english):
        raise InputError(f"{english} is a translation already: its name says {language(english)}")
    if (english.parent / FILE).is_file() and MARK in english.name:
        if output is not None:
            raise InputError(f"{english.parent} is a run: its translations are kept in it, and go nowhere else")
        return run_place(english.parent, english)
    files = output or english.parent
    return Place(files / f"{english.stem}.translation", english, files, is_run=False)


def run_place(folder: Path, english: Path) -> Place:
    """That of a run."""
    return Place(folder, english, folder, is_run=True)


def _english(folder: Path) -> Path:
    found = [file for file in sorted(folder.glob(f"*{MARK}.json")) if not language(file)]
    if len(found) == 1:
        return found[0]
    if (folder / FILE).is_file() and not found:
        raise RunError(f"{folder} holds no pairs yet.")
    what = f"holds several: {', '.join(file.name for file in found)}; name one" if found else f"holds no XX{MARK}.json"
    raise InputError(f"{folder} {what}")
