"""What a cold start has come to, kept in the run's ledger and in its folder, and taken up again by later commands."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.errors import RunError
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.prompts import prefix_digest, read_prompt, to_prefix
from syphus.runs.cold_start.plan import Found
from syphus.runs.cold_start.prompt_file import FILE, write_prompt
from syphus.types import Message, Prefix

_META = "cold start"  # meta: JSON


class Conclusion(NamedTuple):
    """A prompt that was found for a system message and a model. `edited` says that a person has changed its file."""

    asked_for: str
    prefix: Prefix
    satisfactory: bool
    missing: tuple[str, ...]
    edited: bool = False


def asked_for(system_message: str, model: str) -> str:
    """What a cold start is for: a prompt that was proven with one model is not proven with another."""
    return f"{prefix_digest(Prefix(system_message))} {model}"


def conclude(store: Store, name: str, wanted: str, prefix: Prefix, found: Found) -> Path:
    """Keeps what was found, and writes `prompt.yaml`; gives its path. Commits.

    Raises `RunError` where a person has edited that file: it is never written over.
    """
    path = store.folder / FILE
    _refuse_edited(store, path)
    data = write_prompt(path, name, prefix, found)
    kept = {
        "asked_for": wanted,
        "system_message": prefix.system_message,
        "in_context": list(prefix.in_context),
        "satisfactory": found.satisfactory,
        "missing": found.missing,
        "file": _digest(data),
    }
    set_meta(store, _META, orjson.dumps(kept).decode())
    store.commit()
    return path


def concluded(store: Store) -> Conclusion | None:
    """What was found, with the file as it is now; None where there was no cold start."""
    kept = _kept(store)
    if not kept:
        return None
    path = store.folder / FILE
    turns: list[Message] = kept["in_context"]  # type: ignore[assignment]  # as `conclude` has written it
    prefix = Prefix(str(kept["system_message"]), tuple(turns))
    missing = tuple(map(str, kept["missing"]))  # type: ignore[call-overload]  # as above
    edited = path.is_file() and _digest(path.read_bytes()) != kept["file"]
    if edited:
        prefix = to_prefix(read_prompt(path), str(path))
    return Conclusion(str(kept["asked_for"]), prefix, kept["satisfactory"] is True, missing, edited)


def refuse_edited(store: Store) -> None:
    """Raises `RunError` where the run's `prompt.yaml` was edited, before anything is paid for."""
    _refuse_edited(store, store.folder / FILE)


def _refuse_edited(store: Store, path: Path) -> None:
    if path.is_file() and _digest(path.read_bytes()) != _kept(store).get("file"):
        raise RunError(
            f"{path} was edited by hand, and is not written over. Generate with it (the main job takes it as it is), "
            "move it away, or use another --dataset_version."
        )


def _kept(store: Store) -> Mapping[str, object]:
    kept: Mapping[str, object] = orjson.loads(str(get_meta(store, _META) or "{}"))
    return kept


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
