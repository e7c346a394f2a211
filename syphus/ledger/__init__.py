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

batches.py        A stage whose queries are batches of parts of another stage
inputs.py         registering the input
parts.py          parts of a query that have an outcome each, such as the languages that a pair is translated into
reasons.py        the reasons of outcomes that code acts on, in the spelling that ledgers hold
records.py        answers, outcomes and spending
relations.py      how the pairs of a run are related
results.py        what a run has to show
serialization.py  pairs as the ledger keeps them
sessions.py       the starts and ends of the command over one run, the settings they worked with, and small facts abou
store.py          the ledger's file
summary.py        counts of a run, from the ledger alone
"""
