"""The pages about translation, statistics and a cold start as files: markup of the objects that the API sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syphus.formats.html_page import Child, Html, card, join, meter, more, prose, table, tag
from syphus.text import SIMULATED_NOTICE, pluralize
from syphus.viewer.page_parts import Json, chip, facts, money, notice, state_bar, state_chip, stats
from syphus.viewer.written_pages import WrittenPage

_CHARTS = {
    "pairs_per_query": "Pairs per query",
    "question_words": "Words per question",
    "answer_words": "Words per answer",
    "annotation_words": "Words per annotation",
    "images_per_query": "Images per query",
}


def statistics_page(found: Json) -> WrittenPage:
    """How many pairs, words and images a run has."""
    counted = pluralize(found["counted"], "query", "queries")
    note = f"Over {counted} that are ok" if found["is_exact"] else f"Over an even sample of {counted} that are ok"
    counts = {label: found["distributions"][name] for name, label in _CHARTS.items()}
    figures = [
        ("Pairs", f"{found['pairs']:,}", ""),
        *(
            (label, f"{each['mean']:.1f}", f"median {each['median']:,}, at most {each['max']:,}")
            for label, each in counts.items()
        ),
    ]
    charts = [_bars(label, each["bars"]) for label, each in counts.items() if len(each["bars"]) > 1]
    openings = _bars("First words of questions", found["openings"]) if found["openings"] else None
    body: list[Child] = [card("", state_bar(found["states"])), stats(figures), tag("div", {"class": "grid"}, charts)]
    return WrittenPage("Statistics", note, [*body, openings])


def _bars(label: str, bars: Sequence[Any]) -> Html:
    """Return a chart as a table: a label, a bar and a number in each line."""
    most = max((each["value"] for each in bars), default=1) or 1
    rows = [(each["label"], meter(each["value"] / most), f"{each['value']:,}") for each in bars]
    return card(label, table(("", "", ""), rows, label, first_number=2))


def translation_page(found: Json) -> WrittenPage:
    """Translations by language: numbers, reasons, a judge's verdicts, and a sample beside the source."""
    heads = ("language", "pairs", "pending", "rejected", "retried", "tokens a pair", "cost a pair")
    rows = [_language_row(each) for each in found["languages"]]
    languages = pluralize(len(rows), "language")
    body: list[Child] = [card("", table(heads, rows, "Languages", first_number=1)), *map(_language, found["languages"])]
    return WrittenPage("Translation", f"{pluralize(found['pairs'], 'pair')} in {languages}", body)


def _language_row(each: Json) -> Sequence[Child]:
    states, ok = each["states"], each["states"]["ok"]
    rejected = sum(count for state, count in states.items() if state not in ("ok", "pending"))
    tokens = f"{(each['tokens']['input'] + each['tokens']['output']) / ok:,.0f}" if ok else "-"
    cost = money(each["cost"] / ok) if ok and each["cost"] is not None else "-"
    return (_name(each), *(f"{n:,}" for n in (ok, states["pending"], rejected, each["retried"])), tokens, cost)


def _name(each: Json) -> Html:
    return join(each["name"], " (", tag("span", {"lang": each["code"], "dir": "auto"}, each["own_name"]), ")")


def _language(each: Json) -> Html:
    reasons = [(state_chip(why["state"]), why["reason"], f"{why['pairs']:,}") for why in each["reasons"]]
    judged = each["judged"]
    counts = {"good": judged["good"], **judged["bad"]} if judged else {}
    verdicts = [(name, f"{count:,}") for name, count in counts.items()]
    return tag(
        "section",
        {"class": "section stack"},
        tag("h2", None, _name(each)),
        card("", state_bar(each["states"])),
        card("Why translations were rejected", table(("state", "reason", "pairs"), reasons, "Reasons", 2))
        if reasons
        else None,
        card("Judged by a model", facts(verdicts, sums=True), _beside(each, judged["shown"])) if judged else None,
        card("A sample", _beside(each, each["sample"])),
    )


def _beside(each: Json, pairs: Sequence[Any]) -> Html:
    direction = "rtl" if each["rtl"] else "ltr"
    rows: list[Html] = []
    for pair in pairs:
        why = f" · {pair['fault']}: {pair['reason']}" if pair.get("fault") else ""
        source = tag("td", {"lang": "en", "dir": "ltr"}, _texts(pair["source"]))
        translated = tag("td", {"lang": each["code"], "dir": direction}, _texts(pair["translation"]))
        rows += [
            tag("tr", None, tag("td", {"class": "id", "colspan": "2"}, pair["id"], why)),
            tag("tr", None, source, translated),
        ]
    return tag("table", {"class": "beside"}, rows)


def _texts(pair: Json) -> Html:
    return join(tag("p", {"class": "instruction"}, pair["instruction"]), tag("p", None, pair["answer"]))


def cold_start_page(found: Json) -> WrittenPage:
    """What a cold start has found: its proof, its rounds, the set, and all candidates."""
    record, result = found["record"], found["result"]
    if record is None and result is None:
        return WrittenPage("Cold start", "", [notice("", "This run began without a search for examples.")])
    note = f"{record['state']}, {pluralize(record['requests'], 'request')}" if record else ""
    body: list[Child] = [notice("", SIMULATED_NOTICE) if result and result["simulated"] else None]
    if record and record["asked"]:
        mean, low, high = record["gain"]
        body.append(stats([
            ("Examples", f"{record['examples']:,}", ""),
            ("Held-out answers", f"{record['asked']:,}", ""),
            ("Valid with the set", f"{record['valid_share']:.1%}", f"{record['plain_share']:.1%} without"),
            ("Score with the set", f"{record['score']:.2f}", ""),
            ("Gain", f"{mean:.2f}", f"95% interval {low:.2f} to {high:.2f}"),
        ]))  # fmt: skip
    for title in ("missing", "advice"):
        if record and record[title]:
            body.append(card(title.capitalize(), tag("ul", None, [tag("li", None, each) for each in record[title]])))
    if result:
        body.append(card("The set", *(_candidate(each) for each in result["examples"])))
        body += [
            more(f"Round {each['round']}: {pluralize(len(each['candidates']), 'candidate')}",
                 *(_candidate(one) for one in each["candidates"]))
            for each in result["rounds"]
        ]  # fmt: skip
    return WrittenPage("Cold start", note, body)


def _candidate(each: Json) -> Html:
    pairs = [
        tag(
            "div", {"class": "pair"}, tag("p", {"class": "instruction"}, one["question"]), tag("p", None, one["answer"])
        )
        for one in each["pairs"]
    ]
    scores = [(name.replace("_", " "), f"{score:.2f}") for name, score in each["scores"].items()]
    fate = chip(each["fate"]) if "fate" in each else None
    head = tag(
        "p", None, tag("b", None, each["query"]), " ", state_chip(each["state"]), " ", fate, f" {each['score']:.2f}"
    )
    reason = tag("p", {"class": "note"}, each["reason"]) if each["reason"] else None
    return tag("article", {"class": "stack"}, head, reason, prose(each["annotation"]), *pairs, facts(scores, sums=True))
