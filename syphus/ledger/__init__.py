"""The ledger: one SQLite file a run, which holds every answer that was ever paid for and the outcome of every query.

It is the only truth. Every other file of a run can be deleted and written again from it.

    store.py      the file: opening, schema, the lock, the one place where storage faults are named
    sessions.py   starts and ends of the command, and the settings that they worked with
    inputs.py     registering the input: what is new, what has changed, what has gone
    pictures.py   the images of a query: where they are, what they were
    records.py    answers, outcomes, spending: what the loop writes and reads
    vectors.py    batches of texts, and their vectors
    relations.py  how pairs are related, and the nearest of each
    temporary.py  a database that keeps nothing, for what is too much for the memory
    summary.py    counts, for people and for report.json
"""
