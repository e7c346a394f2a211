"""Writes docs/commands.md from the command line itself: `python docs/make_commands.py`.

With `--check` it writes nothing, and fails where the file is not up to date; tests/test_docs.py does that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import typer.main
from typer.core import TyperArgument, TyperGroup, TyperOption

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "commands.md"

sys.path.insert(0, str(ROOT))

from syphus.cli.app import app, main_job  # noqa: E402 - it is found only now
from syphus.config.options import Options  # noqa: E402
from syphus.simulator.settings import describe_settings  # noqa: E402

_BEGINNING = """\
<!-- Written by docs/make_commands.py from the command line itself. Change the help texts there, not here. -->

# Commands

`python main.py` in a checkout is the same as `syphus` where it is installed. Without a command it is the main job:

    python main.py --name YourDataset.your_dataset --num_threads 64

`python -m syphus` is the same, too. Every option can be spelt with dashes or with underscores (`--num-threads`,
`--num_threads`), and has the same name in every command. Put the options of a command after it. Results go to stdout
and everything else to stderr; `--json` prints as JSON what people get as text. A command that fails says why in one
line, and ends with an exit code that [files.md](files.md#exit-codes) lists.

Commands that work long take `--quiet`, `--verbose` and `--log-file`. A log file gets all lines, with their times, also
if `--quiet` shows none. `NO_COLOR` in the environment switches colours off, `FORCE_COLOR` switches them on where the
output is no terminal.

`syphus --install-completion` installs completion of commands and options for your shell (bash, zsh, fish, PowerShell);
`syphus --show-completion` prints it instead.
"""


def page() -> str:
    """The whole file."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    shared = set(Options.__dataclass_fields__)
    parts = [_BEGINNING, _section("The main job", main_job.__doc__, _table(group.params))]
    for name, command in sorted(group.commands.items()):
        takes_all = shared <= {each.name for each in command.params}
        own = [each for each in command.params if not takes_all or each.name not in shared]
        text = _table(own) + ("\nAnd every option of the main job.\n" if takes_all else "")
        if name == "simulate":
            text += "\n```text\n" + "\n".join(describe_settings()) + "\n```\n"
        parts.append(_section(f"`{name}`", command.help, text))
    return "\n".join(parts)


def _section(title: str, about: str | None, text: str) -> str:
    return f"## {title}\n\n{' '.join((about or '').split())}\n\n{text}"


def _table(parameters: Iterable[object]) -> str:
    rows = [_row(each) for each in parameters if isinstance(each, TyperOption | TyperArgument)]
    return "| | default | |\n|---|---|---|\n" + "".join(rows)


def _row(each: TyperOption | TyperArgument) -> str:
    is_option = isinstance(each, TyperOption)
    names = [f"{name} {each.metavar or ''}".rstrip() for name in each.opts] if is_option else [str(each.metavar)]
    said = isinstance(each.default, int | float | str | Path) and not isinstance(each.default, bool)
    default = f"`{each.default}`" if said and str(each.default) not in ("", ".") else ""
    return f"| {', '.join(f'`{name}`' for name in names)} | {default} | {each.help} |\n"


def main() -> int:
    """Writes the file, or checks it."""
    text = page()
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text, encoding="utf-8")
        return 0
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{FILE.name} is not up to date: run python docs/make_commands.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
