"""Frames of a video at given seconds, decoding as little of it as its container and codec allow.

The packets are read twice. The first time only their times are looked at, which costs a hundredth of decoding them; so
it is known which frame is nearest to each second. The second time, of each group of pictures no more is decoded than up
to the last frame that is wanted, and frames that no other refers to are left out unless they are wanted themselves.
Where that does not bring all frames to light (a broken file, packets without times), all of it is decoded.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from syphus.images.look import Look
from syphus.images.pixels import BadImageError, check_pixels, encode
from syphus.images.timeline import LONGEST, Timeline, needed, timeline

Found: TypeAlias = tuple[float, bytes | str]  #: a second, and its image or the reason why there is none

# No playlists, which lead to other files, and nothing but files.
_CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif,nut,h264,hevc,m4v,mpegvideo,dv,wtv,mxf,ivf"
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_NEAR = 1.0  # seconds; how far from a second a frame may be that stands in for one that can't be decoded
_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
_RATE = 25  # frames a second where nothing says it

av.logging.set_level(av.logging.PANIC)  # what is wrong with a file is told by us


def frames(path: Path, seconds: Sequence[float] | None, look: Look, threads: int = 1) -> Iterator[Found]:
    """Yields each of the `seconds`, which ascend, with its image or why it has none; without, all seconds there are.

    Raises `BadImageError` for a file that is no video.
    """
    with closing(_open(path)) as container:
        stream = _stream(container, look)
        packets = _packets(container, stream)
        known = _timeline(container, stream, packets)
    if known is None:
        yield from _decoded(path, seconds, look, threads, None)
        return
    wanted, over = _wanted(known, known.every_second() if seconds is None else seconds)
    left = dict(wanted)
    for time, image in _chosen(path, packets, wanted, look, threads):
        yield from ((second, image) for second in left.pop(time))
    if left:
        missing = sorted(second for each in left.values() for second in each)
        yield from _decoded(path, missing, look, threads, known)
    yield from ((second, f"the video ends at {known.seconds:.2f} s") for second in over)
    if seconds is None:
        yield from _cut_off(known, packets.stated)


class _Packets:
    """What the packets of a stream say in decoding order: the time of each frame, and whether it is a key frame."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.keys: list[bool] = []
        self.last_duration = 0
        self.count = 0  #: with those that have no time
        self.stated = 0.0  #: how long the video should be, in seconds, by its header; 0 where it does not say


