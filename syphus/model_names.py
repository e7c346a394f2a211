"""What the name of a model says: whether its answers are made up, and whether they are free."""

from __future__ import annotations

SIMULATED = "simulated-"  #: prefix of simulated models
LOCAL = "local:"  #: prefix of models that run in this process


def is_simulated(model: str) -> bool:
    """Return whether a model of this name is the simulator, whose answers are made up."""
    return model.startswith(SIMULATED)


def is_free(model: str) -> bool:
    """Return whether the answers of a model of this name cost nothing: no server is paid for them."""
    return model.startswith((SIMULATED, LOCAL))
