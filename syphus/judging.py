"""What judges share: what is judged is set apart as data, and their answer is one JSON object, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b


def set_apart(data: object) -> tuple[str, str]:
    """JSON values as the text of a message, between two lines with a mark; the mark, then the text.

    The mark follows from the data, so that nothing in the data can hold it.
    """
    text = json.dumps(data, ensure_ascii=False, indent=1)
    mark = f"=== {blake2b(text.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
    return mark, f"{mark}\n{text}\n{mark}"


def one_object(text: str) -> Mapping[str, object] | None:
    """The JSON object that an answer is, alone or in a code fence; None for anything else. Raises nothing."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json").strip()
    try:
        value = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
