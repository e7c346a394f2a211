"""Draw the pictures of the README from real runs: `python docs/make_pictures.py [FOLDER [NAME...]]`.

That of the viewer needs chromium.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

from paint_lakes import paint_lakes
from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from syphus import new_dataset
from syphus.simulator import Simulation, serve_in_thread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from viewing import viewing  # noqa: E402 - from the tests

COMMAND = ["main.py", "--name", "SpotTheDifference.change", "--example", "--offline"]
RUN = Path("output", "SpotTheDifference.change", "v1")
WIDTH = 118  #: columns of the terminal
ROWS, SHOWN = 24, "lake_005"  #: of the run in the viewer, and the query on the picture
SIZE, COLOURS = (1280, 800), 256  #: of that picture


def main(folder: Path, names: Sequence[str] = ()) -> None:
    """Write the pictures with these names, all without any, into `folder`."""
    for name, draw in {"run.svg": _draw_run, "viewer.png": _photograph_viewer}.items():
        if not names or name in names:
            draw(folder)


def _draw_run(folder: Path) -> None:
    """Write run.svg: the command of the main job, what it prints, and the first pair that it made."""
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


def _photograph_viewer(folder: Path) -> None:
    """Write viewer.png: a query of a run over painted images, as a browser shows it."""
    with tempfile.TemporaryDirectory() as empty, chdir(empty):
        table = paint_lakes(Path(), ROWS)
        new_dataset("Lakes", table)
        with serve_in_thread(Simulation(sloppiness=0, poison={"Five birds": "leak_phrase"})) as endpoint:
            environment = {**os.environ, "OPENAI_BASE_URL": f"{endpoint.url}/v1", "OPENAI_API_KEY": "none"}
            command = [
                sys.executable,
                str(ROOT / "main.py"),
                "--name",
                "Lakes.lakes",
                "--model",
                "gpt-6-luna",
                "--quiet",
            ]
            done = subprocess.run([*command, "--with-images", "--images", "photos"], env=environment, check=False)
            assert done.returncode == 1  # some rows have no pairs
        with viewing(Path("output"), cache=Path("cache")) as seen:
            picture = _screenshot(seen.address, f"runs/{seen.key}")
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(folder / "viewer.png", optimize=True)


def _screenshot(address: str, run: str) -> bytes:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(address)
        page.goto(f"{address.partition('?')[0]}{run}/queries")
        page.get_by_role("link", name=SHOWN).click()
        page.locator("h1", has_text=SHOWN).wait_for()
        page.locator("main img").first.evaluate("image => image.decode()")
        page.mouse.move(0, 0)
        return page.screenshot()


def _show(terminal: Console, command: str, output: str) -> None:
    terminal.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    terminal.print(Text(output.rstrip()))
    terminal.print()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures", sys.argv[2:])
