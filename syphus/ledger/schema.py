"""The tables of the ledger, and what older ledgers lack of them."""

from __future__ import annotations

FORMAT = 1  #: incremented when the meaning of the tables changes
LARGE_PROMPT = 16_000  #: tokens; the price of no model depends on whether a prompt is smaller than this or much smaller

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- what requests were made with: prompt, model, parameters; one row per run, and one more for each accepted change
CREATE TABLE spec (id INTEGER PRIMARY KEY, created REAL NOT NULL, settings TEXT NOT NULL UNIQUE);

-- one start of a stage; if it never ended, up to `threads` requests were open
CREATE TABLE session (
    id INTEGER PRIMARY KEY, stage TEXT NOT NULL, spec INTEGER NOT NULL, started REAL NOT NULL, ended REAL,
    threads INTEGER NOT NULL, endpoint TEXT NOT NULL, version TEXT NOT NULL, stopped TEXT NOT NULL DEFAULT '',
    seconds REAL NOT NULL DEFAULT 0);

-- the state of each query of each stage. Narrow, so that a million rows are counted in a moment.
-- `used` answers were spent on it, `opened` of them before it was last reopened by hand
CREATE TABLE query (
    n INTEGER PRIMARY KEY, stage TEXT NOT NULL, id TEXT NOT NULL, position INTEGER, digest BLOB NOT NULL,
    checked INTEGER NOT NULL, changed INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'pending',
    used INTEGER NOT NULL DEFAULT 0, opened INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    answer INTEGER,
    reason TEXT NOT NULL DEFAULT '', pairs INTEGER NOT NULL DEFAULT 0, seq INTEGER, UNIQUE (id, stage));
CREATE INDEX query_position ON query (stage, position);
CREATE INDEX query_pending ON query (stage, position) WHERE state = 'pending';

-- the content of a query, from the plugin; `ready` are pairs that the input already had
CREATE TABLE annotation (
    n INTEGER PRIMARY KEY, text TEXT NOT NULL, image_ids TEXT NOT NULL, meta TEXT NOT NULL, problem TEXT NOT NULL,
    ready TEXT NOT NULL);

-- its result: the pairs as [[id, instruction, answer, related], ...], the details of a reason, and how often each rule
-- repaired something, as {rule: times}
CREATE TABLE result (n INTEGER PRIMARY KEY, pairs TEXT NOT NULL, detail TEXT NOT NULL, repairs TEXT NOT NULL);

-- how many answers each rule rejected, including answers that were then replaced by a retry
CREATE TABLE rejection (
    session INTEGER NOT NULL, rule TEXT NOT NULL, answers INTEGER NOT NULL, PRIMARY KEY (session, rule)) WITHOUT ROWID;

-- every answer that was paid for, by the hash of the exact request
CREATE TABLE answer (
    n INTEGER PRIMARY KEY, key BLOB NOT NULL, sample INTEGER NOT NULL, text TEXT NOT NULL, finish_reason TEXT NOT NULL,
    refusal TEXT NOT NULL, flags TEXT NOT NULL, model TEXT NOT NULL, response_id TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL, estimated INTEGER NOT NULL, seconds REAL NOT NULL, session INTEGER NOT NULL);
-- and the columns of `LATER_COLUMNS`
CREATE UNIQUE INDEX answer_key ON answer (key, sample);

-- requests of a session by their outcome; `unknown_tokens` may have been billed although no answer came
CREATE TABLE attempt (
    session INTEGER NOT NULL, cause TEXT NOT NULL, requests INTEGER NOT NULL, maybe_billed INTEGER NOT NULL,
    unknown_tokens INTEGER NOT NULL, PRIMARY KEY (session, cause)) WITHOUT ROWID;
"""

#: Tables that older ledgers lack; they get them when they are opened for writing.
LATER_SCHEMA = """
-- the images that are sent with a query: a JSON array of their paths and properties, never the images themselves
CREATE TABLE IF NOT EXISTS picture (n INTEGER PRIMARY KEY, images TEXT NOT NULL);

