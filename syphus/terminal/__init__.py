"""What people see and type.

command_line.py  options on the command line, from the fields of `Options`
telling.py       the sentences before and after a run
progress.py      what is shown while it works
meter.py         how far, how fast, what it waits for
simulate.py      the simulated endpoint as a command
"""
