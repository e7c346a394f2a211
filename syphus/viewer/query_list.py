"""A page of the list of queries, as fast for millions of rows as for a few.

Rows come from the source that leaves the fewest of them to look at: an index of the ledger for states and reasons, the
viewer's own index for texts, rules, models and sessions, otherwise the order of the input. What the source does not
know is checked row by row, for a limited time: then the page says how much was searched, and where to continue.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from syphus.ledger.parts import marks
from syphus.ledger.store import Columns, Store
from syphus.viewer.query_filter import Cursor, Key, Order, PageRequest, QueryFilter, Text
from syphus.viewer.query_images import listed_images
from syphus.viewer.query_sources import choose_source
from syphus.viewer.side_index import SideIndex

_SECONDS = 0.06  #: that a page may search
_CHUNK, _LARGEST_CHUNK = 64, 512  #: rows that are looked at at once
_ANNOTATION, _DETAIL = 300, 1000  #: characters that are shown


class QueryPage(NamedTuple):
    """Rows of a list as JSON values, and where the pages beside it begin."""

    rows: list[dict[str, object]]
    next: Cursor | None
    previous: Cursor | None
    searched: float | None  #: the share that was searched, None if that is all

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        places = {
            name: None if each is None else str(each)
            for name, each in (("next", self.next), ("previous", self.previous))
        }
        return {"rows": self.rows, **places, **({} if self.searched is None else {"searched": self.searched})}


def read_page(
    store: Store, request: PageRequest, side: SideIndex, clock: Callable[[], float] = time.monotonic
) -> QueryPage:
    """Return a page of the list of queries."""
    wanted = request.wanted
    order, source = choose_source(store, wanted, side, request.cursor)
    until = clock() + _SECONDS
    key = request.cursor.key if request.cursor is not None and request.cursor.order is order else None
    found: list[tuple[Key, Columns]] = []
    size, ended = max(_CHUNK, request.limit + 1), False
    while not ended and len(found) <= request.limit:
        batch = source(key, request.backwards, size)
        if batch.keys:
            rows = _matching(store, wanted, order, batch.keys)
            found += [(each, rows[each.n]) for each in batch.keys if each.n in rows]
        key, ended = batch.last or key, batch.ended
        size = min(2 * size, _LARGEST_CHUNK)
        if clock() > until:
            break
    return _page(store, request, order, found, key, ended)


def _page(
    store: Store, request: PageRequest, order: Order, found: list[tuple[Key, Columns]], key: Key | None, ended: bool
) -> QueryPage:
    shown = found[: request.limit]
    more = len(found) > request.limit
    cut = not ended and not more  # time was up: continue after the last row that was looked at
    beyond = shown[-1][0] if more else key if cut else None
    first = shown[0][0] if shown else None
    here = request.cursor.key if request.cursor is not None else None
    back = first if first is not None else here
    ahead = Cursor(order, beyond) if beyond is not None else None
    behind = Cursor(order, back) if request.cursor is not None and back is not None else None
    if request.backwards:
        shown.reverse()
        ahead, behind = behind, ahead
    searched = _share(store, request.wanted, order, key) if cut else None
    return QueryPage(_as_json(store, request.wanted, [row for _, row in shown]), ahead, behind, searched)


def _share(store: Store, wanted: QueryFilter, order: Order, key: Key | None) -> float:
    """Return about how much of all rows lies before a key."""
    if key is None:
        return 0.0
    last = {
        Order.POSITION: "SELECT max(position) FROM query WHERE stage = ?",
        Order.ANSWER: "SELECT max(n) FROM answer WHERE ?",
        Order.RULE: "SELECT max(n) FROM query WHERE ?",
        Order.TEXT: "SELECT max(n) FROM query WHERE ?",
    }[order]
    most = store.read_value(last, wanted.stage if order is Order.POSITION else True) or 1
    share = min(1.0, key.number / most)
    return round((key.phase + share) / 2 if order in (Order.RULE, Order.TEXT) else share, 3)


# Checks

_ROW = (
    "SELECT query.n, id, position, {state}, {reason}, query.pairs, attempts, {used}, query.answer, {detail} "
    # `+` lets SQLite look the rows up by number: it would go through all rows of the stage instead
    "FROM query {parts} {answers} WHERE query.n IN ({marks}) AND +stage = ? AND +position IS NOT NULL {where}"
)


def _matching(store: Store, wanted: QueryFilter, order: Order, keys: Sequence[Key]) -> dict[int, Columns]:
    """Return the rows of some keys that fit, by the number of the query. The keys are of one phase."""
    where, values = _conditions(wanted)
    own = (
        ("part.state", "part.reason", "part.asked", "part.detail")
        if wanted.language
        else ("query.state", "query.reason", "used", "''")
    )
    select = _ROW.format(
        **dict(zip(("state", "reason", "used", "detail"), own, strict=True)),
        parts="JOIN part ON part.n = query.n AND part.name = ?" if wanted.language else "",
        answers="JOIN answer ON answer.n = query.answer" if wanted.model or wanted.session is not None else "",
        marks=marks(keys),
        where=where,
    )
    first = [wanted.language] if wanted.language else []
    rows = store.read(select, *first, *(key.n for key in keys), wanted.stage, *values)
    found = {row[0]: row for row in rows}
    if wanted.rule and found:
        found = {n: found[n] for n in _with_rule(store, wanted.rule, list(found))}
    if wanted.text.terms and found:
        found = {n: found[n] for n in _with_text(store, wanted.text, order, keys[0].phase, found)}
    return found


def _conditions(wanted: QueryFilter) -> tuple[str, list[object]]:
    table = "part" if wanted.language else "query"
    where, values = [""], list[object]()
    if wanted.states:
        where.append(f"{table}.state IN ({marks(wanted.states)})")
        values += map(str, wanted.states)
    if wanted.reason:
        where.append(f"instr(lower({table}.reason), ?)")
        values.append(wanted.reason.lower())
    if wanted.model:
        where.append("answer.model = ?")
        values.append(wanted.model)
    if wanted.session is not None:
        where.append("answer.session = ?")
        values.append(wanted.session)
    return " AND ".join(where), values


def _with_rule(store: Store, rule: str, numbers: Sequence[int]) -> set[int]:
    """Return the queries that a rule has repaired, or rejected an answer of."""
    places = marks(numbers)
    rows = store.read(
        f"SELECT n FROM result, json_each(repairs) WHERE n IN ({places}) AND repairs <> '{{}}' AND key = ? "
        f"UNION SELECT n FROM query WHERE n IN ({places}) AND +state = 'invalid' AND (reason = ? OR EXISTS "
        "(SELECT 1 FROM result WHERE result.n = query.n AND instr(char(10) || detail, char(10) || ?)))",
        *(*numbers, rule, *numbers, rule, rule),
    )
    found = {n for (n,) in rows}
    if store.has_table("earlier"):  # older ledgers have none
        earlier = store.read(f"SELECT n FROM earlier WHERE n IN ({places}) AND reason = ?", *numbers, rule)
        found |= {n for (n,) in earlier}
    return found


def _with_text(store: Store, text: Text, order: Order, phase: int, found: Mapping[int, Columns]) -> set[int]:
    """Return the queries whose annotation or newest answer has the text.

    A list in the order of texts has annotations first: a query is left out among the answers if its annotation matches.
    """
    patterns = text.patterns()
    numbers = list(found)
    texts = store.read(f"SELECT n, text FROM annotation WHERE n IN ({marks(numbers)})", *numbers)
    by_annotation = {n for n, annotation in texts if _has(patterns, f"{found[n][1]} {annotation}")}
    if order is Order.TEXT and phase == 0:
        return by_annotation
    answers = {row[8] for n, row in found.items() if row[8] is not None and n not in by_annotation}
    rows = store.read(f"SELECT n, text, refusal FROM answer WHERE n IN ({marks([*answers])})", *answers)
    fitting = {answer for answer, words, refusal in rows if _has(patterns, f"{words} {refusal}")}
    by_answer = {n for n, row in found.items() if row[8] in fitting and n not in by_annotation}
    return by_answer if order is Order.TEXT else by_annotation | by_answer


def _has(patterns: Sequence[re.Pattern[str]], text: str) -> bool:
    return all(pattern.search(text) for pattern in patterns)


# Rows


def _as_json(store: Store, wanted: QueryFilter, rows: Sequence[Columns]) -> list[dict[str, object]]:
    numbers = [row[0] for row in rows]
    places = marks(numbers)
    texts = {
        n: (text, image_ids)
        for n, text, image_ids in store.read(
            f"SELECT n, substr(text, 1, {_ANNOTATION}), image_ids FROM annotation WHERE n IN ({places})",
            *numbers,
        )
    }
    details: dict[int, str] = dict(
        store.read(f"SELECT n, substr(detail, 1, {_DETAIL}) FROM result WHERE n IN ({places})", *numbers)
    )
    answers = [row[8] for row in rows if row[8] is not None]
    models: dict[int, str] = dict(store.read(f"SELECT n, model FROM answer WHERE n IN ({marks(answers)})", *answers))
    images = listed_images(store, {n: image_ids for n, (_, image_ids) in texts.items()})
    return [
        {
            "n": row[0],
            "id": row[1],
            "position": row[2],
            "state": row[3],
            "reason": row[4],
            "pairs": row[5],
            "attempts": row[6],
            "used": row[7],
            "detail": row[9] or ("" if wanted.language else details.get(row[0], "")),
            "model": models.get(row[8], ""),
            "annotation": texts[row[0]][0] if row[0] in texts else "",
            "images": images.get(row[0], []),
        }
        for row in rows
    ]
