"""How a run reaches its gate: by a folder on this host, or by the address of `syphus gate`."""

from __future__ import annotations

from typing import Protocol

from syphus.cluster.messages import Lease, LeaseRequest

SECRET = "SYPHUS_GATE_SECRET"  #: environment variable that all must agree in  # noqa: S105 - its name


class GateGoneError(Exception):
    """The gate does not answer at present; the message says why, without a full stop."""


class GateConnection(Protocol):
    """A way to a gate. `name` is how people know it."""

    name: str

    async def reach(self) -> None:
        """Reach it. Raises `ConfigError` if it is not there, or not a gate that this run can use."""
        ...

    async def exchange(self, request: LeaseRequest) -> Lease:
        """Send a message and return the reply. Raises `GateGoneError`, and `ConfigError` for what no retry can fix."""
        ...

    async def close(self) -> None:
        """Leave it."""
        ...
