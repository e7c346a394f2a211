"""What people see and type.

command_line.py  options on the command line, from the fields of `Options`
telling.py       the sentences after a run, and about one
corpus.py        the same about MIMIC-IT files
progress.py      what is shown while it works
meter.py         how far, how fast, what it waits for
streams.py       stdout and stderr, in whatever state they are
simulate.py      the simulated endpoint as a command
"""
