"""Which frames of a video are wanted, from the times of all its frames: pure, in the video's own units of time.

Second 0 is the first frame, whatever time the file gives it. A second's frame is the one nearest to it, the earlier of
two that are as near: so the number in an image's id is its second at any frame rate, a changing one too.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

LONGEST = 86_400  #: seconds that a video may last; more is a broken clock
GRACE = 1.0  #: seconds past the end for which the last frame stands: annotations round


class Timeline(NamedTuple):
    """The times of the frames in ascending order, in units of `base` seconds, and where the last one ends."""

    times: Sequence[int]
    base: Fraction
    end: int

    @property
    def seconds(self) -> float:
        """How long the video is."""
        return float((self.end - self.times[0]) * self.base)

    def every_second(self) -> range:
        """All seconds that begin before the end, the 0th always."""
        return range(max(1, math.ceil(round(self.seconds, 6))))

    def nearest(self, second: float) -> int | None:
        """The time of the frame nearest to a second; None where the video is over by then."""
        if not 0 <= second < self.seconds + GRACE:
            return None
        wanted = self.times[0] + Fraction(second) / self.base
        after = bisect_left(self.times, wanted)
        near = self.times[max(0, after - 1) : after + 1]
        return min(near, key=lambda time: (abs(time - wanted), time))


def timeline(times: Sequence[int], last_duration: int, base: Fraction) -> Timeline:
    """The timeline of frames at these times, in any order. Where the last one's duration is unknown (0), it is taken to
    last as long as the others do on average.
    """
    ordered = sorted(times)
    gap = round((ordered[-1] - ordered[0]) / (len(ordered) - 1)) if len(ordered) > 1 else 0
    return Timeline(ordered, base, ordered[-1] + (last_duration or gap))


def groups(keys: Sequence[bool]) -> list[int]:
    """For each packet the number of its group of pictures: a key frame begins one."""
    number, found = 0, []
    for position, is_key in enumerate(keys):
        number += is_key and position > 0
        found.append(number)
    return found


def last_needed(times: Sequence[int], group: Sequence[int], wanted: set[int]) -> dict[int, int]:
    """For each group of pictures the last packet that has to be decoded, in decoding order, for the frames at the
    `wanted` times; groups that are not needed at all are left out.

    A frame that is shown before its group's key frame refers to the group before, which is then needed to its end.
    """
    last: dict[int, int] = {}
    begins: dict[int, int] = {}
    for position, (time, number) in enumerate(zip(times, group, strict=True)):
        first = begins.setdefault(number, position)
        if time in wanted:
            last[number] = position
            if time < times[first] and first:
                last[number - 1] = first - 1
    return last
