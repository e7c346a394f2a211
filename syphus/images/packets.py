"""What the packets of a video say without being decoded, at a hundredth of the cost: when each frame is shown."""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from syphus.images.convert_options import EncodeOptions
from syphus.images.pixels import BadImageError, check_pixels

# FOLDED from timeline.py:
# Which frames of a video are wanted, from the times of all its frames: pure, in the video's own units of time.
#
# Second 0 is the first frame, whatever time the file gives it. A second's frame is the one nearest to it,
# the earlier of
# two that are as near: so the number in an image's id is its second at any frame rate, a changing one too.

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


# No playlists, which lead to other files, and nothing but files.
_CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif,nut,h264,hevc,m4v,mpegvideo,dv,wtv,mxf,ivf"
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")

# What is wrong with a file is told by us. With any level, threads of a decoder take the GIL to say what they have to,
# and whoever waits for them may have it: a broken video would hang.
av.logging.set_level(None)


class Packets(NamedTuple):
    """What the packets of a stream say, up to where the file breaks.

    `times` are in the order of decoding, and `keys` are 1 where that may begin. What an edit list hides is among them:
    others refer to it. The `timeline` has the frames that are shown; it is None where not every packet has a time of
    its own. `stated` is how many seconds the header promises, 0 where it does not say or has all its frames.
    """

    times: Sequence[int]
    keys: bytearray
    timeline: Timeline | None
    stated: float

    def distrust_keys(self) -> None:
        """Decoding may begin nowhere but at the beginning, whatever the file says."""
        self.keys[:] = bytes(len(self.keys))


def open_video(path: Path) -> InputContainer:
    """Raises `BadImageError` for a file that is no video."""
    try:
        return av.open(f"file:{path.absolute()}", container_options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadImageError(f"not a video: {_told(error)}") from error


def video_stream(container: InputContainer, look: EncodeOptions) -> VideoStream:
    """The first that is not a picture of the cover. Raises `BadImageError`."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            if not stream.codec_context:
                raise BadImageError("in a codec that is unknown")
            check_pixels(stream.codec_context.width, stream.codec_context.height, look)
            return stream
    raise BadImageError("no video in it")


def data_packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[VideoStream]]:
    """The packets of a stream up to where the file breaks: what is missing is told by its seconds."""
    with suppress(av.FFmpegError, IndexError):  # PyAV trips over streams that appear later, at the end
        yield from (packet for packet in container.demux(stream) if packet.size)


def read_packets(container: InputContainer, stream: VideoStream) -> Packets:
    """Reads the stream to its end. Raises `BadImageError` where there is nothing in it, or its clock is broken."""
    times, keys, shown = array("q"), bytearray(), array("q")
    count = latest = last_duration = 0
    for packet in data_packets(container, stream):
        count += 1
        if packet.pts is None:
            continue
        times.append(packet.pts)
        keys.append(packet.is_keyframe)
        if packet.is_discard:
            continue
        if not shown or packet.pts >= latest:
            latest, last_duration = packet.pts, packet.duration or 0
        shown.append(packet.pts)
    if not count:
        raise BadImageError("no frames in it")
    known = None
    if shown and len(times) == count and len(set(shown)) == len(shown) and stream.time_base:
        known = timeline(shown, last_duration, stream.time_base)
        if known.seconds > LONGEST:
            raise BadImageError(f"it would last {known.seconds:,.0f} seconds")
    is_whole = 0 < stream.frames <= count
    return Packets(times, keys, known, 0.0 if is_whole else _stated(container, stream))


def _stated(container: InputContainer, stream: VideoStream) -> float:
    """How long the video should be: MP4 and AVI say it of the stream; Matroska says in a tag when it ends. What is said
    of the whole file may be about longer sound.
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    begins = float((stream.start_time or 0) * (stream.time_base or 0))
    if tag := _TAG.match(stream.metadata.get("DURATION", "")):
        return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3]) - begins
    return (container.duration or 0) / av.time_base - begins if len(container.streams) == 1 else 0.0


def _told(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error)[:80]
