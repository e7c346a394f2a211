"""The tables of the ledger, and what older ledgers lack of them.

The ledger keeps counters of its own tables, so that a report on millions of rows takes milliseconds:

`tally` counts queries, pairs and repairs. Triggers keep it, in the transaction that changes a row: so it is exact after
`kill -9`, and whatever code changes a row. It is one small table, since each page that a commit touches costs as much
as a row. `bill` adds up the tokens of all answers up to the number `BILLED` in the meta table. Answers never change,
so the loop moves that number on every few hundred answers, and a report adds the few that came since. `pace` counts
answers and outcomes every ten seconds, for the rate of a working run.

An older ledger gets its counters when it is opened for writing. One that is open for reading only gets views that
count.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

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
-- queries by outcome, so that a few rows of one reason are found at once among millions. Those that wait are not in it:
-- `query_pending` has them, and registering the input does not fill two indexes
CREATE INDEX IF NOT EXISTS query_outcome ON query (stage, state, reason, position) WHERE state <> 'pending';

-- the images that are sent with a query: a JSON array of their paths and properties, never the images themselves
CREATE TABLE IF NOT EXISTS picture (n INTEGER PRIMARY KEY, images TEXT NOT NULL);

-- relations between pairs of different queries: for each pair of a query the ids of the nearest, as [[id, ...], ...]
CREATE TABLE IF NOT EXISTS nearest (n INTEGER PRIMARY KEY, related TEXT NOT NULL);

-- pairs that a judge has found bad, by a hash of annotation and texts, with the fault
CREATE TABLE IF NOT EXISTS bad_pair (key BLOB PRIMARY KEY, fault TEXT NOT NULL) WITHOUT ROWID;

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
BATCH_SCHEMA = """
-- the shards of the Batch API: times are seconds since the epoch; `reserved` are the most dollars that it may cost,
-- `tokens` an estimate of its prompts; `sent_at` is when its newest creation was sent; `answered` and what follows
-- count its lines once it is settled
CREATE {temp} TABLE IF NOT EXISTS shard (
    id INTEGER PRIMARY KEY, stage TEXT NOT NULL, session INTEGER NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL,
    fingerprint TEXT NOT NULL, state TEXT NOT NULL, lines INTEGER NOT NULL, bytes INTEGER NOT NULL,
    tokens REAL NOT NULL, reserved REAL NOT NULL, reserved_at REAL NOT NULL, uploaded_at REAL, sent_at REAL,
    created_at REAL, ended_at REAL, settled_at REAL, file_id TEXT NOT NULL DEFAULT '',
    batch_id TEXT NOT NULL DEFAULT '', output_file TEXT NOT NULL DEFAULT '', error_file TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT '', seen_at REAL, answered INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, missing INTEGER NOT NULL DEFAULT 0, doubled INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0, problem TEXT NOT NULL DEFAULT '');

-- the lines of shards: `state` is a `LineState`, `row` the number of the query, `bound` the most dollars that it may
-- cost, `form` the form that it asks for, `reply` an error that no pass has met yet
CREATE {temp} TABLE IF NOT EXISTS shard_line (
    key BLOB NOT NULL, sample INTEGER NOT NULL, shard INTEGER NOT NULL, row INTEGER NOT NULL, state INTEGER NOT NULL,
    bound REAL NOT NULL, form TEXT NOT NULL, reply BLOB, PRIMARY KEY (key, sample, shard)) WITHOUT ROWID;
