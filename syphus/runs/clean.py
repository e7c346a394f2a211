"""Clean a run again: judge every stored answer with today's parser, rules and plugin. No request is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from syphus.config.secrets import SecretRedactor
from syphus.endpoints.request import RequestBuilder
from syphus.errors import RunError
from syphus.formats.report import Report, make_report
from syphus.ledger.judged import bad_pairs
from syphus.ledger.records import Records, Row, StoredAnswer
from syphus.ledger.relations import stored_choice
from syphus.ledger.sessions import last_settings, set_meta
from syphus.ledger.store import Store, open_for_reading, open_for_writing
from syphus.pipeline.observer import Observer
from syphus.pipeline.stage import PluginFaultError, Stage
from syphus.plugins.contract import structured_form
from syphus.plugins.discovery import LoadedPlugin, find_plugin
from syphus.plugins.legacy import ORIGINAL_MESSAGES, original_messages
from syphus.plugins.prompts import PromptTemplate
from syphus.runs.generate import GenerateStage, GenerationContext, parser_digest
from syphus.runs.outputs import invalidate_exports, invalidate_pairs, write_exports
from syphus.runs.packed_generate import PackedGenerateStage
from syphus.runs.run_settings import STRUCTURED, stored_prices
from syphus.types import Message, Outcome

PARSER_META = f"{GenerateStage.name} parser"  #: meta: a digest of the code that judged the answers


class CleaningResult(NamedTuple):
    """The reports of a run before and after, how many queries changed outcome, and the run's files."""

    before: Report
    after: Report
    changed: int
    files: tuple[str, ...]


def clean_run(folder: Path, datasets_dir: Iterable[Path], observer: Observer) -> CleaningResult:
    """Judge every answer of the run in `folder` again, and update its files.

    Raises `RunError` if the folder is not a run of a dataset, `PluginError` if the dataset's plugin is not found.
    """
    open_for_reading(folder).close()  # a folder that is not a run must not become one
    store = open_for_writing(folder)
    try:
        settings = last_settings(store, GenerateStage.name)
        if settings is None:
            raise RunError(f"{folder} holds no answers yet.")
        plugin = find_plugin(str(settings["dataset"]), datasets_dir)
        return _clean(store, plugin, settings, observer)
    finally:
        store.close()


def parser_version(plugin: LoadedPlugin, short_name: str) -> str:
    """Return the version of the judging code as the ledger stores it, with the pairs' name if it is not the default."""
    digest = parser_digest(plugin.path)
    return digest if short_name == plugin.cls.short_name else f"{digest} {short_name}"


def rejudge_run(store: Store, stage: GenerateStage, plugin: LoadedPlugin, short_name: str, observer: Observer) -> int:
    """Judge every answer of a run again; return how many queries changed outcome. Commits."""
    invalidate_pairs(store)
    invalidate_exports(store)
    changed = rejudge(store, Records(store, GenerateStage.name, session=0), stage, observer.reading)
    set_meta(store, PARSER_META, parser_version(plugin, short_name))
    store.commit()
    return changed


def rejudge(store: Store, records: Records, stage: Stage, tick: Callable[[int], None]) -> int:
    """Judge the newest answer of every query that has an outcome; return how many outcomes changed. Commits.

    Pairs that a query brought along are judged like an answer. `tick` gets the number of answers read so far.
    """
    changed = 0
    for read, (row, old, answer) in enumerate(records.answered_rows(), 1):
        try:
            outcome = _judge(stage, row, answer)
        except PluginFaultError as fault:
            outcome = fault.outcome
        if outcome != old:
            counted = f"{old.reason}\n{old.detail}"  # holds the rules that already count as rejections of this query
            rejected_by = tuple(rule for rule in outcome.rejected_by if rule not in counted)
            records.replace_outcome(row.n, replace(outcome, rejected_by=rejected_by))
            changed += 1
        if read % 1000 == 0:
            tick(read)
    store.commit()
    return changed


def rejudge_queries(store: Store, stage: GenerateStage, numbers: Sequence[int]) -> int:
    """Judge the newest answers of queries with these numbers again; return how many outcomes changed. Commits."""
    if not numbers:
        return 0
    records, changed = Records(store, stage.name, session=0, only=frozenset(numbers)), 0
    for row, old, answer in records.answered_rows():
        outcome = _judge(stage, row, answer)
        if outcome != old:
            records.replace_outcome(row.n, outcome)
            changed += 1
    if changed:
        invalidate_pairs(store)
        invalidate_exports(store)
    store.commit()
    return changed


def _judge(stage: Stage, row: Row, answer: StoredAnswer | None) -> Outcome:
    if answer is not None:
        return stage.judge(row, answer.completion).outcome
    outcome = stage.request(row, None)
    assert isinstance(outcome, Outcome), "a row with its own pairs needs no request"
    return outcome


def _clean(store: Store, plugin: LoadedPlugin, settings: Mapping[str, object], observer: Observer) -> CleaningResult:
    template = _stored_template(settings)
    before = make_report(store, GenerateStage.name, stored_prices(store))
    with original_messages(ORIGINAL_MESSAGES in settings):
        dataset, choice = plugin.create(), stored_choice(store)
    if choice is not None:
        dataset.short_name = choice.short_name
    context = GenerationContext(
        dataset=dataset,
        template=template,
        request_builder=RequestBuilder("", {}),  # nothing is sent
        redactor=SecretRedactor(),
        form=structured_form(dataset, STRUCTURED in settings),
        rejected_pairs=bad_pairs(store),
    )
    changed = rejudge_run(store, PackedGenerateStage(context, store), plugin, dataset.short_name, observer)
    after = make_report(store, GenerateStage.name, stored_prices(store))
    return CleaningResult(before, after, changed, write_exports(store, GenerateStage.name, dataset.short_name, after))


def _stored_template(settings: Mapping[str, object]) -> PromptTemplate:
    """Return the prompt that the answers were asked with, as the ledger stores it."""
    text = settings["prompt_text"]
    assert isinstance(text, dict)
    turns = [Message(role=turn["role"], content=turn["content"]) for turn in text["in_context"]]
    return PromptTemplate(str(text["system_message"]), tuple(turns))
