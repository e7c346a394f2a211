"""A ledger of a million made-up queries, and a run that goes on writing into it: what `viewer.py` measures with."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

from syphus.exchange import Completion, Usage
from syphus.ledger.records import Entry, NewAnswer, Records
from syphus.ledger.schema import WITHOUT_TALLIES, Pace
from syphus.ledger.sessions import RequestCounts, begin_session, end_session
from syphus.ledger.store import FILE, open_for_writing
from syphus.types import Outcome, Pair, State

_BATCH = 5000
MODELS = ("gpt-6-luna", "gpt-6.1-terra", "gpt-6.1-sol")
RULES = ("talks about the annotation", "an answer is a question", "two questions are alike", "placeholder")
_REPAIRS = ("end mark", "number before a question", "markup")
_SYLLABLES = ("ka", "lo", "mi", "ter", "an", "ves", "ri", "do", "pel", "su", "nor", "ha", "eth", "quo", "bi", "gra")
_QUERY = (
    "INSERT INTO query (n, stage, id, position, digest, checked, state, used, attempts, answer, reason, pairs, seq) "
    "VALUES (?, 'generate', ?, ?, x'00', 1, ?, ?, ?, ?, ?, ?, ?)"
)
_ANSWER = (
    "INSERT INTO answer (n, key, sample, text, finish_reason, refusal, flags, model, response_id, prompt_tokens, "
    "completion_tokens, cached_tokens, reasoning_tokens, estimated, seconds, session, cache_write_tokens, "
    "service_tier, regional) VALUES (?, randomblob(16), 0, ?, 'stop', '', '[]', ?, 'id', 2000, 900, 1500, 0, 0, "
    "2.5, ?, 0, '', 0)"
)


class Words:
    """Made-up texts: sentences of 30,000 words, a few of which are frequent."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        draw = self._random
        words = ["".join(draw.choices(_SYLLABLES, k=draw.randint(2, 4))) for _ in range(30_000)]
        weights = list(itertools.accumulate(1 / rank for rank in range(1, len(words) + 1)))
        self.words = words
        self._sentences = [
            " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(8, 22))).capitalize() + "."
            for _ in range(20_000)
        ]

    def text(self, size: int) -> str:
        """Return a text of about so many characters."""
        return " ".join(self._random.choices(self._sentences, k=max(1, size // 105)))


def _rows(first: int, last: int, rows: int, words: Words, pending: float) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """Yield query, annotation, answer and result of each row from `first` to before `last`."""
    draw = random.Random(first)
    for n in range(first, last):
        annotation = (n, words.text(2600), f'["X_IMG_{n}"]', "{}", "", "[]")
        if n > rows * (1 - pending):
            yield (n, f"row_{n}", n - 1, "pending", 0, 0, None, "", 0, None), annotation, (), ()
            continue
        chance = draw.random()
        state, reason = "ok", ""
        if chance < 0.01:
            state, reason = "invalid", draw.choice(RULES)
        elif chance < 0.015:
            state, reason = "refused", "content filter on the prompt (violence: high)"
        elif chance < 0.018:
            state, reason = "truncated", "cut off at max_tokens"
        elif chance < 0.0181:
            state, reason = "failed", "image: missing"
        model = MODELS[0 if chance < 0.97 else 1 if chance < 0.999 else 2]
        pairs = [[f"X_INS_{n}_{i}", words.text(105), words.text(900), []] for i in range(3)] if state == "ok" else []
        text = "\n\n".join(f"Question: {pair[1]}\nAnswer: {pair[2]}" for pair in pairs) or words.text(3000)
        repairs = json.dumps({draw.choice(_REPAIRS): 1}) if draw.random() < 0.05 else "{}"
        session = 1 + 5 * n // rows
        yield (
            (n, f"row_{n}", n - 1, state, 1, 1, n, reason, len(pairs), n),
            annotation,
            (n, text, model, session),
            (n, json.dumps(pairs), f"{reason} (answer 1: {text[20:60]})" if state == "invalid" else "", repairs),
        )


def make_ledger(folder: Path, rows: int, pending: float) -> None:
    """Make the ledger of a run that has a share of its rows left."""
    began = time.monotonic()
    store = open_for_writing(folder)
    for number in range(5):
        session = begin_session(store, "generate", _settings(), 64, "api.openai.com", time.time() - 1e5 + 1e4 * number)
        end_session(store, session, "", 9000.0, time.time() - 1e5 + 1e4 * number + 9000)
    store.close()
    words = Words(1)
    with closing(sqlite3.connect(folder / FILE)) as ledger:
        ledger.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; DROP INDEX query_outcome")
        ledger.executescript("; ".join(WITHOUT_TALLIES))
        for first in range(1, rows + 1, _BATCH):
            made = list(_rows(first, min(first + _BATCH, rows + 1), rows, words, pending))
            ledger.executemany(_QUERY, [row[0] for row in made])
            ledger.executemany("INSERT INTO annotation VALUES (?, ?, ?, ?, ?, ?)", [row[1] for row in made])
            ledger.executemany(_ANSWER, [row[2] for row in made if row[2]])
            ledger.executemany("INSERT INTO result VALUES (?, ?, ?, ?)", [row[3] for row in made if row[3]])
            ledger.commit()
    print(f"made {rows:,} rows, {(folder / FILE).stat().st_size / 1e9:.1f} GB, in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    open_for_writing(folder).close()
    print(f"counters and index of outcomes, once, when it is opened for writing: {time.monotonic() - began:.1f} s")


def _settings() -> dict[str, object]:
    prompt = {"system_message": "You write questions.", "in_context": []}
    return {"dataset": "X.x", "model": MODELS[0], "simulated": False, "max_tokens": 3200, "prompt_text": prompt}


# A run that works meanwhile


class Writing(NamedTuple):
    """What a working run has done: rows, CPU seconds, the largest log."""

    rows: int
    cpu: float
    wal: int


def _work(folder: Path, pace: float, most: int, stop: Event, done: Any) -> None:
    """Write outcomes as a run does, a dozen in a commit, up to `pace` rows a second."""
    store = open_for_writing(folder)
    session = begin_session(store, "generate", _settings(), 64, "api.openai.com", time.time())
    records = Records(store, "generate", session)
    words, wal, began, count = Words(2), 0, time.monotonic(), 0
    texts = [words.text(3000) for _ in range(200)]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    for row in records.pending():
        count += 1
        pairs = tuple(Pair("What is it?", texts[(count + i) % 200][:900], f"X_{row.n}_{i}") for i in range(3))
        completion = Completion(texts[count % 200], "stop", MODELS[0], Usage(2000, 900, 1500))
        answer = NewAnswer(records.next_answer_number(), os.urandom(16), 0, completion, 2.5)
        records.write(Entry(row, Outcome(State.OK, pairs), 1, answer))
        if count % 12 == 0:
            records.note_pace(Pace(12, 12, time.time()))
            records.write_request_counts(RequestCounts())
            records.move_bill()
            store.commit()
            wal = max(wal, (folder / f"{FILE}-wal").stat().st_size)
            time.sleep(max(0.0, began + count / pace - time.monotonic()))
            if stop.is_set() or count >= most:
                break
    now = resource.getrusage(resource.RUSAGE_SELF)
    done.put(Writing(count, now.ru_utime + now.ru_stime - usage.ru_utime - usage.ru_stime, wal))
    store.commit()
    end_session(store, session, "", time.monotonic() - began, time.time())
    store.close()


@contextmanager
def working(folder: Path, pace: float, most: int = 10**9) -> Iterator[Any]:
    """Let a run work meanwhile; it gives a queue with a `Writing` at the end."""
    stop = multiprocessing.Event()
    done: multiprocessing.SimpleQueue[Writing] = multiprocessing.SimpleQueue()
    worker = multiprocessing.Process(target=_work, args=(folder, pace, most, stop, done))
    worker.start()
    try:
        yield done
    finally:
        stop.set()
        worker.join()
