"""The one loop that every stage runs on, and its parts.

admission.py       where calls wait until they may go
budget.py          money and requests
concurrency.py     calls in flight, where no limits are stated
deadlines.py       the end of an attempt
endpoint_state.py  one endpoint as the loop sees it
engine.py          puts the loop together, runs it, listens for Ctrl-C
health.py          whether an endpoint is down
loop.py            a row's way from the ledger to its outcome
rate_limits.py     requests a minute and tokens a minute
retry.py           how often, and how long to wait
sender.py          one call
session_stats.py   what has happened so far in this session
stage.py           what the loop asks of a stage
work_queue.py      where workers get their next row
writer.py          commits in groups
"""
