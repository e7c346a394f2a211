"""`kill -9` of `convert` at random moments, and the same command again.

    python benchmarks/convert_kills.py [50]

Stills go in turns into a folder of small parts and into one file. Each round is killed once, at a moment drawn from a
seed, and resumed; it is exact where all files have the same bytes as without a kill. Rounds that ended before their
kill do not count.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common import ROOT, measured, table
from convert import make_stills

STILLS = 400


def digest(folder: Path) -> str:
    """Of all files in a folder, hidden ones too."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(f.relative_to(folder)).encode() + f.read_bytes() for f in files)).hexdigest()


def command(media: Path, output: Path) -> Sequence[str]:
    given = ["--name", "CocoSpotTheDifference.change", "--image_path", str(media), "--output", str(output)]
    return [sys.executable, str(ROOT / "main.py"), "convert", *given, "--part_mb", "1"]


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 50
    rng = random.Random(0)
    exact = killed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        media = make_stills(folder / "photos", STILLS)
        wanted, seconds = {}, {}
        for name in ("CGD", "CGD.parquet"):
            seconds[name] = measured(command(media, folder / f"calm_{name}" / name)).seconds
            wanted[name] = digest(folder / f"calm_{name}")
        number = 0
        while killed < rounds:
            number += 1
            name = ("CGD", "CGD.parquet")[number % 2]
            start = command(media, folder / str(number) / name)
            process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(rng.uniform(0.2, seconds[name]))
                continue  # it had ended before
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            killed += 1
            done = measured(start)
            exact += done.exit_code == 0 and digest(folder / str(number)) == wanted[name]
    table([("kills", "exact"), (str(killed), str(exact))])


if __name__ == "__main__":
    main()
