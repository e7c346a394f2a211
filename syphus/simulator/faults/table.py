"""The table of faults. A module adds one by decorating the function that makes its reply; the function's name is the
fault's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from syphus.simulator.completion import Exchange
from syphus.simulator.replies import SimulatedReply

ReplyMaker = Callable[[Exchange], SimulatedReply]


class Cost(Enum):
    """What a fault does to the bill."""

    FREE = auto()  #: no answer was made: nothing is billed
    LOST = auto()  #: an answer was made and is billed, but the client does not get it whole
    ANSWERED = auto()  #: an answer was made, is billed, and arrives


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what it is in one line, its reply, and what it costs."""

    description: str
    make_reply: ReplyMaker
    cost: Cost


FAULTS: dict[str, Fault] = {}


def add_fault(name: str, about: str, play: ReplyMaker, cost: Cost = Cost.FREE) -> None:
    """Put a fault into the table under `name`."""
    assert name not in FAULTS, name
    FAULTS[name] = Fault(about, play, cost)


def fixed_fault(name: str, about: str, reply: SimulatedReply) -> None:
    """Put a fault into the table that always makes the same reply, and no answer."""

    def play(_: Exchange) -> SimulatedReply:
        return reply

    add_fault(name, about, play)


def fault(cost: Cost = Cost.FREE) -> Callable[[ReplyMaker], ReplyMaker]:
    """A decorator: the function is a fault, its docstring says what it is."""

    def enter(play: ReplyMaker) -> ReplyMaker:
        add_fault(play.__name__, (play.__doc__ or "").strip(), play, cost)
        return play

    return enter
