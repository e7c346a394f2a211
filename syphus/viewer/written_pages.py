"""What the pages of the viewer look like as files: markup of the objects that its API sends. No script is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from syphus.answers.translation import LANGUAGES
from syphus.formats.html_page import Child, Html, card, join, meter, more, prose, table, tag
from syphus.text import SIMULATED_NOTICE, format_tokens, pluralize
from syphus.types import State
from syphus.viewer.page_parts import (
    Json,
    about,
    chip,
    date,
    facts,
    images_hint,
    marked,
    money,
    notice,
    pictures,
    plain,
    state_bar,
    state_chip,
    stats,
    took,
    why,
)


class WrittenPage(NamedTuple):
    """A page as a file has it."""

    title: str
    note: str
    body: list[Child]
    wide: bool = False


def overview_page(run: Json) -> WrittenPage:
    """The numbers of a run."""
    counts, sums = run["counts"], run["money"]
    done = f"{run['total'] - counts['pending']:,} of {pluralize(run['total'], 'row')} done"
    limit = f"of {money(sums['limit'])}" if sums["limit"] else "no limit"
    figures = [
        ("Pairs", f"{run['pairs']:,}", f"{run['pairs'] / counts['ok']:.1f} a row" if counts["ok"] else ""),
        ("Spent", money(sums["spent"]), limit),
        ("Requests", f"{run['requests']['made']:,}", ""),
        ("Prompt read from cache", f"{run['prompt_cache_share']:.1%}", ""),
    ]
    body: list[Child] = [
        _simulated(run),
        card("", state_bar(counts)),
        stats(figures),
        tag("div", {"class": "grid"}, _money(sums), _tokens(run["tokens"])),
        _table_card("Why rows have no pairs", ("reason", "state", "rows"), map(_reason, run["reasons"]), 2),
        _table_card("Requests without an answer", ("cause", "requests"), map(_error, run["errors"]), 1),
        _table_card("Sessions", ("started", "stage", "threads", "took", "ended by"), map(_session, run["sessions"])),
        tag("div", {"class": "grid"}, card("Settings", plain(run["settings"])), _prompt(run["prompt"])),
    ]
    return WrittenPage(run["name"], f"{done} · {date(run['at'])}", body)


def _simulated(run: Json) -> Html | None:
    return notice("", SIMULATED_NOTICE) if run["simulated"] else None


def _money(sums: Json) -> Html:
    rows: list[tuple[str, Child]] = [
        ("Spent", money(sums["spent"])),
        ("Reserved for requests in flight", money(sums["reserved"])),
        ("Perhaps billed without an answer", money(sums["maybe_billed"])),
        ("Limit", money(sums["limit"]) if sums["limit"] else "none"),
    ]
    part = (sums["spent"] or 0) / sums["limit"] if sums["limit"] else None
    bar = tag("p", {"class": "budget"}, meter(part), f"{part:.1%} of the budget") if part is not None else None
    return card("Money", facts(rows, sums=True), bar)


def _tokens(tokens: Json) -> Html:
    names = {"input": "Input", "cached": "of it read from cache", "cache_write": "of it written to cache"}
    names |= {"output": "Output", "reasoning": "of it reasoning"}
    return card("Tokens", facts([(label, format_tokens(tokens[name])) for name, label in names.items()], sums=True))


def _table_card(title: str, heads: tuple[str, ...], rows: Iterable[list[Child]], first_number: int = 99) -> Html | None:
    found = list(rows)
    return card(title, table(heads, found, title, first_number)) if found else None


def _reason(each: Json) -> list[Child]:
    hint = tag("span", {"class": "hint line"}, each["hint"]) if each.get("hint") else None
    return [join(each["reason"], hint), state_chip(each["state"]), each["rows"]]


def _error(each: Json) -> list[Child]:
    hint = tag("span", {"class": "hint line"}, each["hint"]) if each.get("hint") else None
    return [join(each["cause"], hint), each["requests"]]


def _session(each: Json) -> list[Child]:
    ended = "no end" if each["ended"] is None else each["stopped"] or "done"
    return [date(each["started"]), each["stage"], each["threads"], took(each["seconds"]), ended]


def _prompt(prompt: Json) -> Html:
    turns = [_message(each) for each in prompt["examples"]]
    examples = more(pluralize(len(turns), "message"), tag("div", {"class": "list"}, turns)) if turns else None
    return card("Prompt", prose(prompt["system"] or "no system message", mono=True), examples)


def _message(message: Json) -> Html:
    content = message.get("content")
    shown = prose(content, mono=True) if isinstance(content, str) else plain(content)
    return tag("article", {"class": "message"}, tag("h3", None, str(message.get("role", ""))), shown)


def queries_page(found: Json, filters: str) -> WrittenPage:
    """A list of queries."""
    rows = [_query_line(each) for each in found["rows"]]
    shown = pluralize(len(rows), "query", "queries") + (", more follow" if found.get("next") else "")
    note = f"{shown} · {filters}" if filters else shown
    return WrittenPage("Queries", note, [tag("ol", {"class": "rows"}, rows) if rows else _nothing()])


def _query_line(row: Json) -> Html:
    return tag(
        "li",
        {"class": "line"},
        tag("b", {"class": "cover"}, row["id"]),
        state_chip(row["state"]),
        tag("p", {"class": "snippet", "dir": "auto"}, row["annotation"]),
        about(why(row["reason"], row["detail"]), pluralize(row["pairs"], "pair")),
    )


def query_page(query: Json) -> WrittenPage:
    """One query with all its answers."""
    reason = why(query["reason"], query["detail"])
    answers = [_answer(each) for each in query["answers"]]
    pairs = [pair_article(each) for each in query["pairs"]]
    messages = [_turn(each) for each in query["messages"]]
    left = [
        images_hint([query]),
        pictures(query["images"], large=True),
        card(
            "Annotation",
            prose(query["annotation"]),
            more("Fields of the row", plain(query["meta"])) if query["meta"] else None,
        ),
    ]
    right = [
        card(pluralize(len(pairs), "pair"), tag("div", {"class": "list"}, pairs)) if pairs else None,
        card(pluralize(len(answers), "answer"), tag("div", {"class": "list"}, answers)),
        card("", more(f"The exact {pluralize(len(messages), 'message')}", tag("div", {"class": "list"}, messages))),
    ]
    body: list[Child] = [
        notice("warn", reason) if reason and query["state"] != "ok" else None,
        tag("div", {"class": "split"}, tag("div", {"class": "stack"}, left), tag("div", {"class": "stack"}, right)),
    ]
    return WrittenPage(query["id"], query["state"], body, wide=True)


def _answer(answer: Json) -> Html:
    verdict, tokens = answer["verdict"], answer["tokens"]
    return tag(
        "article",
        {"class": "stack tight"},
        about(
            state_chip(verdict["state"]) if verdict["state"] not in ("", "ok") else None,
            why(verdict["reason"], verdict["detail"]),
        ),
        notice("warn", f"Refused: {answer['refusal']}") if answer.get("refusal") else None,
        marked(answer["text"], answer["marks"]),
        about(
            answer["model"],
            f"ended by {answer['finish_reason']}" if answer["finish_reason"] else None,
            f"{format_tokens(tokens['input'])} in, {format_tokens(tokens['output'])} out",
            money(answer["cost"]),
            took(answer["seconds"]),
        ),
    )


def _turn(message: Json) -> Html:
    parts = [
        # The picture is above already; the file need not carry it twice.
        tag("p", {"class": "note"}, f"picture {part['image'] + 1}")
        if "image" in part
        else prose(part["text"], mono=True)
        for part in message["content"]
    ]
    return tag("article", {"class": "message"}, tag("h3", None, message["role"]), parts)


def pair_article(pair: Json) -> Html:
    """A pair with its translations, and what reviewers decided about it."""
    translations = [_translation(code, each) for code, each in (pair.get("translations") or {}).items()]
    review = pair.get("review") or {}
    verdicts = [f"{who}: {verdict}" for who, verdict in (review.get("verdicts") or {}).items()]
    return tag(
        "article",
        {"class": "pair"},
        prose(pair["instruction"], "h3"),
        prose(pair["answer"], "p"),
        tag("div", {"class": "translations"}, translations) if translations else None,
        about(pair["id"], chip(str(review["state"])) if review.get("state") else None, ", ".join(verdicts)),
    )


def _translation(code: str, each: Json) -> Html:
    name = LANGUAGES[code].name if code in LANGUAGES else code
    state = state_chip(each["state"]) if each.get("state") not in (None, "", "ok") else None
    texts = [prose(each[part], "p", lang=code) for part in ("instruction", "answer") if each.get(part)]
    return tag(
        "div", {"class": "box", "lang": code}, about(tag("b", {"lang": "en"}, name), state, each.get("reason")), texts
    )


def pairs_page(found: Json, filters: str) -> WrittenPage:
    """Pairs beside their images."""
    cards = [card("", pictures(each.get("images") or []), pair_article(each)) for each in found["pairs"]]
    shown = pluralize(len(cards), "pair") + (", more follow" if found.get("next") else "")
    note = f"{shown} · {filters}" if filters else shown
    return WrittenPage(
        "Pairs",
        note,
        [images_hint(found["pairs"]), tag("div", {"class": "grid"}, cards) if cards else _nothing()],
        wide=True,
    )


def _nothing() -> Html:
    return tag("div", {"class": "empty"}, tag("p", None, "Nothing matches."))


def report_page(title: str, value: Json) -> WrittenPage:
    """A page of numbers, lists and texts of any shape: the statistics, the translations, what rules are worth."""
    scalars, others = _split(value)
    body: list[Child] = [card("", facts((_words(name), plain(each)) for name, each in scalars))] if scalars else []
    body += [card(_words(name).capitalize(), _render(each)) for name, each in others]
    return WrittenPage(title, "", body or [_nothing()], wide=True)


def _render(value: object) -> Child:
    if isinstance(value, Mapping):
        return _render_object(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _render_list(value)
    return plain(value)


def _render_object(value: Json) -> Html:
    if set(value) == {state.value for state in State}:
        return state_bar(value)
    if isinstance(value.get("instruction"), str) and isinstance(value.get("answer"), str):
        return tag(
            "div", {"class": "pair", "dir": "auto"}, prose(value["instruction"], "b"), prose(value["answer"], "p")
        )
    scalars, others = _split(value)
    parts = [tag("div", None, tag("h3", None, _words(name)), _render(each)) for name, each in others]
    return tag("div", {"class": "stack"}, facts((_words(name), plain(each)) for name, each in scalars), parts)


def _render_list(values: Sequence[Any]) -> Child:
    if values and all(isinstance(each, Mapping) and not _split(each)[1] for each in values):
        names = list(dict.fromkeys(name for each in values for name in each))
        rows = [[plain(each.get(name)) for name in names] for each in values]
        first = next((at for at, name in enumerate(names) if isinstance(values[0].get(name), int | float)), len(names))
        return table([_words(name) for name in names], rows, "Table", first)
    return tag("div", {"class": "list"}, [tag("div", None, _render(each)) for each in values])


def _split(value: Json) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Return the entries of an object that are single values, and those that hold more. Empty ones are left out."""
    filled = [(name, each) for name, each in value.items() if each not in (None, "", [], {})]
    many = [(name, each) for name, each in filled if isinstance(each, Mapping | list)]
    return [entry for entry in filled if entry not in many], many


def _words(name: str) -> str:
    return name.replace("_", " ")
