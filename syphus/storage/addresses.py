"""Addresses of files: what is a URL, how one is written, and which files the name of an input stands for.

A URL is what fsspec reads: `s3://bucket/key`, `https://host/file`, or a chain such as `zip://a.json::s3://bucket/x.zip`,
which is a member of an archive.
"""

from __future__ import annotations

import glob
import itertools
import os
import posixpath
import re
from pathlib import Path

_LINK = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/{1,2})(.*)", re.DOTALL)
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")
MOST_FILES = 1_000_000  #: that a name with ranges in braces may stand for


def as_url(path: str | Path) -> str:
    """Return the URL that a text is; "" if it is the path of a local file.

    `pathlib` makes `s3:/bucket/key` of a URL, which is understood as well. A local file of that name comes first. The
    archive at the end of a chain may be a local file: `zip://a.json::x.zip`.
    """
    text = str(path)
    names = text.split("::")
    links = [_LINK.fullmatch(each) for each in names]
    if not all(links[:-1] or links) or os.path.lexists(text):
        return ""
    return "::".join(
        f"{link[1].lower()}:{_slashes(link[1])}{link[3].lstrip('/')}" if link else os.path.abspath(name)  # noqa: PTH100 - any text may be a name
        for link, name in zip(links, names, strict=True)
    )


def _slashes(scheme: str) -> str:
    return "///" if scheme.lower() in ("file", "local") else "//"


def protocol(url: str) -> str:
    """Return the protocol of a URL; of a chain, that of what is fetched: "s3"."""
    return url.rpartition("::")[2].partition("://")[0]


def join_url(url: str, name: str) -> str:
    """Return the URL of what is called `name` below a URL: of a chain, below its first link."""
    first, chain, rest = url.partition("::")
    return f"{first if first.endswith('://') else first.rstrip('/') + '/'}{name}{chain}{rest}"


def split_url(url: str) -> tuple[str, str]:
    """Return a URL as where it leads, and the path there: `("s3://bucket", "a/b.json")`, `("zip::s3://b/x.zip", "m")`.

    `unsplit_url` makes a URL of them again.
    """
    first, chain, rest = url.partition("::")
    scheme, _, path = first.partition("://")
    if chain:
        return f"{scheme}::{rest}", path.strip("/")
    host, _, path = path.partition("/")
    return f"{scheme}://{host}", path.strip("/")


def unsplit_url(place: str, path: str) -> str:
    """Return the URL of a path at a place; both are from `split_url`."""
    scheme, chain, rest = place.partition("::")
    return f"{scheme}://{path}::{rest}" if chain else f"{place}/{path}"


def is_several(source: str) -> bool:
    """Return whether the name of an input may stand for several files: lines, `@LIST`, ranges in braces, wildcards."""
    if not source or os.path.lexists(source):
        return False
    return bool("\n" in source.strip() or source.startswith("@") or _braces(source) or has_wildcard(source))


def _braces(text: str) -> bool:
    return bool(_RANGE.search(text) or _CHOICE.search(text))


def has_wildcard(name: str) -> bool:
    """Return whether a name has wildcards of the shell; the `?` in an address of the web begins a query."""
    return glob.has_magic(name.replace("?", "")) if as_url(name).startswith("http") else glob.has_magic(name)


def expand_braces(name: str) -> list[str]:
    """Return the names that `part-{000..099}.tar` or `{train,test}.json` stands for, in this order.

    Raises `ValueError` if they are more than `MOST_FILES`.
    """
    braces = [each for each in (_RANGE.search(name), _CHOICE.search(name)) if each]
    if not braces:
        return [name]
    found = min(braces, key=lambda each: each.start())
    if found.re is _RANGE:
        first, last = int(found[1]), int(found[2])
        if abs(last - first) >= MOST_FILES:
            raise ValueError(f"{found[0]} stands for more than {MOST_FILES:,} files")
        width = len(found[1]) if len(found[1]) == len(found[2]) or found[1].startswith("0") else 1
        step = 1 if last >= first else -1
        middle = [f"{number:0{width}}" for number in range(first, last + step, step)]
    else:
        middle = found[1].split(",")
    head, tails = name[: found.start()], expand_braces(name[found.end() :])
    if len(middle) * len(tails) > MOST_FILES:
        raise ValueError(f"{name} stands for more than {MOST_FILES:,} files")
    return [f"{head}{each}{tail}" for each, tail in itertools.product(middle, tails)]


def beside(listing: str, name: str) -> str:
    """Return a name in a list of files as a path or URL: if it is relative, it starts where the list is."""
    if as_url(name) or os.path.isabs(name):  # noqa: PTH117 - any text may be a name
        return name
    if url := as_url(listing):
        first, chain, rest = url.partition("::")
        return f"{posixpath.dirname(first)}/{name}{chain}{rest}"
    return os.path.join(os.path.dirname(listing), name)  # noqa: PTH118, PTH120 - as above


def absolute(source: str) -> str:
    """Return the name of an input so that it means the same in any folder: local paths absolute, URLs as they are."""
    if not source or as_url(source):
        return source
    if source.startswith("@") and not os.path.lexists(source):
        return f"@{absolute(source[1:])}"
    lines = source.split("\n") if "\n" in source.strip() and not os.path.lexists(source) else [source]
    return "\n".join(each if not each or as_url(each) else os.path.abspath(each) for each in lines)  # noqa: PTH100 - links stay as the user named them
