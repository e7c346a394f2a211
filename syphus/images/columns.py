"""Which columns of a Parquet file hold the ids and the images.

- `base64`, with the ids as the index that pandas, dask or Syphus has written: what Otter's loaders open.
- `image`, a struct of `bytes` and `path`, with a column `id`: what the Image feature of `datasets` opens.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

BASE64, IMAGE, ID = "base64", "image", "id"
INDEX = "__index_level_0__"  #: how pandas calls an index without a name
_INDEXES = (INDEX, "__null_dask_index__")


class Columns(NamedTuple):
    """The names of both columns; `raw` where the images are bytes instead of base64."""

    ids: str
    images: str
    raw: bool


def columns(schema: Any) -> Columns | None:
    """The columns of an image store by its Arrow schema; None where it has no ids that are text.

    Whether there are images in it, `schema.names` says.
    """
    raw = IMAGE in schema.names and BASE64 not in schema.names
    ids = ID if raw and ID in schema.names else _index(schema)
    if ids not in schema.names or str(schema.field(ids).type) not in {"string", "large_string"}:
        return None
    return Columns(ids, IMAGE if raw else BASE64, raw)


def _index(schema: Any) -> str:
    """The column that is the index, by what pandas notes in the file, or else by its usual name."""
    noted = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    names = [name for name in noted if isinstance(name, str)]
    return str(next(iter((*names, *(name for name in _INDEXES if name in schema.names))), ""))