def _open(path: Path) -> InputContainer:
    try:
        return av.open(f"file:{path.absolute()}", container_options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadImageError(f"not a video: {_told(error)}") from error


def _stream(container: InputContainer, look: Look) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            check_pixels(stream.codec_context.width, stream.codec_context.height, look)
            return stream
    raise BadImageError("no video in it")


def _packets(container: InputContainer, stream: VideoStream) -> _Packets:
    """Everything up to where the file breaks."""
    found = _Packets()
    latest = None
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            found.count += 1
            if packet.pts is None:
                continue
            found.times.append(packet.pts)
            found.keys.append(packet.is_keyframe)
            if latest is None or packet.pts >= latest:
                latest, found.last_duration = packet.pts, packet.duration or 0
    except av.FFmpegError:
        pass  # the frames after this are told as missing
    if not found.count:
        raise BadImageError("no frames in it")
    return found


def _timeline(container: InputContainer, stream: VideoStream, packets: _Packets) -> Timeline | None:
    """None where not every frame has a time of its own."""
    packets.stated = _stated(container, stream)
    if len(set(packets.times)) < packets.count or not stream.time_base:
        return None
    return _checked(timeline(packets.times, packets.last_duration, stream.time_base))


def _stated(container: InputContainer, stream: VideoStream) -> float:
    """How long the video should be: MP4 and AVI say it of the stream, Matroska in a tag; what is said of the whole file
    may be about longer sound.
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if tag := _TAG.match(stream.metadata.get("DURATION", "")):
        return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    return (container.duration or 0) / av.time_base if len(container.streams) == 1 else 0.0


def _checked(known: Timeline) -> Timeline:
    if known.seconds > LONGEST:
        raise BadImageError(f"it would last {known.seconds:,.0f} seconds")
    return known


def _wanted(known: Timeline, seconds: Sequence[float]) -> tuple[dict[int, list[float]], list[float]]:
    """The seconds by the time of their frame, and those after the end."""
    wanted: dict[int, list[float]] = {}
    over = []
    for second in seconds:
        time = known.nearest(second)
        if time is None:
            over.append(second)
        else:
            wanted.setdefault(time, []).append(second)
    return wanted, over


def _chosen(
    path: Path, packets: _Packets, wanted: dict[int, list[float]], look: Look, threads: int
) -> Iterator[tuple[int, bytes]]:
    """The frames at the wanted times, up to one that does not come out when as little as possible is decoded."""
    coming = deque(sorted(wanted))
    plan = needed(packets.times, packets.keys, set(wanted))
    number = -1
    with closing(_open(path)) as container:
        stream = _threaded(_stream(container, look), threads)
        context, painter = stream.codec_context, _Painter(stream, look)
        try:
            for packet in container.demux(stream):
                if packet.size:
                    if packet.is_discard:
                        continue
                    number += 1
                    if packet.pts != packets.times[number] or not plan[number]:
                        continue
                    context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
                for frame in context.decode(packet if packet.size else None):
                    if frame.pts is None or frame.pts < coming[0] or frame.is_corrupt:
                        continue
                    if frame.pts > coming[0]:  # one has not come out
                        return
                    yield coming.popleft(), painter.image(frame)
                    if not coming:
                        return
        except (av.FFmpegError, IndexError):
            return  # the rest is tried by decoding everything


def _decoded(
    path: Path, seconds: Sequence[float] | None, look: Look, threads: int, known: Timeline | None
) -> Iterator[Found]:
    """The same by decoding every frame: of those that can be decoded, the nearest to each second."""
    start = float(known.times[0] * known.base) if known else None
    before: tuple[float, VideoFrame] | None = None
    left = list(seconds) if seconds is not None else None
    number = 0
    with closing(_open(path)) as container:
        stream = _threaded(_stream(container, look), threads)
        painter = _Painter(stream, look)
        for time, frame in _times(container, stream):
            start = time if start is None else start
            at = time - start
            if at > LONGEST:
                break
            if left is None:  # every second that has begun by now
                while number <= at:
                    yield _nearer(number, before, (at, frame), painter)
                    number += 1
            while left and left[0] <= at:
                yield _nearer(left.pop(0), before, (at, frame), painter)
            before = at, frame
        if before is None:
            raise BadImageError("no frame can be decoded")
        for second in left or ():
            yield _nearer(second, before, before, painter)


def _times(container: InputContainer, stream: VideoStream) -> Iterator[tuple[float, VideoFrame]]:
    """The frames that can be decoded, with their times; where they have none, as the frame rate says."""
    rate = stream.average_rate or stream.guessed_rate or Fraction(_RATE)
    number = 0
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        try:
            found = stream.codec_context.decode(packet if packet.size else None)
        except av.FFmpegError:
            continue
        for frame in found:
            if not frame.is_corrupt:
                yield (number / float(rate) if frame.time is None else frame.time), frame
            number += 1


def _nearer(
    second: float, before: tuple[float, VideoFrame] | None, after: tuple[float, VideoFrame], painter: _Painter
) -> Found:
    at, frame = min((each for each in (before, after) if each), key=lambda each: (abs(each[0] - second), each[0]))
    if abs(at - second) > _NEAR:
        return second, "no frame near this second can be decoded"
    return second, painter.image(frame)


def _cut_off(known: Timeline, stated: float) -> Iterator[Found]:
    """The seconds that a file should have by its header, and has not: it was cut off."""
    if known.seconds + _NEAR < stated <= LONGEST:
        for second in range(known.every_second().stop, math.ceil(round(stated, 1))):
            yield second, f"truncated: the video breaks off at {known.seconds:.2f} s of {stated:.2f} s"


def _threaded(stream: VideoStream, threads: int) -> VideoStream:
    stream.codec_context.thread_count = threads
    stream.thread_type = "FRAME" if threads > 1 else "NONE"
    return stream


class _Painter:
    """Makes images of the frames of one stream, upright, and its pixels square: what is set up for this is kept."""

    def __init__(self, stream: VideoStream, look: Look) -> None:
        self._ratio = stream.sample_aspect_ratio or Fraction(1)
        self._look = look
        self._scaler = VideoReformatter()

    def image(self, frame: VideoFrame) -> bytes:
        """A frame as the store wants it."""
        wide = max(1, round(frame.width * self._ratio))
        turned = round(frame.rotation / 90) % 4
        size = self._look.target(*((frame.height, wide) if turned % 2 else (wide, frame.height)))
        width, height = size[::-1] if turned % 2 else size
        scaled = self._scaler.reformat(frame, width, height, "rgb24", interpolation="LANCZOS")
        image: Image.Image = scaled.to_image()  # type: ignore[no-untyped-call]  # its types leave it out
        return encode(image.transpose(_TURNS[turned - 1]) if turned else image, self._look)


def _told(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error)[:80]
