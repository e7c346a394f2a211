"""What is shown while images are converted, and what is said at the end."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

from syphus.images.convert import ConversionProgress, ConversionResult
from syphus.text import format_duration, pluralize, printable

_LIVE_EVERY, _PLAIN_EVERY = 0.5, 30.0  # seconds


class ConversionMeter:
    """A line that is drawn anew on a terminal, now and then a line anywhere else."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._began: tuple[float, ConversionProgress] | None = None
        self._shown_at = time.monotonic()
        self._drawn = False

    def tick(self, progress: ConversionProgress) -> None:
        """Called for each image; shows a line when it is time for one."""
        now = time.monotonic()
        if self._began is None:
            self._began = now, progress
        if now - self._shown_at < (_LIVE_EVERY if self._live else _PLAIN_EVERY):
            return
        self._shown_at = now
        self._draw(self.line(now, progress))

    def fetched(self, seen: int, new: int) -> None:
        """Called for each photo that was looked for."""
        now = time.monotonic()
        if now - self._shown_at >= (_LIVE_EVERY if self._live else _PLAIN_EVERY):
            self._shown_at = now
            self._draw(f"{pluralize(seen, 'photo')}, {new:,} downloaded")

    def line(self, now: float, progress: ConversionProgress) -> str:
        """`12,300 images  3 skipped  41%  480/s  left 2 min`."""
        began, first = self._began or (now, progress)
        seconds, done = now - began, progress.share - first.share
        parts = [pluralize(progress.images, "image")]
        parts += [f"{progress.skipped:,} skipped"] if progress.skipped else []
        parts.append(f"{progress.share:.0%}")
        if seconds > 0:
            parts.append(f"{(progress.images - first.images) / seconds:,.0f}/s")
        if done > 0:
            parts.append(f"left {format_duration(seconds * (1 - progress.share) / done)}")
        return "  ".join(parts)

    def say(self, line: str) -> None:
        """A line of its own."""
        self.end()
        self._write(f"{printable(line)}\n")

    def end(self) -> None:
        """Leaves the line that is drawn anew."""
        if self._drawn:
            self._write("\r\033[K")
            self._drawn = False

    def _draw(self, line: str) -> None:
        self._write(f"\r\033[K{line}" if self._live else f"{line}\n")
        self._drawn = self._live

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads it any more


def closing(done: ConversionResult, seconds: float) -> list[str]:
    """How it ended, in numbers."""
    parts = f" in {pluralize(done.parts, 'part')}" if done.parts > 1 else ""
    size = f"{done.bytes / 1e6:,.1f} MB" if done.bytes < 1e9 else f"{done.bytes / 1e9:,.2f} GB"
    each = f", {done.bytes / done.images / 1000:,.1f} kB each" if done.images else ""
    lines = [f"{pluralize(done.images, 'image')}{parts}, {size}{each}; {done.skipped:,} skipped"]
    if done.new:
        lines.append(f"{done.new:,} of them now, {done.new / max(seconds, 1e-9):,.0f}/s")
    else:
        lines.append("Nothing to do: it is all there already.")
    lines.append(f"Files: {', '.join(map(str, done.files))}")
    return lines


def as_json(done: ConversionResult) -> dict[str, object]:
    """The same for programs."""
    return {**done._asdict(), "files": [str(file) for file in done.files]}


# FOLDED from image_commands.py:
# The command that makes image stores: convert. Thin, as those in cli.py.
