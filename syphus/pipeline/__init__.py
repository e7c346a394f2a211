"""The one loop that every stage runs on, and its parts.

engine.py       puts the loop together, runs it, listens for Ctrl-C
loop.py         a row's way from the ledger to its outcome
stage.py        what the loop asks of a stage
feed.py         the next row: those whose wait is over, then fresh ones
gate.py         where calls wait until they may go
caller.py       one call, and who hears of it
retry.py        how often, and how long to wait
writer.py       commits in groups
an endpoint as the loop sees it:
lane.py         everything that holds a call back from it
limits.py       requests and tokens a minute
concurrency.py  calls in flight, where no limits are stated
outage.py       whether it is down
counting:
budget.py       money and requests
estimate.py     tokens, before they are known
tally.py        what happened in this session
time:
clock.py        seconds that the process was awake
deadlines.py    the end of an attempt
"""