"""
#: Finds the rows that wait for a shard, and the lines of one.
BATCH_INDEXES = """
CREATE INDEX IF NOT EXISTS shard_line_open ON shard_line (row) WHERE state = 0;
CREATE INDEX IF NOT EXISTS shard_line_shard ON shard_line (shard);
"""
ENDPOINT_SCHEMA = """
-- the endpoints that have been asked, by the names that people see
CREATE {temp} TABLE IF NOT EXISTS endpoint (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- the requests of a session to each endpoint by their result; `kind` is answered, limited, refused or failed
CREATE {temp} TABLE IF NOT EXISTS endpoint_request (
    session INTEGER NOT NULL, endpoint INTEGER NOT NULL, cause TEXT NOT NULL, kind TEXT NOT NULL,
    requests INTEGER NOT NULL, PRIMARY KEY (session, endpoint, cause, kind)) WITHOUT ROWID;

-- how many answers took about 2^(step / 8) seconds
CREATE {temp} TABLE IF NOT EXISTS endpoint_latency (
    session INTEGER NOT NULL, endpoint INTEGER NOT NULL, step INTEGER NOT NULL, answers INTEGER NOT NULL,
    PRIMARY KEY (session, endpoint, step)) WITHOUT ROWID;
"""

CONTROL_SCHEMA = """
-- what people have changed while a session worked: settings by name, with their values before and after as JSON.
-- `request` is the id of the request that asked for it; with a `problem`, nothing was changed
CREATE {temp} TABLE IF NOT EXISTS control (
    n INTEGER PRIMARY KEY, request TEXT NOT NULL, session INTEGER NOT NULL, at REAL NOT NULL, who TEXT NOT NULL,
    name TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, problem TEXT NOT NULL);
"""

#: Fills these tables of an older ledger from its requests; it does not know which endpoint was asked.
SUM_ENDPOINTS = """
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
#: in sessions of before. `controls` are the settings of a session that can be changed while it works, as JSON: those of
#: its command, and those in force (NULL in sessions of before).
LATER_COLUMNS = {
    "answer": {
        "cache_write_tokens": ("INTEGER NOT NULL", "0"),
        "service_tier": ("TEXT NOT NULL", "''"),
        "regional": ("INTEGER NOT NULL", "0"),
        "served_by": ("INTEGER NOT NULL", "0"),
    },
    "attempt": {"unknown_cost": ("REAL", "NULL")},
    "session": {"reserved": ("REAL", "NULL"), "controls": ("TEXT", "NULL")},
}

PACE_SECONDS = 10  #: of each row of `pace`
BILLED = "billed"  #: in the meta table
BILL_EVERY = 512  #: answers
REPAIR, SHARED = "repair", "shared"  #: kinds of counters besides the states of queries

_FORM = """CASE WHEN instr(flags, '"json_schema"') THEN 'json_schema'
    WHEN instr(flags, '"json_object"') THEN 'json_object' ELSE 'text' END"""
_BILL_KEY = "session, endpoint, model, service_tier, regional, prompt_size, form"
#: The columns of answers that are added up.
TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "estimated", "cache_write_tokens")
_BILLS = f"""
    SELECT session, served_by AS endpoint, model, service_tier, regional,
        iif(prompt_tokens > {LARGE_PROMPT}, prompt_tokens, 0) AS prompt_size, {_FORM} AS form, count(*) AS answers,
        total(seconds) AS seconds, {", ".join(f"sum({name}) AS {name}" for name in TOKENS)}
    FROM answer WHERE {{}} GROUP BY 1, 2, 3, 4, 5, 6, 7"""
_BILLED = f"(SELECT value FROM meta WHERE name = '{BILLED}')"

#: All answers and their tokens, by session by endpoint, and by all that their price depends on.
BILLS = f"(SELECT * FROM bill UNION ALL {_BILLS.format(f'n > {_BILLED}')}) AS bill"

#: What the counters are, by the tables: for ledgers that have none yet.
COUNTED = {
    "tally": f"""
        SELECT stage, state AS kind, reason AS name, iif(state = 'ok' AND answer IS NOT NULL,
            (SELECT {_FORM} FROM answer WHERE answer.n = query.answer), '') AS form,
            count(*) AS times, sum(pairs) AS pairs
        FROM query WHERE position IS NOT NULL GROUP BY 1, 2, 3, 4
        UNION ALL SELECT stage, '{SHARED}', '', '', count(answer) - count(DISTINCT answer), 0 FROM query
        WHERE position IS NOT NULL GROUP BY stage
        UNION ALL SELECT stage, '{REPAIR}', key, '', sum(value), 0 FROM query JOIN result USING (n), json_each(repairs)
        WHERE position IS NOT NULL AND repairs <> '{{}}' GROUP BY 1, 3""",
    "bill": _BILLS.format("true"),
    "pace": "SELECT 0 AS at, 0 AS answers, 0 AS outcomes, 0.0 AS newest WHERE false",
}

_TABLES = f"""
CREATE TABLE tally (
    stage TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, form TEXT NOT NULL, times INTEGER NOT NULL,
    pairs INTEGER NOT NULL, PRIMARY KEY (stage, kind, name, form)) WITHOUT ROWID;
CREATE TABLE bill (
    session INTEGER NOT NULL, endpoint INTEGER NOT NULL, model TEXT NOT NULL, service_tier TEXT NOT NULL,
    regional INTEGER NOT NULL, prompt_size INTEGER NOT NULL, form TEXT NOT NULL, answers INTEGER NOT NULL,
    seconds REAL NOT NULL,
    {", ".join(f"{name} INTEGER NOT NULL" for name in TOKENS)}, PRIMARY KEY ({_BILL_KEY})) WITHOUT ROWID;
CREATE TABLE pace (at INTEGER PRIMARY KEY, answers INTEGER NOT NULL, outcomes INTEGER NOT NULL, newest REAL NOT NULL);
CREATE INDEX query_answer ON query (answer) WHERE answer IS NOT NULL;
INSERT INTO tally {COUNTED["tally"]};
INSERT INTO bill {COUNTED["bill"]};
INSERT OR REPLACE INTO meta SELECT '{BILLED}', coalesce(max(n), 0) FROM answer;
"""


def _form_of(row: str) -> str:
    return f"iif({row}.state = 'ok', coalesce((SELECT {_FORM} FROM answer WHERE answer.n = {row}.answer), ''), '')"


_ADD = "ON CONFLICT DO UPDATE SET times = times + excluded.times, pairs = pairs + excluded.pairs;"
_OUT = f"""
    UPDATE tally SET times = times - 1, pairs = pairs - OLD.pairs WHERE OLD.position IS NOT NULL
        AND stage = OLD.stage AND kind = OLD.state AND name = OLD.reason AND form = {_form_of("OLD")};"""
