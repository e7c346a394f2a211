"""What the name of a model says: whether it is simulated, and whether its answers are free."""

from __future__ import annotations

import re

SIMULATED = "simulated-"  #: prefix of simulated models
LOCAL = "local:"  #: prefix of models that run in this process


def is_simulated(model: str) -> bool:
    """Return whether a model of this name is the simulator, which invents answers."""
    return model.startswith(SIMULATED)


def is_free(model: str) -> bool:
    """Return whether the answers of a model of this name cost nothing: no server is paid for them."""
    return model.startswith((SIMULATED, LOCAL))


_PATH = re.compile(r"(?:[/~\\]|\.{1,2}[/\\]|[A-Za-z]:[/\\]|file:)", re.IGNORECASE)


def public_name(model: str) -> str:
    """Return the name to publish: servers of local models often give a path, and folders are private."""
    if not _PATH.match(model):
        return model  # such as "Qwen/Qwen3-8B"
    parts = [part for part in re.split(r"[/\\]", model) if part]
    if len(parts) > 2 and parts[-2] == "snapshots":  # of the Hugging Face cache: .../models--org--name/snapshots/<hash>
        return parts[-3].removeprefix("models--").replace("--", "/")
    return parts[-1] if parts else model
