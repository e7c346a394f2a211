"""The loop that takes each row to its outcome, for every stage, and the parts of that loop.

admission.py        holds each request back until the limits and the budget allow it
breaker.py          stops a run whose answers get worse by more than chance
budget.py           the money and the requests that a run may spend, and the estimate of a request's tokens
canary.py           tells an endpoint that is down from rows that it always refuses
concurrency.py      starts the workers, and adapts the number of requests where a server states no limits
deadlines.py        the timeout of a request, from the latencies so far, by a clock that does not count sleep
drift_test.py       whether a share has risen during a run, with a known rate of false alarms
endpoint_state.py   the state of one endpoint: limits, requests in flight, pauses, health
engine.py           runs a stage: builds the loop, handles Ctrl-C
failures.py         decides whether a failure is that of its row or of the endpoint
health.py           detects that an endpoint is down, and that the first answers all fail alike
hedging.py          sends a second request for the last rows if the first takes long
loop.py             takes each row from the ledger to its outcome
observer.py         follows a run from outside, and stops it
parameters.py       learns which fields of a request an endpoint does not accept, and keeps that
progress_lines.py   the progress of a stage as text, in one line or fitted to a terminal
prompt_caches.py    chooses the keys under which a server finds the shared prefix of requests in its cache
rate_limits.py      token buckets for requests per minute and tokens per minute
retry.py            how often a row that failed is retried, and the waits before that
run_control.py      changes threads, limits, budget and pause while a stage works
sender.py           sends one request and records its result
session_context.py  what the parts of a session share: stage, ledger, counters, limits, clock
sharing.py          how limits and a budget that several runs share are plugged in
stage.py            what a stage implements
stage_run.py        a stage and what it is run with
work_queue.py       the queue that the workers take rows from
writer.py           writes results to the ledger, several in one commit
"""
