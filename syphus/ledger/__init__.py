"""The ledger of a run: one SQLite file with every answer that was paid for and the outcome of every query.

It is the only source of truth. Every other file of a run can be deleted and written again from it.

backup.py         a consistent copy of a ledger, also while a run writes
batches.py        stages whose queries are batches: of parts to retry, and of texts that need vectors
control_desk.py   where people leave changes for a run that is working
controls.py       the settings that were changed while a run worked
inputs.py         registers the input: new, changed and removed rows
judged.py         what a judge is asked about pairs, and which pairs it has found bad
parts.py          parts of a query with their own outcome, such as the languages that a pair is translated into
records.py        answers, outcomes and spending: what the loop writes and reads back
relations.py      how pairs are related, and the nearest pairs of each pair
results.py        accepted pairs and their conversations, rejected answers, single queries with all details
reviewed.py       the decisions of reviewers beside the pairs of today, and how far reviewers agree
reviews.py        what people decided about pairs: `reviews.jsonl`, beside the ledger
schema.py         the tables, and what older ledgers lack of them
serialization.py  pairs and images as JSON
sessions.py       starts and ends of the command, their settings, and small facts about the run
shards.py         the shards of the Batch API, and what became of each line
store.py          the file: opening, migrating, locking, and errors of the disk
summary.py        counts of queries, parts, requests and tokens
"""
