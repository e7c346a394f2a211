"""Beyond one machine and one process: rate limits and a budget that several runs share.

gate.py           the gate of all keys: who may send how much, as a state machine without clock, network or disk
key_gate.py       the gate of one key: fair shares of its limits, pauses, requests in flight
lease_holder.py   what a client may send, by the leases that it has got
messages.py       what a run and a gate say to each other
shared_bucket.py  one limit per minute, which follows what the server states to any of the runs
shared_budget.py  the dollars and the requests that all runs may spend together
"""
