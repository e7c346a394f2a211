"""The files that the name of an input stands for, in a fixed order, and local copies of those that are URLs.

A name may be a path, a URL, several of them as lines, `@LIST` for a file with such lines, or have ranges in braces
(`part-{000..099}.tar`) or wildcards (`part-*.jsonl`). What wildcards match is sorted by name; everything else keeps its
order. A folder is one input, which the plugin reads as it likes.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from syphus.errors import InputError
from syphus.io.text_files import read_text
from syphus.storage.addresses import as_url, beside, expand_braces, has_wildcard, is_several
from syphus.storage.local_copies import fetch_all, local_path, url_of
from syphus.storage.remote_files import find_matches

_MOST_BYTES = 1 << 28  # of a list of files


def input_shards(source: str) -> list[str]:
    """Return the paths and URLs that the name of an input stands for, at least one.

    Raises `InputError` if a list can't be read, or nothing has such a name.
    """
    return list(_shards(source)) if is_several(source) else [source]


def fetched_shards(source: str) -> list[str]:
    """Return the same, after those that are URLs have been fetched, some at a time. Raises as `local_path` does."""
    shards = input_shards(source)
    fetch_all(shards)
    return shards


def _shards(source: str) -> Iterator[str]:
    if not is_several(source):
        yield source
    elif "\n" in source.strip():
        yield from _of_lines(source.splitlines(), source)
    elif source.startswith("@"):
        listing = source[1:]
        lines = read_text(local_path(listing), _MOST_BYTES).splitlines()
        yield from _of_lines((beside(listing, line.strip()) for line in lines if line.strip()), source)
    else:
        try:
            names = expand_braces(source)
        except ValueError as error:
            raise InputError(str(error)) from None
        for name in names:
            yield from _matches(name)


def _of_lines(lines: Iterable[str], source: str) -> Iterator[str]:
    found = False
    for line in lines:
        if line.strip():
            found = True
            yield from _shards(line.strip())
    if not found:
        raise InputError(f"{source!r} names no file")


def _matches(name: str) -> Iterator[str]:
    if not has_wildcard(name) or os.path.lexists(name):
        yield name
    elif url := as_url(name):
        yield from find_matches(url)
    else:
        found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - the pattern may be absolute
        if not found:
            raise InputError(f"{name}: no file matches")
        yield from found


def local_shard(shard: str, also_reads: Callable[[str], Iterable[Path]]) -> str:
    """Return a local path as it is, and for a URL the path of its copy, beside copies of what `also_reads` names.

    What is not there is left out, as a plugin may name files that do not exist. Raises as `local_path` does.
    """
    path = local_path(shard)
    if as_url(shard):
        for other in also_reads(path):
            if url := url_of(other):
                with suppress(InputError):
                    local_path(url)
    return path


def local_source(source: str) -> str:
    """Return the path of the copy if the name of an input is one URL, otherwise the name. Raises as `local_path`."""
    return source if is_several(source) else local_path(source)
