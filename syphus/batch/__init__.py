"""Requests that are answered by the Batch API, at half the price, instead of one by one.

by_hand.py          the requests as a file for a server that takes files, and its results
creation.py         uploads a shard and creates its batch once, and adopts what a crash left at the server
gather.py           puts the requests of a pass into shards
ingest.py           reads the results of a shard, and writes each of them once
open_batches.py     reports open batches to the user
plan.py             decides what goes by batch and what online, by price, deadline and the times of batches
routes.py           the routes for files and batches, and what their replies mean
run.py              runs a stage by batches, in passes of the loop
shard_lifecycle.py  takes each shard through its states: polls its batch, downloads and settles it
"""
