"""What people see and type.

app.py         the commands
cold_start.py  the commands that try prompts
commands.py    the commands besides the main job
mimicit.py     the commands about MIMIC-IT files
parameters.py  from the fields of `Options` to options on the command line, for every command that takes them
streams.py     stdout and stderr, in whatever state they are
summary.py     the sentences that people read after a run, and about one
"""

from syphus.cli.app import app, main, main_job

__all__ = ["app", "main", "main_job"]
