"""Frames by their seconds: the right ones, whatever the container, the codec and the rate."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from av.video.stream import VideoStream
from media import every, number_of, write_video
from PIL import Image

from syphus.images.convert_options import EncodeOptions
from syphus.images.pixels import BadImageError
from syphus.images.video import frames
from syphus.images.video_timeline import make_timeline, packets_to_decode

MILLI, TICK = Fraction(1, 1000), Fraction(1, 25)


def taken(path: Path, seconds: Sequence[float] | None = None) -> dict[float, int | str]:
    """The number of the frame, or the reason, for each second."""
    found = sorted(frames(path, seconds, EncodeOptions()), key=lambda each: each[0])
    assert len({second for second, _ in found}) == len(found)
    return {second: number_of(image) if isinstance(image, bytes) else image for second, image in found}


def nearest(times: Sequence[Fraction], second: float) -> int:
    """What is right, by looking at all frames."""
    return min(range(len(times)), key=lambda number: (abs(times[number] - times[0] - second), number))


VIDEOS: dict[str, tuple[list[Fraction], dict[str, object]]] = {
    "plain.mp4": (every(30, 4.5), {}),
    "ntsc.mp4": (every(Fraction(30_000, 1001), 10.01), {"base": Fraction(1, 30_000), "g": "50", "bf": "3"}),
    "pyramid.mkv": (every(25, 6), {"base": MILLI, "g": "40", "bf": "4", "preset": "medium"}),
    "open_gop.mp4": (every(25, 9), {"g": "30", "bf": "3", "preset": "medium", "x264-params": "open-gop=1"}),
    "slow.mp4": (every(0.5, 11), {}),
    "late.mp4": (every(10, 3, start=2), {}),
    "late.mkv": (every(10, 3, start=2), {"base": MILLI}),
    "changing.mp4": ([Fraction(x) for x in (0, 0.125, 0.25, 1.0625, 1.125, 4.875, 5.25, 9, 9.0625)], {}),
    "vp9.webm": (every(25, 3), {"codec": "libvpx-vp9", "base": MILLI, "deadline": "realtime", "cpu-used": "8"}),
    "mpeg4.avi": (every(25, 3), {"codec": "mpeg4", "base": TICK, "bf": "2"}),
    "stream.ts": (every(25, 3), {"base": Fraction(1, 90_000)}),
    "dvd.mpg": (every(25, 3), {"codec": "mpeg2video", "base": TICK, "bf": "2"}),
    "bare.h264": (every(25, 3), {"base": TICK}),
    "one.mp4": ([Fraction(0)], {}),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_each_second_has_its_nearest_frame(tmp_path: Path, name: str) -> None:
    times, how = VIDEOS[name]
    path = write_video(tmp_path / name, times, **how)  # type: ignore[arg-type]  # options of the encoders
    found = taken(path)
    assert found == {second: nearest(times, second) for second in range(len(found))}
    assert [second for second, _ in frames(path, None, EncodeOptions())] == list(found)
    if len(times) > 1:
        last = times[-1] - times[0]
        assert len(found) in (math.floor(last) + 1, math.ceil(last + (last / (len(times) - 1))))


def test_ten_seconds_of_ntsc_have_eleven_seconds_at_most(tmp_path: Path) -> None:
    """The original counts every 29th frame: its index drifts away from the second."""
    times = every(Fraction(30_000, 1001), 60.06)
    path = write_video(tmp_path / "a.mp4", times, base=Fraction(1, 30_000))
    assert taken(path)[60] == 1798


def test_just_the_seconds_that_are_wanted_come_out(tmp_path: Path) -> None:
    times = every(25, 8)
    path = write_video(tmp_path / "a.mp4", times, g="20", bf="2")
    assert taken(path, [0.5, 2, 6.52]) == {0.5: 12, 2: 50, 6.52: 163}
    over = "the video ends at 7.99 s"
    assert taken(path, [7, 8, 8.9, 9, 30]) == {7: 175, 8: 199, 8.9: 199, 9: over, 30: over}


def test_no_more_is_decoded_than_needed() -> None:
    """Two groups, the second with pictures before its key frame in time, which refer to the first."""
    times = [0, 3, 1, 2, 6, 4, 5, 9, 12, 10, 11]
    keys = [True, False, False, False, True, False, False, False, False, False, False]

    def decoded(*wanted: int) -> list[int]:
        return [
            time
            for time, is_needed in zip(times, packets_to_decode(times, keys, set(wanted)), strict=True)
            if is_needed
        ]

    assert decoded(0) == [0]
    assert decoded(1) == [0, 3, 1]
    assert decoded(9) == [6, 9]
    assert decoded(5) == [0, 3, 1, 2, 6, 4, 5]
    assert decoded() == []


def test_the_timeline_of_one_frame_has_second_0() -> None:
    known = make_timeline([900], 0, Fraction(1, 90_000))
    assert list(known.every_second()) == [0]
    assert known.nearest(0) == 900


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_is_turned_back(tmp_path: Path, degrees: int) -> None:
    """The bars of frame 0 are black, above grey: where the grey is tells the way it was turned."""
    path = write_video(tmp_path / "a.mp4", every(10, 1), rotation=degrees)
    ((_, image),) = frames(path, [0], EncodeOptions(size=None))
    assert isinstance(image, bytes)
    shown = Image.open(io.BytesIO(image)).convert("L")
    width, height = shown.size
    middles = {"top": (width // 2, 4), "left": (4, height // 2), "bottom": (width // 2, height - 5)}
    middles["right"] = (width - 5, height // 2)
    dark = {side for side, at in middles.items() if isinstance(level := shown.getpixel(at), int) and level < 45}
    wide = (96, 192) if degrees % 180 else (192, 96)
    assert shown.size == wide
    grey = {90: "right", 180: "top", 270: "left"}[degrees]  # a turn against the clock
    assert grey not in dark


def test_a_video_that_breaks_off_gives_what_it_has_and_says_what_is_missing(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", every(25, 10), base=MILLI, g="25")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = taken(cut)
    assert list(found) == list(range(10))
    good = [second for second, number in found.items() if number == 25 * second]
    assert 3 <= len(good) <= 6
    assert good == list(range(len(good)))
    assert str(found[9]).startswith("truncated: the video breaks off at ")


def test_a_whole_video_is_not_called_cut_off_whatever_its_header_promises(tmp_path: Path) -> None:
    """It says how long its last packet is, which is not the frame that is shown last."""
    path = write_video(tmp_path / "a.mp4", every(10, 3), rate=Fraction(1, 3), bf="2")
    assert taken(path) == {0: 0, 1: 10, 2: 20}


def test_a_broken_middle_costs_the_seconds_in_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", every(25, 12), g="25", bf="0")
    data = bytearray(path.read_bytes())
    with av.open(path) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    assert places[125] is not None
    assert places[175] is not None
    data[places[125] : places[175]] = b"\xff" * (places[175] - places[125])
    path.write_bytes(data)
    found = taken(path)
    assert {second: found[second] for second in (0, 1, 2, 3, 8, 9, 10, 11)} == {
        s: 25 * s for s in (0, 1, 2, 3, 8, 9, 10, 11)
    }
    assert list(found) == list(range(12))
    order = [second for second, _ in frames(path, None, EncodeOptions())]
    assert order == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 5, 6]  # the rest is not decoded once more


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_what_an_edit_list_hides_is_decoded_and_not_shown(tmp_path: Path, codec: str) -> None:
    """A video cut by a telephone: it begins in the middle of a group of pictures, which refer to those before."""
    whole = write_video(tmp_path / "whole.mp4", every(25, 6), codec=codec, base=TICK, g="250", bf="0")
    cut = tmp_path / "cut.mp4"
    with av.open(whole) as source, av.open(cut, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None and packet.time_base:
                earlier = round(1 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - earlier, packet.dts - earlier, stream
                target.mux(packet)
    assert taken(cut) == {second: 25 + 25 * second for second in range(5)}
    assert taken(cut, [3]) == {3: 100}


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_a_file_that_calls_every_frame_a_key_frame_is_not_believed(tmp_path: Path, codec: str) -> None:
    how: dict[str, Any] = {"x265-params": "log-level=none"} if codec == "libx265" else {"bf": "0"}
    path = write_video(tmp_path / "a.mp4", every(25, 4), codec=codec, base=TICK, **how)
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))  # the list of the key frames
    assert taken(path) == {0: 0, 1: 25, 2: 50, 3: 75}


def test_a_frame_that_is_suddenly_enormous_is_not_decoded(tmp_path: Path) -> None:
    how: dict[str, Any] = {"codec": "libvpx", "base": MILLI, "deadline": "realtime", "cpu-used": "16"}
    write_video(tmp_path / "a.mkv", every(1, 2), **how)
    write_video(tmp_path / "b.mkv", every(1, 1), wide=1920, **how)
    with av.open(tmp_path / "bomb.mkv", "w") as target, av.open(tmp_path / "a.mkv") as small:
        stream = target.add_stream_from_template(small.streams.video[0])
        with av.open(tmp_path / "b.mkv") as large:
            packets = [packet for source in (small, large) for packet in source.demux(video=0) if packet.size]
            for number, packet in enumerate(packets):
                packet.pts = packet.dts = 3_000 * number
                packet.stream = stream
                target.mux(packet)
    told = "no frame near this second can be decoded"
    found = list(frames(tmp_path / "bomb.mkv", [0, 3, 6], EncodeOptions(max_pixels=20_000)))
    assert [each for _, each in found if isinstance(each, str)] == [told]
    assert len(list(frames(tmp_path / "bomb.mkv", [0, 3, 6], EncodeOptions()))) == 3


def test_broken_videos_do_not_hang_where_threads_decode_them(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", every(25, 8), codec="mpeg4", base=TICK, bf="2", g="12").read_bytes()
    first, last = whole.index(b"mdat") + 4, whole.index(b"moov")
    rng = random.Random(0)
    for number in range(20):
        data = bytearray(whole)
        for _ in range(40):
            data[rng.randrange(first, last)] ^= 1 << rng.randrange(8)
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(data)
        assert {second for second, _ in frames(path, None, EncodeOptions(), threads=2)} == set(range(8))
    assert av.logging.get_level() is None  # or they would, once in some thousand


def sound(path: Path) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=8000)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(numpy.zeros((1, 1024), "float32"), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_what_is_no_video_has_a_reason(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", every(25, 2))
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {good}\n", "utf-8")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:2,\n{good}\n#EXT-X-ENDLIST\n", "utf-8")
    (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[:-300])  # without its index
    sound(tmp_path / "sound.mp4")
    matroska = write_video(tmp_path / "future.mkv", every(25, 1), base=MILLI)
    matroska.write_bytes(matroska.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/AVC"))
    told = {}
    for name in ("list.mp4", "list.m3u8", "cut.mp4", "sound.mp4", "future.mkv"):
        with pytest.raises(BadImageError) as caught:
            list(frames(tmp_path / name, None, EncodeOptions()))
        told[name] = str(caught.value).partition(":")[0]
    assert told == {
        "list.mp4": "not a video",
        "list.m3u8": "not a video",
        "cut.mp4": "not a video",
        "sound.mp4": "no video stream",
        "future.mkv": "unknown codec",
    }
    with pytest.raises(BadImageError, match="192 x 96 pixels, more than 9,000 in all"):
        list(frames(good, None, EncodeOptions(max_pixels=9_000)))


def write_streams(path: Path, *streams: tuple[str, int, int, int]) -> Path:
    """A file with several video streams: codec, width, frames at ten per second, and grey of each."""
    with av.open(path, "w") as container:
        made = []
        for codec, wide, _, _ in streams:
            stream = container.add_stream(codec, rate=10)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height = wide, 64
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            made.append(stream)
        for stream, (_, wide, count, grey) in zip(made, streams, strict=True):
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(numpy.full((64, wide, 3), grey, numpy.uint8), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


STREAMS: dict[str, tuple[list[tuple[str, int, int, int]], int, int]] = {
    "a picture before the film": ([("mjpeg", 64, 1, 250), ("libx264", 160, 30, 40)], 40, 3),
    "a frame before the film": ([("libx264", 320, 1, 250), ("libx264", 160, 30, 40)], 40, 3),
    "a picture behind the film": ([("libx264", 160, 30, 40), ("mjpeg", 64, 1, 250)], 40, 3),
    "a short trailer": ([("libx264", 160, 15, 250), ("libx264", 160, 40, 40)], 40, 4),
    "a small copy": ([("libx264", 64, 30, 250), ("libx264", 160, 30, 40)], 40, 3),
    "two alike": ([("libx264", 160, 30, 40), ("libx264", 160, 30, 250)], 40, 3),
}


@pytest.mark.parametrize(("streams", "grey", "seconds"), STREAMS.values(), ids=STREAMS)
def test_of_several_streams_the_film_is_taken(
    tmp_path: Path, streams: list[tuple[str, int, int, int]], grey: int, seconds: int
) -> None:
    path = write_streams(tmp_path / "a.mkv", *streams)
    found = dict(frames(path, None, EncodeOptions()))
    assert sorted(found) == list(range(seconds))
    for image in found.values():
        assert isinstance(image, bytes)
        level = Image.open(io.BytesIO(image)).convert("L").getpixel((5, 5))
        assert isinstance(level, int)
        assert abs(level - grey) < 15


@pytest.mark.parametrize("form", ["mp4", "mov", "mkv", "avi"])
@pytest.mark.parametrize("picture", ["mjpeg", "libx264"])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_a_film_that_breaks_off_is_not_replaced_by_the_picture_before_it(
    tmp_path: Path, form: str, picture: str, share: float
) -> None:
    whole = write_streams(tmp_path / f"a.{form}", (picture, 320, 1, 250), ("mpeg4", 160, 60, 40))
    if form in ("mp4", "mov"):  # with its header at the beginning, as on the web
        with (
            av.open(whole) as source,
            av.open(tmp_path / f"b.{form}", "w", options={"movflags": "faststart"}) as target,
        ):
            streams = [target.add_stream_from_template(each) for each in source.streams.video]
            for packet in source.demux(*source.streams.video):
                if packet.size:
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)
        whole = tmp_path / f"b.{form}"
    data = whole.read_bytes()
    starts = data.rfind(b"\xff\xd8\xff") if picture == "mjpeg" else 0
    begin = max(starts, data.find(b"mdat") if form in ("mp4", "mov") else 0)
    (tmp_path / f"cut.{form}").write_bytes(data[: begin + round((len(data) - begin) * share)])
    try:
        found = dict(frames(tmp_path / f"cut.{form}", None, EncodeOptions()))
    except BadImageError as error:
        assert str(error).partition(":")[0] in ("truncated", "not a video", "no frame can be decoded")  # noqa: PT017
        return
    for image in found.values():
        if isinstance(image, bytes):
            level = Image.open(io.BytesIO(image)).convert("L").getpixel((5, 5))
            assert isinstance(level, int)
            assert level < 200  # of the film, and not of the picture
    if form != "mkv" and share < 0.9:  # Matroska says at its end how long it is; AVI ends with an index
        assert any(isinstance(image, str) and image.startswith("truncated") for image in found.values())


@pytest.mark.parametrize("starts", [(0, 0), (7, 0), (7, 3)])
def test_a_clock_that_starts_again_goes_on(tmp_path: Path, starts: tuple[int, int]) -> None:
    parts = [write_video(tmp_path / f"{n}.ts", every(10, 3, start), g="10") for n, start in enumerate(starts)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = dict(frames(joined, None, EncodeOptions()))
    assert {second: number_of(image) for second, image in found.items() if isinstance(image, bytes)} == {
        0: 0, 1: 10, 2: 20, 3: 0, 4: 10, 5: 20
    }  # fmt: skip
    assert [number_of(image) for _, image in frames(joined, [1, 4], EncodeOptions()) if isinstance(image, bytes)] == [
        10,
        10,
    ]
