"""What people see and type.

command_line.py     options on the command line, from the fields of `Options`
corpus_commands.py  verify, mix and stats
run_commands.py     export and push
image_commands.py   convert
converting.py       how far it is, and what came out
telling.py          the sentences after a run, and about one
showing.py          the messages that would go out
corpus.py           the sentences and tables about MIMIC-IT files
progress.py         what is shown while it works
meter.py            how far, how fast, what it waits for
streams.py          stdout and stderr, in whatever state they are
simulate.py         the simulated endpoint as a command
"""

from syphus.cli.app import app, main, main_job

__all__ = ["app", "main", "main_job"]