-- relations between pairs of different queries: for each pair of a query the ids of the nearest, as [[id, ...], ...]
CREATE TABLE IF NOT EXISTS nearest (n INTEGER PRIMARY KEY, related TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS earlier (n INTEGER, answer INTEGER, reason TEXT, PRIMARY KEY (n, answer)) WITHOUT ROWID;
-- the parts of queries, by name: `asked` answers were judged for it, `opened` of them before it was last reopened by
-- hand; `text` is its text in the newest answer, and `answer` the number of that answer
CREATE TABLE IF NOT EXISTS part (
    n INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, asked INTEGER NOT NULL, opened INTEGER NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, text TEXT NOT NULL, answer INTEGER,
    PRIMARY KEY (n, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS part_open ON part (name, n) WHERE state = 'pending';

-- what the parts cost: the tokens of an answer are divided among the parts that it was asked for. `prompt_size` are
-- the prompt tokens of each request if they may change its price, or else 0
CREATE TABLE IF NOT EXISTS part_spending (
    session INTEGER NOT NULL, name TEXT NOT NULL, model TEXT NOT NULL, asked INTEGER NOT NULL,
    prompt_tokens REAL NOT NULL, cached_tokens REAL NOT NULL, completion_tokens REAL NOT NULL,
    cache_write_tokens REAL NOT NULL, service_tier TEXT NOT NULL, regional INTEGER NOT NULL,
    prompt_size INTEGER NOT NULL,
    PRIMARY KEY (session, name, model, service_tier, regional, prompt_size)) WITHOUT ROWID;
"""
ENDPOINT_SCHEMA = """
-- the endpoints that have been asked, by the names that people see
CREATE {temp} TABLE IF NOT EXISTS endpoint (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- the requests of a session to each endpoint by their result; `kind` is answered, limited, refused or failed
CREATE {temp} TABLE IF NOT EXISTS endpoint_request (
    session INTEGER NOT NULL, endpoint INTEGER NOT NULL, cause TEXT NOT NULL, kind TEXT NOT NULL,
    requests INTEGER NOT NULL, PRIMARY KEY (session, endpoint, cause, kind)) WITHOUT ROWID;

-- the sums of the answers of a session by endpoint and by all that their price depends on, so that a report need not
-- look at each answer; `seconds` are those of all its requests together
CREATE {temp} TABLE IF NOT EXISTS endpoint_answer (
    session INTEGER NOT NULL, endpoint INTEGER NOT NULL, model TEXT NOT NULL, service_tier TEXT NOT NULL,
    regional INTEGER NOT NULL, prompt_size INTEGER NOT NULL, answers INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (session, endpoint, model, service_tier, regional, prompt_size)) WITHOUT ROWID;

-- how many answers took about 2^(step / 8) seconds
CREATE {temp} TABLE IF NOT EXISTS endpoint_latency (
    session INTEGER NOT NULL, endpoint INTEGER NOT NULL, step INTEGER NOT NULL, answers INTEGER NOT NULL,
    PRIMARY KEY (session, endpoint, step)) WITHOUT ROWID;
"""

#: Fills these tables of an older ledger from its answers and requests; it does not know which endpoint gave which.
SUM_ENDPOINTS = f"""
INSERT INTO endpoint_answer SELECT session, 0, model, service_tier, regional, iif(prompt_tokens > {LARGE_PROMPT},
    prompt_tokens, 0), count(*), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(reasoning_tokens),
    sum(estimated), sum(cache_write_tokens), sum(seconds) FROM answer GROUP BY 1, 3, 4, 5, 6;
INSERT INTO endpoint_request SELECT session, 0, cause, iif(cause = 'answered', cause, 'failed'), requests FROM attempt;
"""

#: Gives the table of older ledgers, whose key has fewer columns, the new form.
NEW_PART_SPENDING = (
    "ALTER TABLE part_spending RENAME TO old_part_spending;",
    "INSERT INTO part_spending SELECT *, 0, '', 0, 0 FROM old_part_spending; DROP TABLE old_part_spending;",
)
PART_COLUMNS = {"cache_write_tokens": "0", "service_tier": "''", "regional": "0", "prompt_size": "0"}

#: Columns that older ledgers lack, by table. `service_tier` is the one that served an answer, `regional` says that its
#: endpoint processes data in one region; `unknown_cost` are the dollars that requests without an answer, and answers
#: without a usage, may have cost beyond what is known (NULL in sessions of before); `reserved` are the most dollars
#: that were reserved at once for requests in flight. `served_by` is the number of the endpoint that gave an answer, 0
#: in sessions of before.
LATER_COLUMNS = {
    "answer": {
        "cache_write_tokens": ("INTEGER NOT NULL", "0"),
        "service_tier": ("TEXT NOT NULL", "''"),
        "regional": ("INTEGER NOT NULL", "0"),
        "served_by": ("INTEGER NOT NULL", "0"),
    },
    "attempt": {"unknown_cost": ("REAL", "NULL")},
    "session": {"reserved": ("REAL", "NULL")},
}