_IN = f"""
    INSERT INTO tally SELECT NEW.stage, NEW.state, NEW.reason, {_form_of("NEW")}, 1, NEW.pairs
        WHERE NEW.position IS NOT NULL {_ADD}"""
_MOVED = "(OLD.position IS NULL) <> (NEW.position IS NULL)"


def _share(row: str, times: int) -> str:
    """Return the statement that counts the query of `row` if another one of its stage has the same answer."""
    return f"""
    INSERT INTO tally SELECT {row}.stage, '{SHARED}', '', '', {times}, 0
        WHERE {row}.answer IS NOT NULL AND {row}.position IS NOT NULL AND EXISTS (SELECT 1 FROM query
        WHERE answer = {row}.answer AND stage = {row}.stage AND position IS NOT NULL AND n <> {row}.n) {_ADD}"""


def _repairs(row: str, sign: str, source: str) -> str:
    """Return the statement that counts the repairs in `source`, which is JSON, for the query of `row`."""
    return f"""
    INSERT INTO tally SELECT query.stage, '{REPAIR}', key, '', {sign} value, 0 FROM query, json_each({source})
        WHERE query.n = {row}.n AND position IS NOT NULL {_ADD}"""


_STORED = "(SELECT repairs FROM result WHERE result.n = NEW.n)"
_TRIGGERS = f"""
CREATE TRIGGER query_added AFTER INSERT ON query BEGIN {_IN} END;
CREATE TRIGGER query_counted AFTER UPDATE OF state, reason, pairs, answer, position ON query
    WHEN OLD.state <> NEW.state OR OLD.reason <> NEW.reason OR OLD.pairs <> NEW.pairs OR {_MOVED}
        OR (NEW.state = 'ok' AND OLD.answer IS NOT NEW.answer)
    BEGIN {_OUT} {_IN} END;
CREATE TRIGGER query_removed AFTER DELETE ON query BEGIN {_OUT} {_share("OLD", -1)} END;
CREATE TRIGGER query_shared AFTER UPDATE OF answer, position ON query
    WHEN OLD.answer IS NOT NEW.answer OR {_MOVED} BEGIN {_share("OLD", -1)} {_share("NEW", 1)} END;
-- a result that is replaced fires no trigger for deletions
CREATE TRIGGER result_replaced BEFORE INSERT ON result
    WHEN EXISTS (SELECT 1 FROM result WHERE n = NEW.n AND repairs <> '{{}}') BEGIN {_repairs("NEW", "-", _STORED)} END;
CREATE TRIGGER result_added AFTER INSERT ON result WHEN NEW.repairs <> '{{}}'
    BEGIN {_repairs("NEW", "", "NEW.repairs")} END;
CREATE TRIGGER result_removed AFTER DELETE ON result WHEN OLD.repairs <> '{{}}'
    BEGIN {_repairs("OLD", "-", "OLD.repairs")} END;
CREATE TRIGGER result_moved AFTER UPDATE OF position ON query WHEN {_MOVED} BEGIN
    INSERT INTO tally SELECT NEW.stage, '{REPAIR}', key, '', iif(NEW.position IS NULL, -1, 1) * value, 0
        FROM json_each({_STORED}) WHERE true {_ADD} END;
"""

#: Takes the counters out of a ledger, which then is as one of before.
WITHOUT_TALLIES = (
    *(f"DROP TRIGGER {line.split()[2]}" for line in _TRIGGERS.splitlines() if line.startswith("CREATE TRIGGER")),
    "DROP INDEX query_answer",
    *(f"DROP TABLE {name}" for name in COUNTED),
    f"DELETE FROM meta WHERE name = '{BILLED}'",
)

#: Moves the number of the newest answer in `bill` on, from one number to another.
MOVE_BILL = (
    f"INSERT INTO bill {_BILLS.format('n > ?1 AND n <= ?2')} ON CONFLICT DO UPDATE SET answers = answers + "
    "excluded.answers, seconds = seconds + excluded.seconds, "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in TOKENS)
)
ADD_PACE = (
    "INSERT INTO pace VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET answers = answers + excluded.answers, "
    "outcomes = outcomes + excluded.outcomes, newest = max(newest, excluded.newest)"
)


class Pace(NamedTuple):
    """What arrived in a while."""

    answers: int
    outcomes: int
    now: float  #: seconds since the epoch


def tally_migration(connection: sqlite3.Connection) -> str:
    """Return the statements that give a ledger its counters, or "" if it has them; for a transaction of the caller."""
    return "" if _has_tallies(connection) else f"{_TABLES} {_TRIGGERS}"


def add_tally_views(reader: sqlite3.Connection) -> None:
    """Let a ledger that is open for reading, and has no counters, look as if it had them."""
    if not _has_tallies(reader):
        for name, select in COUNTED.items():
            reader.execute(f"CREATE TEMP VIEW {name} AS {select}")


def _has_tallies(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'tally'").fetchone() is not None
