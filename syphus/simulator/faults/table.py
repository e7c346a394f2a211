"""The table of faults. To add one, decorate the function that makes its reply with `@fault`.

The name of the function becomes the name of the fault, its docstring the description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from syphus.simulator.completion import Exchange
from syphus.simulator.replies import SimulatedReply

ReplyMaker = Callable[[Exchange], SimulatedReply]


class Cost(Enum):
    """Whether a request with a fault is billed, and whether its answer arrives."""

    FREE = auto()  #: no answer is made, nothing is billed
    LOST = auto()  #: an answer is made and billed, but does not arrive completely
    ANSWERED = auto()  #: an answer is made and billed, and arrives


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: a description in one line, the function that makes its reply, and its cost."""

    description: str
    make_reply: ReplyMaker
    cost: Cost


FAULTS: dict[str, Fault] = {}
OK = "ok"  #: in a script: no fault


def scripted(script: Sequence[str], number: int) -> str | None:
    """Return the fault of a script for the call of this number, counted from 0; "" for none, None after its end."""
    if number >= len(script):
        return None
    return "" if script[number] == OK else script[number]


def draw_fault(draw: float, shares: Mapping[str, float]) -> str:
    """Return the fault that a number from 0 to 1 falls on, by the shares of the faults; "" for none."""
    for name, share in shares.items():
        draw -= share
        if draw < 0:
            return name
    return ""


def add_fault(name: str, description: str, make_reply: ReplyMaker, cost: Cost = Cost.FREE) -> None:
    """Add a fault to the table."""
    assert name not in FAULTS, name
    FAULTS[name] = Fault(description, make_reply, cost)


def fixed_fault(name: str, description: str, reply: SimulatedReply) -> None:
    """Add a fault that always gets the same reply, and no answer."""

    def make_reply(_: Exchange) -> SimulatedReply:
        return reply

    add_fault(name, description, make_reply)


def fault(cost: Cost = Cost.FREE) -> Callable[[ReplyMaker], ReplyMaker]:
    """Return a decorator that adds a function to the table of faults."""

    def register(make_reply: ReplyMaker) -> ReplyMaker:
        add_fault(make_reply.__name__, (make_reply.__doc__ or "").strip(), make_reply, cost)
        return make_reply

    return register
