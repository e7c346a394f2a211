"""Draw the picture of the README from a real run: `python docs/make_pictures.py [FOLDER]`."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
COMMAND = ["main.py", "--name", "SpotTheDifference.change", "--example", "--offline"]
RUN = Path("output", "SpotTheDifference.change", "v1")
WIDTH = 118  #: columns of the terminal


def main(folder: Path) -> None:
    """Write run.svg into `folder`: the command of the main job, what it prints, and the first pair that it made."""
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, ROOT / COMMAND[0], *COMMAND[1:]], cwd=empty, capture_output=True, text=True, check=True
        )
        with (Path(empty) / RUN / "pairs.jsonl").open(encoding="utf-8") as pairs:
            pair = json.loads(pairs.readline())
    terminal = Console(record=True, width=WIDTH, file=io.StringIO())
    _show(terminal, f"python {' '.join(COMMAND)}", done.stderr)
    _show(terminal, f"head -1 {RUN.as_posix()}/pairs.jsonl | python -m json.tool", json.dumps(pair, indent=4))
    svg = terminal.export_svg(title="Syphus", unique_id="syphus")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # a page's picture may load no font
    (folder / "run.svg").write_text(svg, "utf-8")


def _show(terminal: Console, command: str, output: str) -> None:
    terminal.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    terminal.print(Text(output.rstrip()))
    terminal.print()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures")
