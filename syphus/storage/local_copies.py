"""Local copies of files by URL, fetched once and again when the file has changed.

Everything that reads a file reads the copy, so that record numbers, encodings, errors, second passes and random access
are those of local files. Copies are below one folder, `$SYPHUS_CACHE` or `~/.cache/syphus`, and may be deleted:

    files/<place>/<path>   the copies, with the names and the order that they have in the store
    state/<place>/<path>   URL, size and version of each, written after the copy
    partial/               what is being fetched
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import quote, unquote

from syphus.errors import InputError, StorageError
from syphus.storage.addresses import as_url, split_url, unsplit_url
from syphus.storage.remote_files import RemoteFile, connect, find_files, is_folder, remote_faults

_PARALLEL = 8  # files that are fetched at once
_FRESH = 60.0  # seconds for which a look at a store counts, so that a file that is opened often is looked at once
_WORTH_SAYING = 50_000_000  # bytes

#: Gets a line before much is fetched; None if nobody reads it.
fetch_notice: ContextVar[Callable[[str], None] | None] = ContextVar("fetch_notice", default=None)
_seen: dict[str, tuple[float, list[RemoteFile]]] = {}  # by URL: when it was looked at, and what was there
_lock = threading.Lock()


def cache_folder() -> Path:
    """Return the folder of all copies."""
    own = os.environ.get("SYPHUS_CACHE", "").strip()
    base = os.environ.get("XDG_CACHE_HOME", "").strip() or str(Path.home() / ".cache")
    return Path(own or Path(base) / "syphus").absolute()


def look_again() -> None:
    """Look at the stores again at the next use, as a new command does."""
    with _lock:
        _seen.clear()


def remote_files(url: str) -> list[RemoteFile]:
    """Return the file at a URL, or all files below it. Raises `InputError`; the answer counts for a minute."""
    with _lock:
        at, files = _seen.get(url, (-_FRESH, []))
    if time.monotonic() - at < _FRESH:
        return files
    files = find_files(url)
    with _lock:
        _seen[url] = time.monotonic(), files
    return files


def remote_state(url: str) -> str:
    """Return a text that changes with the files at a URL; "" if their store tells no versions. Raises `InputError`."""
    states = [each.state() for each in remote_files(url)]
    return "\n".join(states) if all(states) else ""


def local_path(path: str | Path) -> str:
    """Return a local path as it is, and for a URL the path of its copy, which is fetched if it is missing or old.

    Raises `InputError` if it can't be fetched, `ConfigError` if a package is missing, and `StorageError` if the disk is
    too small.
    """
    url = as_url(path)
    if not url:
        return str(path)
    files = remote_files(url)
    target = copy_path(url)
    fetch(files)
    if is_folder(files, url):
        if not files:
            raise InputError(f"{url}: no such file or folder, or an empty one")
        _remove_others(target, {copy_path(each.url) for each in files})
    return str(target)


def fetch_all(paths: Sequence[str]) -> None:
    """Fetch those of several paths that are URLs and whose copy is missing or old, some at a time.

    One after the other, looking at thousands of shards would take minutes. Raises as `local_path` does.
    """
    urls = [url for path in paths if (url := as_url(path))]
    if len(urls) > 1:
        with ThreadPoolExecutor(_PARALLEL, "look") as threads:
            fetch([file for files in threads.map(remote_files, urls) for file in files])


def copy_path(url: str) -> Path:
    """Return where the copy of a URL is, or would be."""
    return _place(url, "files")


def url_of(path: str | Path) -> str:
    """Return the URL that a local path is a copy of; "" if it is not a copy."""
    root = cache_folder() / "files"
    if not Path(path).is_relative_to(root) or not (parts := Path(path).relative_to(root).parts):
        return ""
    return unsplit_url(unquote(parts[0]), "/".join(map(unquote, parts[1:])))


def with_urls(text: str) -> str:
    """Return a message with the URL in place of each path of a copy."""
    root = f"{cache_folder() / 'files'}{os.sep}"
    head, *rest = text.split(root)
    return head + "".join(f"{_url_in(each)}" for each in rest)


def _url_in(text: str) -> str:
    """Return a text that begins with the path of a copy, without the folder of copies, with the URL at its place."""
    place, slash, path = text.partition(os.sep)
    words = path.split(" ", 1)
    name = words[0].rstrip(":,;.'\"")
    url = unsplit_url(unquote(place), unquote(name)) if slash else unquote(place)
    return url + path[len(name) :]


def fetch(files: Sequence[RemoteFile]) -> None:
    """Fetch those files whose copy is missing or old, some at a time. Raises as `local_path` does."""
    wanted = [each for each in files if not _is_current(each)]
    if not wanted:
        return
    size = sum(each.size or 0 for each in wanted)
    root = cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    where = wanted[0].url if len(wanted) == 1 else f"{wanted[0].url} and {len(wanted) - 1:,} more"
    if size > free:
        raise StorageError(
            f"{where}: {size / 1e9:,.1f} GB must be copied to {root}, where {free / 1e9:,.1f} GB are free. Set "
            "SYPHUS_CACHE to a folder on a larger disk."
        )
    if size >= _WORTH_SAYING and (say := fetch_notice.get()) is not None:
        say(f"Downloading {where} ({size / 1e6:,.0f} MB) to {root}.")
    if len(wanted) == 1:
        _fetch_one(wanted[0])
        return
    with ThreadPoolExecutor(_PARALLEL, "fetch") as threads:
        for _ in threads.map(_fetch_one, wanted):  # raises the first error
            pass


def _place(url: str, kind: str) -> Path:
    place, path = split_url(url)
    parts = [quote(each, safe=" !#$&'()+,;=@[]^_`{}~").replace("..", "%2E%2E") for each in path.split("/") if each]
    return cache_folder().joinpath(kind, quote(place, safe=""), *parts, *([".json"] if kind == "state" else []))


def _is_current(file: RemoteFile) -> bool:
    """Return whether the copy of a file is there and has its version. A file without a version is never current."""
    copy = copy_path(file.url)
    try:
        known = json.loads(_place(file.url, "state").read_bytes())
        stat = copy.stat()
    except (OSError, ValueError):
        return False
    return bool(file.version) and known == _state(file, stat)


def _state(file: RemoteFile, stat: os.stat_result) -> dict[str, object]:
    return {"url": file.url, "version": file.version, "size": stat.st_size, "mtime": stat.st_mtime_ns}


def _fetch_one(file: RemoteFile) -> None:
    copy, noted = copy_path(file.url), _place(file.url, "state")
    partial = cache_folder() / "partial" / f"{os.getpid()}-{threading.get_ident()}"
    for each in (copy, noted, partial):
        each.parent.mkdir(parents=True, exist_ok=True)
    file_system, path = connect(file.url)
    try:
        with remote_faults(file.url):
            file_system.get_file(path, str(partial))
        size = partial.stat().st_size
        if file.size is not None and size != file.size:
            raise InputError(
                f"{file.url}: {size:,} of {file.size:,} bytes arrived. It has changed, or the connection broke."
            )
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        noted.unlink(missing_ok=True)
        if copy.is_dir():  # it was a folder before
            shutil.rmtree(copy)
        partial.replace(copy)
        noted.write_text(json.dumps(_state(file, copy.stat())), "utf-8")
    finally:
        partial.unlink(missing_ok=True)


def _remove_others(folder: Path, kept: set[Path]) -> None:
    """Remove copies of files that are no longer in the store."""
    for each in folder.rglob("*"):
        if each not in kept and not each.is_dir():
            with suppress(OSError):
                each.unlink()
