"""What the packets of a video say without being decoded, at a hundredth of the cost: when each frame is shown."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from syphus.images.look import Look
from syphus.images.pixels import BadImageError, check_pixels
from syphus.images.timeline import LONGEST, Timeline, timeline

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


def video_stream(container: InputContainer, look: Look) -> VideoStream:
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
