"""The tables of parts (`parts.py`), which ledgers of before do not have."""

#: Made in every ledger that is opened for writing and has not got them yet.
TABLES = """
-- the parts of queries, by name: `asked` answers were judged for it, `opened` of them before it was last asked anew by
-- hand; `text` is what the newest one has of it, and `answer` its number
CREATE TABLE IF NOT EXISTS part (
    n INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, asked INTEGER NOT NULL, opened INTEGER NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, text TEXT NOT NULL, answer INTEGER,
    PRIMARY KEY (n, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS part_open ON part (name, n) WHERE state = 'pending';

-- what the parts have cost: the tokens of an answer are shared by those that it was asked for
CREATE TABLE IF NOT EXISTS part_spending (
    session INTEGER NOT NULL, name TEXT NOT NULL, model TEXT NOT NULL, asked INTEGER NOT NULL,
    prompt_tokens REAL NOT NULL, cached_tokens REAL NOT NULL, completion_tokens REAL NOT NULL,
    PRIMARY KEY (session, name, model)) WITHOUT ROWID;
"""
