"""Decode the frames of a video at given seconds, as few others as its container and codec allow.

The packets are read twice. The first pass reads only their times, which gives the frame nearest to each second. The
second pass decodes each group of pictures only up to its last wanted frame, and leaves out frames that no other refers
to unless they are wanted. Where wanted frames do not come out (a broken spot), everything around them is decoded, and
the nearest frame stands in. If packets have no times, or nothing comes out, the whole video is decoded.
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
from syphus.images.pixels import BadImageError, encode
from syphus.images.video_timeline import (
    CLOCK_RESTART,
    MAX_SECONDS,
    PacketTimes,
    Timeline,
    best_stream,
    data_packets,
    open_video,
    packets_to_decode,
    read_packets,
)

FrameResult: TypeAlias = tuple[float, bytes | str]  #: a second, and its image or the reason why there is none
TimedFrame: TypeAlias = tuple[float, VideoFrame]  #: seconds from the first frame on, and the frame

_NEAR = 1.0  # seconds that a frame may be away from the second that it stands in for
_ROTATIONS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
_DEFAULT_RATE = 25  # frames per second, if the file does not say


def frames(
    path: Path, seconds: Sequence[float] | None, options: EncodeOptions, threads: int = 1
) -> Iterator[FrameResult]:
    """Yield each of the ascending `seconds` with its image, or why it has none; without `seconds`, every second.

    They come in order, except that those that need a second attempt come later. Raises `BadImageError` if the file is
    not a video.
    """
    with closing(open_video(path)) as container:
        packets = read_packets(container, best_stream(container, path, options))
    timeline = packets.timeline
    if timeline is None:
        yield from _decode_nearest(path, seconds, options, threads)
        return
    wanted, past_end = _seconds_by_time(timeline, timeline.every_second() if seconds is None else seconds)
    missing = dict(wanted)
    for time, image in _decode_exact(path, packets, wanted, options, threads):
        yield from ((second, image) for second in missing.pop(time))
    if missing:
        if all(packets.keys):  # which may be a default, if the file does not say
            packets.ignore_keyframes()
        missing_seconds = sorted(second for each in missing.values() for second in each)
        nearby = {time for second in missing_seconds for time in timeline.within(second, _NEAR)}
        plan = None  # decode everything
        if len(missing) < len(wanted):
            plan = packets_to_decode(packets.times, packets.keys, nearby)
        yield from _decode_nearest(path, missing_seconds, options, threads, timeline, plan)
    yield from ((second, f"the video ends at {timeline.seconds:.2f} s") for second in past_end)
    if seconds is None:
        yield from _truncated_seconds(timeline, packets.stated_seconds)


def _seconds_by_time(timeline: Timeline, seconds: Sequence[float]) -> tuple[dict[int, list[float]], list[float]]:
    """Return the seconds by the time of their frame, and the seconds after the end."""
    by_time: dict[int, list[float]] = {}
    past_end = []
    for second in seconds:
        time = timeline.nearest(second)
        if time is None:
            past_end.append(second)
        else:
            by_time.setdefault(time, []).append(second)
    return by_time, past_end


def _decode_exact(
    path: Path, packets: PacketTimes, wanted: Collection[int], options: EncodeOptions, threads: int
) -> Iterator[tuple[int, bytes]]:
    """Yield the frames at the wanted times that come out when as little as possible is decoded."""
    plan = packets_to_decode(packets.times, packets.keys, wanted)
    keys = {time for time, is_key in zip(packets.times, packets.keys, strict=True) if is_key}
    missing = set(wanted)
    with closing(open_video(path)) as container:
        stream = _configure(best_stream(container, path, options), options, threads)
        encoder = _FrameEncoder(stream, options)
        for frame in _decode(container, stream, plan, wanted):
            if frame.pts in keys and frame.pict_type != PictureType.I:
                packets.ignore_keyframes()
                return
            if frame.pts in missing and not frame.is_corrupt:
                missing.remove(frame.pts)
                yield frame.pts, encoder.encode(frame)
                if not missing:
                    return


def _decode_nearest(
    path: Path,
    seconds: Sequence[float] | None,
    options: EncodeOptions,
    threads: int,
    timeline: Timeline | None = None,
    plan: Sequence[int] | None = None,
) -> Iterator[FrameResult]:
    """Decode every frame of the `plan`, and yield each second with the nearest of those that come out."""
    start = float(timeline.times[0] * timeline.base) if timeline else None
    previous: TimedFrame | None = None
    remaining = list(seconds) if seconds is not None else None
    next_second = 0  # if all are wanted
    with closing(open_video(path)) as container:
        stream = _configure(best_stream(container, path, options), options, threads)
        encoder = _FrameEncoder(stream, options)
        for time, frame in _with_times(stream, _decode(container, stream, plan)):
            start = time if start is None else start
            now = time - start
            if now > MAX_SECONDS:
                break
            if remaining is None:
                while next_second <= now:
                    yield _nearer(next_second, previous, (now, frame), encoder)
                    next_second += 1
            while remaining and remaining[0] <= now:
                yield _nearer(remaining.pop(0), previous, (now, frame), encoder)
            if remaining == []:
                return
            previous = now, frame
        if previous is None and plan is None:
            raise BadImageError("no frame can be decoded")
        for second in remaining or ():
            yield _nearer(second, previous, None, encoder)


def _decode(
    container: InputContainer,
    stream: VideoStream,
    plan: Sequence[int] | None = None,
    wanted: Collection[int] | None = None,
) -> Iterator[VideoFrame]:
    """Yield the frames of the packets that have a 1 in the `plan`, as far as they can be decoded.

    With `wanted`, frames at other times may be missing if no other frame refers to them.
    """
    context = stream.codec_context
    skipped = False
    for number, packet in enumerate(data_packets(container, stream)):
        if plan is not None and not plan[number]:
            skipped = True
            continue
        if skipped and packet.is_keyframe:  # as after a seek, or the decoder looks for the frames that were left out
            yield from _decode_packet(context, None)
            context.flush_buffers()
        skipped = False
        if wanted is not None:
            context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        yield from _decode_packet(context, packet)
    yield from _decode_packet(context, None)


def _decode_packet(context: VideoCodecContext, packet: av.Packet[VideoStream] | None) -> Sequence[VideoFrame]:
    try:
        return context.decode(packet)
    except av.FFmpegError:
        return ()


def _with_times(stream: VideoStream, frames: Iterator[VideoFrame]) -> Iterator[TimedFrame]:
    """Yield the intact frames with their times in seconds; those of frames without one follow from the frame rate.

    Where the clock of the file starts again, as in joined recordings, the times go on.
    """
    duration = 1 / (stream.average_rate or stream.guessed_rate or Fraction(_DEFAULT_RATE))
    latest: Fraction | None = None
    offset = Fraction(0)
    for number, frame in enumerate(frames):
        if frame.is_corrupt:
            continue
        # The last frames have a `pts`, but no `time`.
        time = number * duration if frame.pts is None else frame.pts * (stream.time_base or duration)
        if latest is not None and time + offset < latest - CLOCK_RESTART:
            offset = latest + duration - time
        latest = time + offset
        yield float(latest), frame


def _nearer(
    second: float, previous: TimedFrame | None, current: TimedFrame | None, encoder: _FrameEncoder
) -> FrameResult:
    near = [each for each in (previous, current) if each and abs(each[0] - second) <= _NEAR]
    if not near:
        return second, "no frame near this second can be decoded"
    return second, encoder.encode(min(near, key=lambda each: abs(each[0] - second))[1])


def _truncated_seconds(timeline: Timeline, stated: float) -> Iterator[FrameResult]:
    """Yield the seconds that the header promises and the file does not have, because it was cut off."""
    if timeline.seconds + _NEAR < stated <= MAX_SECONDS:
        for second in range(timeline.every_second().stop, math.ceil(round(stated, 1))):
            yield second, f"truncated: the video breaks off at {timeline.seconds:.2f} s of {stated:.2f} s"


def _configure(stream: VideoStream, options: EncodeOptions, threads: int) -> VideoStream:
    stream.codec_context.options = {"max_pixels": str(options.max_pixels)}  # later frames may be larger
    stream.codec_context.thread_count = threads
    stream.thread_type = "FRAME" if threads > 1 else "NONE"
    return stream


class _FrameEncoder:
    """Encodes the frames of one stream, upright and with square pixels. Reuses the scaler."""

    def __init__(self, stream: VideoStream, options: EncodeOptions) -> None:
        self._pixel_ratio = stream.sample_aspect_ratio or Fraction(1)
        self._options = options
        self._scaler = VideoReformatter()

    def encode(self, frame: VideoFrame) -> bytes:
        display_width = max(1, round(frame.width * self._pixel_ratio))
        quarter_turns = round(frame.rotation / 90) % 4
        sideways = quarter_turns % 2
        upright = (frame.height, display_width) if sideways else (display_width, frame.height)
        size = self._options.target_size(*upright)
        width, height = size[::-1] if sideways else size
        scaled = self._scaler.reformat(frame, width, height, "rgb24", interpolation="LANCZOS")
        image: Image.Image = scaled.to_image()  # type: ignore[no-untyped-call]  # its types leave it out
        return encode(image.transpose(_ROTATIONS[quarter_turns - 1]) if quarter_turns else image, self._options)
