"""Frames of a video at given seconds, decoding as little of it as its container and codec allow.

The packets are read twice. The first time only their times are looked at, so it is known which frame is nearest to
each second. The second time, of each group of pictures no more is decoded than up to the last frame that is wanted, and
frames that no other refers to are left out unless they are wanted themselves. Around frames that do not come to light
so (a broken spot), everything is decoded, and the nearest that there is stands in. Where packets have no times, or
nothing comes to light, all of it is decoded.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from syphus.images.convert_options import EncodeOptions
from syphus.images.packets import (
    LONGEST,
    Packets,
    Timeline,
    data_packets,
    needed,
    open_video,
    read_packets,
    video_stream,
)
from syphus.images.pixels import BadImageError, encode

Found: TypeAlias = tuple[float, bytes | str]  #: a second, and its image or the reason why there is none

_NEAR = 1.0  # seconds; how far from a second a frame may be that stands in for one that can't be decoded
_TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
_RATE = 25  # frames a second where nothing says it


def frames(path: Path, seconds: Sequence[float] | None, look: EncodeOptions, threads: int = 1) -> Iterator[Found]:
    """Yields each of the `seconds`, which ascend, with its image or why it has none; without, all seconds there are.

    They come in their order, but for those that could not be decoded at once: they follow. Raises `BadImageError` for a
    file that is no video.
    """
    with closing(open_video(path)) as container:
        packets = read_packets(container, video_stream(container, look))
    known = packets.timeline
    if known is None:
        yield from _decoded(path, seconds, look, threads)
        return
    wanted, over = _wanted(known, known.every_second() if seconds is None else seconds)
    left = dict(wanted)
    for time, image in _chosen(path, packets, wanted, look, threads):
        yield from ((second, image) for second in left.pop(time))
    if left:
        if all(packets.keys):  # which may be the default of a file that does not say
            packets.distrust_keys()
        missing = sorted(second for each in left.values() for second in each)
        near = {time for second in missing for time in known.around(second, _NEAR)}
        plan = needed(packets.times, packets.keys, near) if len(left) < len(wanted) else None
        yield from _decoded(path, missing, look, threads, known, plan)
    yield from ((second, f"the video ends at {known.seconds:.2f} s") for second in over)
    if seconds is None:
        yield from _cut_off(known, packets.stated)


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
    path: Path, packets: Packets, wanted: Collection[int], look: EncodeOptions, threads: int
) -> Iterator[tuple[int, bytes]]:
    """The frames at the wanted times, as far as they come out when as little as possible is decoded."""
    plan = needed(packets.times, packets.keys, wanted)
    keys = {time for time, is_key in zip(packets.times, packets.keys, strict=True) if is_key}
    left = set(wanted)
    with closing(open_video(path)) as container:
        stream = _ready(video_stream(container, look), look, threads)
        painter = _Painter(stream, look)
        for frame in _frames(container, stream, plan, wanted):
            if frame.pts in keys and frame.pict_type != PictureType.I:
                packets.distrust_keys()
                return
            if frame.pts in left and not frame.is_corrupt:
                left.remove(frame.pts)
                yield frame.pts, painter.image(frame)
                if not left:
                    return


def _decoded(
    path: Path,
    seconds: Sequence[float] | None,
    look: EncodeOptions,
    threads: int,
    known: Timeline | None = None,
    plan: Sequence[int] | None = None,
) -> Iterator[Found]:
    """The same by decoding every frame of the `plan`: of those that can be decoded, the nearest to each second."""
    start = float(known.times[0] * known.base) if known else None
    before: tuple[float, VideoFrame] | None = None
    left = list(seconds) if seconds is not None else None
    number = 0
    with closing(open_video(path)) as container:
        stream = _ready(video_stream(container, look), look, threads)
        painter = _Painter(stream, look)
        for time, frame in _timed(stream, _frames(container, stream, plan)):
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
            if left == []:
                return
            before = at, frame
        if before is None and plan is None:
            raise BadImageError("no frame can be decoded")
        for second in left or ():
            yield _nearer(second, before, before, painter)


def _frames(
    container: InputContainer,
    stream: VideoStream,
    plan: Sequence[int] | None = None,
    wanted: Collection[int] | None = None,
) -> Iterator[VideoFrame]:
    """The frames of the packets that have a 1 in the `plan`, as far as they can be decoded. With `wanted`, those at
    other times may be missing where no frame refers to them.
    """
    context = stream.codec_context
    gap = False
    for number, packet in enumerate(data_packets(container, stream)):
        if plan is not None and not plan[number]:
            gap = True
            continue
        if gap and packet.is_keyframe:  # as after a seek, or the decoder looks for what was left out
            yield from _decoded_of(context, None)
            context.flush_buffers()
        gap = False
        if wanted is not None:
            context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        yield from _decoded_of(context, packet)
    yield from _decoded_of(context, None)


def _decoded_of(context: VideoCodecContext, packet: av.Packet[VideoStream] | None) -> Sequence[VideoFrame]:
    try:
        return context.decode(packet)
    except av.FFmpegError:
        return ()


def _timed(stream: VideoStream, found: Iterator[VideoFrame]) -> Iterator[tuple[float, VideoFrame]]:
    """Those that are not broken, with their times; where they have none, as the frame rate says."""
    gap = 1 / (stream.average_rate or stream.guessed_rate or Fraction(_RATE))
    for number, frame in enumerate(found):
        if not frame.is_corrupt:  # the last ones have a `pts`, but no `time`
            yield float(number * gap if frame.pts is None else frame.pts * (stream.time_base or gap)), frame


def _nearer(
    second: float,
    before: tuple[float, VideoFrame] | None,
    after: tuple[float, VideoFrame] | None,
    painter: _Painter,
) -> Found:
    near = [each for each in (before, after) if each and abs(each[0] - second) <= _NEAR]
    if not near:
        return second, "no frame near this second can be decoded"
    return second, painter.image(min(near, key=lambda each: abs(each[0] - second))[1])


def _cut_off(known: Timeline, stated: float) -> Iterator[Found]:
    """The seconds that a file should have by its header, and has not: it was cut off."""
    if known.seconds + _NEAR < stated <= LONGEST:
        for second in range(known.every_second().stop, math.ceil(round(stated, 1))):
            yield second, f"truncated: the video breaks off at {known.seconds:.2f} s of {stated:.2f} s"


def _ready(stream: VideoStream, look: EncodeOptions, threads: int) -> VideoStream:
    stream.codec_context.options = {"max_pixels": str(look.most_pixels)}  # in the middle, a frame may become larger
    stream.codec_context.thread_count = threads
    stream.thread_type = "FRAME" if threads > 1 else "NONE"
    return stream


class _Painter:
    """Makes images of the frames of one stream, upright, and its pixels square: what is set up for this is kept."""

    def __init__(self, stream: VideoStream, look: EncodeOptions) -> None:
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
