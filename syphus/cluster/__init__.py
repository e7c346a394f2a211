"""Beyond one machine and one process: limits and a budget that several runs share, and the nodes of a Ray cluster.

gate.py            the gate of all keys: who may send how much, as a state machine without clock, network or disk
gate_client.py     the way to a gate behind an address
gate_folder.py     a gate in a folder of this host
gate_server.py     `syphus gate`: a gate behind an address
key_gate.py        the gate of one key: fair shares of its limits, pauses, requests in flight
lease_holder.py    what a client may send, by the leases that it has got
messages.py        what a run and a gate say to each other, and the way between them
ray_connection.py  connects to a Ray cluster, and checks its nodes
ray_convert.py     decodes the images of `convert` on the nodes of a cluster
ray_fleet.py       sends requests from the nodes of a cluster
ray_head.py        notices that the head of a cluster is gone, before Ray ends the process
ray_lanes.py       the driver's end of one worker: requests go in messages, results come back
ray_worker.py      the worker on a node: prepares images, sends, and keeps replies until they were taken
run_sharing.py     one run's part: it asks for leases while a stage works
shared_bucket.py   one limit per minute, which follows what the server states to any of the runs
shared_budget.py   the dollars and the requests that all runs may spend together, also after a crash of the gate
"""
