"""When each frame of a video is shown, read from its packets without decoding, at a hundredth of the cost.

`Timeline` finds the frame for a second. Second 0 is the first frame, whatever time the file gives it. The frame of a
second is the nearest one, or the earlier of two that are equally near. So the number in an image's id is its second at
any frame rate, a variable one too.
"""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from syphus.images.convert_options import EncodeOptions
from syphus.images.pixels import BadImageError, check_pixels

_PICTURES = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff"})  # codecs of single pictures
MAX_SECONDS = 86_400  #: that a video may last; more is a broken clock
CLOCK_RESTART = 1  #: seconds back; a clock that goes back further has started again
GRACE = 1.0  #: seconds past the end for which the last frame is used: annotations are rounded

# Plain containers only. Playlists are left out, as they refer to other files; so is every protocol but files.
_CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif,nut,h264,hevc,m4v,mpegvideo,dv,wtv,mxf,ivf"
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_DURATION_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")

# We report errors ourselves. At any log level, a decoder thread needs the GIL to log, and the thread that waits for it
# may hold the GIL: a broken video would hang.
av.logging.set_level(None)


class Timeline(NamedTuple):
    """The times of the frames in ascending order, and the end of the last one, all in units of `base` seconds."""

    times: Sequence[int]
    base: Fraction
    end: int

    @property
    def seconds(self) -> float:
        """The duration of the video."""
        return float((self.end - self.times[0]) * self.base)

    def every_second(self) -> range:
        """Return all seconds that begin before the end; always second 0."""
        return range(max(1, math.ceil(round(self.seconds, 6))))

    def nearest(self, second: float) -> int | None:
        """Return the time of the frame nearest to a second; None if the video is over by then."""
        if not 0 <= second < self.seconds + GRACE:
            return None
        target = self.times[0] + Fraction(second) / self.base
        after = bisect_left(self.times, target)
        candidates = self.times[max(0, after - 1) : after + 1]
        return min(candidates, key=lambda time: (abs(time - target), time))

    def within(self, second: float, distance: float) -> Sequence[int]:
        """Return the times of all frames at most `distance` seconds away from a second."""
        first, last = (self.times[0] + Fraction(each) / self.base for each in (second - distance, second + distance))
        return self.times[bisect_left(self.times, first) : bisect_right(self.times, last)]


def make_timeline(times: Sequence[int], last_duration: int, base: Fraction) -> Timeline:
    """Build a timeline from the times of the frames, in any order.

    If the duration of the last frame is unknown (0), it is the average of the others.
    """
    ordered = sorted(times)
    average = round((ordered[-1] - ordered[0]) / (len(ordered) - 1)) if len(ordered) > 1 else 0
    return Timeline(ordered, base, ordered[-1] + (last_duration or average))


class PacketTimes(NamedTuple):
    """What the packets of a stream say, up to where the file breaks off.

    `times` are in decoding order; `keys` are 1 where decoding may start. Frames that an edit list hides are among them,
    as others refer to them. `timeline` has only the frames that are shown; it is None unless every packet has a time of
    its own and the clock never starts again. `stated_seconds` is the duration that the header promises, or 0 if it does
    not say, or no frame is missing.
    """

    times: Sequence[int]
    keys: bytearray
    timeline: Timeline | None
    stated_seconds: float

    def ignore_keyframes(self) -> None:
        """Let decoding start only at the beginning, whatever the file says."""
        self.keys[:] = bytes(len(self.keys))


def packets_to_decode(times: Sequence[int], keys: Sequence[int], wanted: Collection[int]) -> bytearray:
    """Return 1 for each packet, in decoding order, that must be decoded to get the frames at the `wanted` times.

    A key frame starts a group of pictures. Nothing after the last wanted frame of a group is needed. Frames that are
    shown before the key frame of their group refer to the group before: if one of them is wanted, that whole group is
    needed; otherwise they are left out.
    """
    needed = bytearray(len(times))
    starts = [position for position, is_key in enumerate(keys) if is_key or not position]
    for previous, start, end in zip([0, *starts], starts, [*starts[1:], len(times)], strict=False):
        in_group = [position for position in range(start, end) if times[position] in wanted]
        if not in_group:
            continue
        needs_previous = any(times[position] < times[start] for position in in_group)
        if needs_previous:
            needed[previous:start] = b"\1" * (start - previous)
        for position in range(start, in_group[-1] + 1):
            needed[position] = needs_previous or times[position] >= times[start]
    return needed


