"""Images that are in a store and that no pair names, over everything that is checked together.

Several datasets may share a store, in groups of their own: so this is known only when all pairs have been seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from syphus.corpus.groups import Finding
from syphus.corpus.names import Names
from syphus.corpus.stores import image_ids
from syphus.errors import InputError


def unused(used: Names, stores: Iterable[Path]) -> Iterator[Finding]:
    """A finding for each store that has images besides those `used`, with the first of them and their number."""
    for store in dict.fromkeys(stores):
        first, count = "", 0
        with suppress(InputError):  # it was told before that it can't be read
            for name in image_ids(store):
                if name not in used:
                    first, count = first or name, count + 1
        if count:
            more = f", and {count - 1:,} more" if count > 1 else ""
            yield Finding(str(store), "", "images that no pair names", f"{first}{more}")
