"""Which frames of a video are wanted, from the times of all its frames: pure, in the video's own units of time.

Second 0 is the first frame, whatever time the file gives it. A second's frame is the one nearest to it, the earlier of
two that are as near: so the number in an image's id is its second at any frame rate, a changing one too.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
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

    def around(self, second: float, reach: float) -> Sequence[int]:
        """The times of the frames that are no further from a second than `reach` seconds."""
        first, last = (self.times[0] + Fraction(each) / self.base for each in (second - reach, second + reach))
        return self.times[bisect_left(self.times, first) : bisect_right(self.times, last)]


def timeline(times: Sequence[int], last_duration: int, base: Fraction) -> Timeline:
    """The timeline of frames at these times, in any order. Where the last one's duration is unknown (0), it is taken to
    last as long as the others do on average.
    """
    ordered = sorted(times)
    gap = round((ordered[-1] - ordered[0]) / (len(ordered) - 1)) if len(ordered) > 1 else 0
    return Timeline(ordered, base, ordered[-1] + (last_duration or gap))


def needed(times: Sequence[int], keys: Sequence[int], wanted: Collection[int]) -> bytearray:
    """For each packet, in decoding order, 1 where it has to be decoded for the frames at the `wanted` times, or 0.

    A key frame begins a group of pictures, of which nothing is needed after the last that is wanted. Pictures that are
    shown before the key frame of their group refer to the group before: where one is wanted, all of that is needed, and
    where none is, they are left out.
    """
    found = bytearray(len(times))
    begins = [position for position, is_key in enumerate(keys) if is_key or not position]
    for before, start, end in zip([0, *begins], begins, [*begins[1:], len(times)], strict=False):
        shown = [position for position in range(start, end) if times[position] in wanted]
        if not shown:
            continue
        leads = any(times[position] < times[start] for position in shown)
        if leads:
            found[before:start] = b"\1" * (start - before)
        for position in range(start, shown[-1] + 1):
            found[position] = leads or times[position] >= times[start]
    return found
