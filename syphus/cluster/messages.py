"""What a run and a gate say to each other, and the way between them.

A run sends a `LeaseRequest` every tenth of a second, and a `Lease` is the reply. Both hold totals since the run joined,
and no differences. So a message that is lost, sent twice or answered by a gate that has just been started does no harm:
the next one corrects it. Clocks of different machines are never compared: times are durations in seconds.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol, Self, get_args, get_origin, get_type_hints

SECRET = "SYPHUS_GATE_SECRET"  #: environment variable that all must agree in  # noqa: S105 - its name
PROTOCOL = 1  #: of these messages; runs and gates of different protocols refuse each other


class MessageError(ValueError):
    """A message that is not of this form."""


@dataclass(frozen=True, slots=True)
class GateMessage:
    """The base of both messages: a flat JSON object."""

    def as_json(self) -> dict[str, Any]:
        """Return the message as JSON values, by the names of its fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Return a message that came from elsewhere. Raises `MessageError` if it has not this form."""
        if not isinstance(values, dict):
            raise MessageError("It is not a JSON object.")
        hints = get_type_hints(cls)
        known = {each.name for each in fields(cls)}
        for name, value in values.items():
            if name in known and not _fits(value, hints[name]):
                raise MessageError(f"{name} can't be {value!r}.")
        try:
            return cls(**{name: value for name, value in values.items() if name in known})
        except TypeError as error:
            raise MessageError(str(error)) from None


def _fits(value: object, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    kind = get_origin(hint) or hint
    if kind in (float, int):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind in (tuple, list):
        return isinstance(value, list | tuple)
    return isinstance(value, dict if kind is Mapping else kind)


@dataclass(frozen=True, slots=True)
class LeaseRequest(GateMessage):
    """What a run reports and asks for. Tokens are worst cases: the prompt and the most that the answer may have."""

    client: str  #: tells the runs apart; a stage of a run, or an actor, is a client of its own
    group: str  #: of which limits: those of one server, key and model; see `group_name`
    protocol: int = PROTOCOL
    number: int = 0  #: of the message of this client; one that comes after a later one is ignored
    run: str = ""  #: whose money it is; "" if it has no budget to share
    threads: int = 1  #: requests that it wants in flight at most
    want: int = 0  #: requests that it wants to be allowed to send, including those that it is allowed already
    unit: float = 1.0  #: tokens of one of them
    waiting: int = 0  #: requests that wait to be sent
    in_flight: int = 0
    sent: int = 0  #: requests sent, in total
    sent_tokens: float = 0.0  #: their tokens
    returned: int = 0  #: requests that it was allowed to send, and will not, in total
    returned_tokens: float = 0.0  #: the same for tokens
    answers: int = 0  #: requests answered, in total
    ended_tokens: float = 0.0  #: tokens of the requests that have ended, in total
    used_tokens: float = 0.0  #: what their answers really took
    stated: Mapping[str, list[float]] = field(default_factory=dict)
    #: the newest headers about "requests" and "tokens": limit per minute, remaining, and the age of that request
    refused: list[Any] | None = None  #: limit ("" if unknown), seconds to wait, age of the request; None if none was
    timed_out: list[float] | None = None  #: age of a request that timed out in a queue, and answers to others since
    limits: Mapping[str, float] = field(default_factory=dict)  #: per minute, that the user has set
    limits_changed: bool = False  #: whether a person has just changed them, for all runs
    committed: float = 0.0  #: dollars that the run has spent or reserved, over all its sessions
    reserved: float = 0.0  #: dollars of it that are only reserved
    requests: int = 0  #: requests of the run, over all its sessions
    want_cost: float = 0.0  #: dollars that it wants to commit soon; it gives back what it may commit beyond that
    next_cost: float = 0.0  #: dollars that its next request may cost
    max_cost: float | None = None  #: dollars that all runs may spend together, as this one was started
    max_requests: int | None = None  #: the same for requests
    leaves: bool = False  #: it ends, and needs nothing more


@dataclass(frozen=True, slots=True)
class Lease(GateMessage):
    """What a run may do for `valid` seconds from when it asked, in totals since it joined."""

    requests: int = 0  #: that it may have sent or returned, in total
    tokens: float = 0.0  #: the same for their tokens
    valid: float = 0.0  #: seconds
    ask_again: float = 0.1  #: seconds until its next message, if it has something to send
    slots: int | None = None  #: requests in flight at most; None if the limits per minute say enough
    pause: float = 0.0  #: seconds in which nobody sends
    paused_for: str = ""  #: the limit that was exceeded, if the server said
    limits: Mapping[str, float] = field(default_factory=dict)  #: per minute, in force for all runs together
    ample: bool = True  #: whether a request beyond the necessary ones would delay no other run
    clients: int = 1  #: runs that share these limits now
    cost_limit: float | None = None  #: dollars that the run may commit, over all its sessions; None is no limit
    request_limit: int | None = None  #: the same for requests
    spent: str = ""  #: why nothing more can be spent by any run, or ""
    problem: str = ""  #: why the run can't share these limits, or ""; nothing else is valid then
    protocol: int = PROTOCOL


def protocol_problem(protocol: object, other: str) -> str:
    """Return why messages of this protocol can't be read, or ""; `other` is who sent them, as in "the gate"."""
    if protocol == PROTOCOL:
        return ""
    return (
        f"{other} speaks version {protocol} of the lease protocol, and this Syphus version {PROTOCOL}: "
        "use one version of Syphus everywhere."
    )


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
