"""The command line: options in, text out.

`app.py` and `commands.py` declare the commands, and are all that `--help` loads. They import the other modules, which
load what the commands work with, in the functions that need them.

app.py               the main job and its helpers: datasets, preview, clean, simulate; `--help`, errors, exit codes
closing_table.py     how the main job ends on a terminal, and what people read about a translation
commands.py          the other commands
export_commands.py   the commands that send pairs on: export, push
gate_command.py      `gate`: limits that runs on several hosts share
mimicit.py           the output of `verify`, `mix`, `stats` and `convert`
parameters.py        command-line options from the fields of `Options`, in groups; --quiet, --verbose and --log-file
pipeline_commands.py `run`: several commands in a row, from one file
quality_commands.py  `balance`: choosing a subset of pairs
run_commands.py      the commands that look at a run: status, rows, failures, runs; and try
snapshot_commands.py continuing a run, also from a snapshot: resume, snapshot
streams.py           stdout and stderr, in any state
summary.py           what people read about a run, a translation, a conversion and a preview
usage.py             what is wrong with a command line, and the remedy
viewer_commands.py   the commands that open a page on a run, or change it while it works: view, control
"""

from syphus.cli.app import app, main, main_job

__all__ = ["app", "main", "main_job"]