def open_video(path: Path) -> InputContainer:
    """Open a video file. Raises `BadImageError` if it is not one."""
    try:
        return av.open(f"file:{path.absolute()}", container_options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", "") or error)[:80]
        raise BadImageError(f"not a video: {reason}") from error


def best_stream(container: InputContainer, path: Path, options: EncodeOptions) -> VideoStream:
    """Return the video stream of the open file at `path`. Raises `BadImageError` if there is none to decode.

    Cover pictures are left out. Of several other streams, it is the one that lasts longest, and of those that last
    equally long the one with the largest picture: the first may be a single picture that is not marked as a cover.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic and stream.codec_context
    ]
    if not streams:
        raise BadImageError("unknown codec" if _has_unknown_codec(container) else "no video stream")
    stream = container.streams.video[_longest_stream(path)] if len(streams) > 1 else streams[0]
    check_pixels(stream.codec_context.width, stream.codec_context.height, options)
    return stream


def _has_unknown_codec(container: InputContainer) -> bool:
    videos = container.streams.video
    return any(not each.disposition & av.stream.Disposition.attached_pic for each in videos)


def _longest_stream(path: Path) -> int:
    """Return which of several video streams to use, as an index of those, by the times of all their packets.

    Of a file that breaks off, the longest is what its header says: of the film, nothing may be left. A stream may be
    read only from a file that nobody else reads, so the file is opened again.
    """
    with closing(open_video(path)) as container:
        videos = container.streams.video
        first: dict[int, float] = {}
        last: dict[int, float] = {}
        with suppress(av.FFmpegError, IndexError):
            for packet in container.demux(*videos):
                if packet.size and packet.pts is not None and packet.time_base:
                    time = float(packet.pts * packet.time_base)
                    first[packet.stream_index] = min(first.get(packet.stream_index, time), time)
                    last[packet.stream_index] = max(last.get(packet.stream_index, time), time)
        seconds = {index: last[index] - first[index] for index in first}
        usable = [
            (number, each)
            for number, each in enumerate(videos)
            if not each.disposition & av.stream.Disposition.attached_pic and each.codec_context
        ]
        stated = [_stated_stream_seconds(each) for _, each in usable]
        if max(stated) - min(stated) <= GRACE:  # it may be the length of the file, which FFmpeg gives every stream
            stated = [0.0] * len(usable)
        lengths = [max(seconds.get(each.index, 0.0), length) for (_, each), length in zip(usable, stated, strict=True)]
        longest = max(lengths)
        candidates = [found for found, length in zip(usable, lengths, strict=True) if length >= longest - GRACE]
        if (
            longest <= GRACE < (container.duration or 0) / av.time_base
        ):  # it breaks off, and no stream says how long it is
            candidates = [found for found in candidates if found[1].codec_context.name not in _PICTURES] or candidates
        return max(candidates, key=lambda found: found[1].codec_context.width * found[1].codec_context.height)[0]


def data_packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[VideoStream]]:
    """Yield the packets of a stream up to where the file breaks off; the caller reports the missing seconds."""
    with suppress(av.FFmpegError, IndexError):  # PyAV raises IndexError for streams that appear later, at the end
        yield from (packet for packet in container.demux(stream) if packet.size)


def read_packets(container: InputContainer, stream: VideoStream) -> PacketTimes:
    """Read a stream to its end. Raises `BadImageError` if it is empty, or its clock is broken."""
    times, keys, shown = array("q"), bytearray(), array("q")
    count = latest = last_duration = 0
    restarts, latest_dts = False, -(1 << 62)
    back = CLOCK_RESTART / stream.time_base if stream.time_base else 0
    for packet in data_packets(container, stream):
        count += 1
        if packet.pts is None:
            continue
        if packet.dts is not None:
            restarts = restarts or packet.dts < latest_dts - back
            latest_dts = max(latest_dts, packet.dts)
        times.append(packet.pts)
        keys.append(packet.is_keyframe)
        if packet.is_discard:
            continue
        if not shown or packet.pts >= latest:
            latest, last_duration = packet.pts, packet.duration or 0
        shown.append(packet.pts)
    if not count:
        stated = _stated_seconds(container, stream) or (container.duration or 0) / av.time_base
        raise BadImageError(f"truncated: nothing is left of {stated:.2f} s of video" if stated > 0 else "no frames")
    timeline = None
    if shown and not restarts and len(times) == count and len(set(shown)) == len(shown) and stream.time_base:
        timeline = make_timeline(shown, last_duration, stream.time_base)
        if timeline.seconds > MAX_SECONDS:
            raise BadImageError(f"a duration of {timeline.seconds:,.0f} seconds")
    is_complete = 0 < stream.frames <= count
    return PacketTimes(times, keys, timeline, 0.0 if is_complete else _stated_seconds(container, stream))


def _stated_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Return the duration that the header promises, or 0.

    MP4 and AVI state it for the stream; Matroska has the end of the stream in a tag. The duration of the whole file
    counts only if the video is its only stream: it may be that of longer sound.
    """
    if stated := _stated_stream_seconds(stream):
        return stated
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    return (container.duration or 0) / av.time_base - start if len(container.streams) == 1 else 0.0


def _stated_stream_seconds(stream: VideoStream) -> float:
    """Return the duration that the header promises for a stream itself, or 0."""
    if tag := _DURATION_TAG.match(stream.metadata.get("DURATION", "")):
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3]) - start
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
