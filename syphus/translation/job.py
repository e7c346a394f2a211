"""Translating, from start to end.

find     where the pairs are (place.py), which languages, tone and terms (wanted.py)
open     the ledger: its settings, the pairs as they are now (pairs.py), translations that changed checks judge anew
ask      the rounds (rounds.py), and a judge about a share of what came of them (second_reading.py)
finish   the files (files.py), and the numbers
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from syphus.answers.translation import LANGUAGES, Translatable
from syphus.config.options import Options
from syphus.errors import InterruptError, RunError, StorageError, SyphusError
from syphus.formats.mimicit.writer import FORMAT_VERSION
from syphus.formats.report import Report, TranslationResult, make_report, write_report
from syphus.formats.translation_report import LANGUAGES_KEY, TRANSLATE_STAGE, known_languages
from syphus.ledger.inputs import InputCheck, accept_input, register, reject_input
from syphus.ledger.parts import reopen_parts
from syphus.ledger.reasons import ReasonKind
from syphus.ledger.sessions import get_meta, last_settings, sessions, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import average_size
from syphus.pipeline.engine import Observer
from syphus.runs.forecast import Forecast, crash_warning, format_forecast
from syphus.runs.generate import GenerateStage
from syphus.runs.prepare import RunContext, prepare_endpoint
from syphus.runs.run_settings import changed_settings, sampling_parameters, stored_prices
from syphus.runs.session import StageRunner, open_run_folder
from syphus.text import pluralize, short_path
from syphus.translation import options as wanted
from syphus.translation import prompts as asking
from syphus.translation.checks import checks_digest, recheck
from syphus.translation.files import TranslationPaths, find_paths, write_translations
from syphus.translation.judge import judge_sample
from syphus.translation.page import PAGE_FILE, write_page
from syphus.translation.prompts import languages_prompt
from syphus.translation.results import ExportedPairs
from syphus.translation.rounds import Rounds
from syphus.translation.source_pairs import read_file_pairs, read_run_pairs
from syphus.translation.stage import TranslationPlan, estimate_answer_tokens
from syphus.types import State, Usage

# FOLDED from opening.py:
# The sentences before translating: what will happen, and what it will take.

_SPREAD = 0.3  # of the cost, either way


def opening_lines(
    means: RunContext, place: TranslationPaths, report: Report, plan: TranslationPlan, store: Store
) -> list[str]:
    """What will happen and what it will cost."""
    assert report.translation is not None
    codes = list(plan.targets)
    what = (
        f"{pluralize(report.translation.pairs, 'pair')} into {pluralize(len(codes), 'language')} ({', '.join(codes)})"
    )
    lines = [f"{place.english.name}: {what}, {means.config.model} at {means.endpoint}"]
    pending = report.counts.states[State.PENDING]
    done = sum(each.ok for each in report.translation.languages if each.code in codes)
    left = report.translation.pairs * len(codes) - done
    if report.sessions:
        lines.append(f"Resuming: {done:,} translations done, {left:,} to go{crash_warning(report)}.")
    if not means.options.offline and pending:
        limits = [endpoint.requests_per_minute for endpoint in means.config.endpoints]
        rate = sum(limit for limit in limits if limit) if all(limits) else None
        each = min(len(codes), -(-left // pending))  # languages of a pair that are still to be asked for
        lines.append(
            format_forecast(_forecast(means, plan, pending, each, average_size(store, TRANSLATE_STAGE), rate), rate)
        )
    return lines


def _forecast(
    means: RunContext, plan: TranslationPlan, pairs: int, languages: int, size: float, rate: float | None
) -> Forecast:
    """For so many pairs of so many bytes, in so many languages each, without what is asked again."""
    typical = Translatable("x" * int(size), "")
    together = min(languages, plan.languages_per_answer(typical))
    requests = pairs * -(-languages // together)
    ask = languages_prompt(typical, list(plan.targets.values())[:together], (), ())
    prompt = sum(len(message["content"].encode()) for message in ask.messages) // 4
    usage = Usage(requests * prompt, int(pairs * languages * estimate_answer_tokens(typical)))
    cost = means.price.cost(usage) if means.price else None
    low, high = (None, None) if cost is None else (cost * (1 - _SPREAD), cost * (1 + _SPREAD))
    return Forecast(usage, low, high, requests / rate if rate else None)


DEFAULT_ROUNDS = 6  #: further translations of a text into a language, where the user does not say

_INPUT, _CHECKS = (
    f"{TRANSLATE_STAGE} input",
    f"{TRANSLATE_STAGE} checks",
)  # meta: fingerprints of the pairs and of the checks


def translate(
    path: Path, output: Path | None, options: Options, environ: Mapping[str, str], observer: Observer
) -> TranslationResult:
    """Translates the pairs of a run's folder, or of a MIMIC-IT file; `output` is the folder for those of a file.

    Raises `UsageError` where nothing could be sent, `StorageError` where the ledger is lost.
    """
    place, means = find_paths(path, output), prepare_endpoint(options, environ)
    wanted.check_options(options)
    with open_run_folder(place.ledger) as store:
        return translate_in(store, place, means, observer)


def translate_in(store: Store, place: TranslationPaths, means: RunContext, observer: Observer) -> TranslationResult:
    """The same in a ledger that is open."""
    translation = _Translation(store, place, means, observer)
    try:
        return translation.carry_out()
    except StorageError as fault:
        return translation.what_is_left(fault)


class _Translation:
    def __init__(self, store: Store, place: TranslationPaths, means: RunContext, observer: Observer) -> None:
        self._store, self._place, self._means, self._observer = store, place, means, observer
        options = means.options
        self._codes = wanted.parse_languages(options.languages, known_languages(store))
        self._terms = wanted.read_glossary(options.glossary)
        self._runner = StageRunner(means, store, observer)
        rounds = DEFAULT_ROUNDS if options.max_rounds is None else options.max_rounds
        self._plan = TranslationPlan(
            wanted.build_targets(self._codes, options.tone),
            self._terms,
            options.per_language,
            rounds + 1,
            means.config.max_tokens,
        )
        self._rounds = Rounds(store, self._runner, self._plan, self._settings(), observer)

    def carry_out(self) -> TranslationResult:
        self._settle_settings()
        self._register()
        self._note_languages()
        self._judge_anew()
        if self._means.options.retry:
            self._reopen()
        stopped_by: SyphusError | None = None
        pending = self._rounds.prepare()
        if pending or self._rounds.has_retries():
            report = self._report()
            for line in opening_lines(self._means, self._place, report, self._plan, self._store):
                self._observer.say(line)
            stopped_by = self._rounds.run()
        elif self._means.options.judge_translations:
            self._observer.say("Nothing to translate.")
        else:
            self._observer.say("Nothing to translate: no request was made.")
        if stopped_by is None:
            stopped_by = judge_sample(self._store, self._means, self._runner, self._observer)
            self._rounds.settle()
        return self._finish(stopped_by)

    def what_is_left(self, fault: StorageError) -> TranslationResult:
        """After the disk failed: what it holds. Raises `fault` where that can't be said any more."""
        try:
            self._store.check_files()
            report = self._report()
        except StorageError:
            raise fault from None
        if report.translation is None:
            raise fault
        return TranslationResult(report, fault, (), self._codes, {}, {}, self._means.options.partial)

    def _settings(self) -> dict[str, object]:
        """What the answers depend on; languages and splitting do not count: each answer is for some of them."""
        config, options = self._means.config, self._means.options
        terms = [[term.source, dict(term.translations)] for term in self._terms]
        tone = options.tone.replace(" ", "").lower()
        return {
            "dataset": self._place.prefix,
            "model": config.model,
            **sampling_parameters(config),
            "prompt": _digest([asking.SYSTEM]),
            "tone": tone or None,
            "glossary": _digest(terms) if terms else None,
            "simulated": options.offline,
        }

    def _settle_settings(self) -> None:
        """Translations that were made under other settings need a decision, as pairs do."""
        before, now = last_settings(self._store, TRANSLATE_STAGE), self._settings()
        if before is None:
            return
        if before.get("simulated") != now["simulated"]:
            kind = "made-up" if before.get("simulated") else "real"
            raise RunError(f"{self._store.folder} holds {kind} translations, which are never mixed with others.")
        changes = changed_settings(before, now)
        if changes and not self._means.options.accept_changes:
            raise RunError(
                f"The translations in {self._store.folder} were made with other settings: {'; '.join(changes)}. "
                "Add --accept-changes to go on with the new ones for what is left."
            )

    def _register(self) -> None:
        """The pairs as they are now: a changed one is asked for anew, one that has gone leaves the files."""
        now = _fingerprint(self._store, self._place)
        if now == get_meta(self._store, _INPUT) and not self._means.options.check_input:
            return
        known = bool(sessions(self._store, TRANSLATE_STAGE))
        try:
            check = self._read()
        except BaseException:
            reject_input(self._store)
            raise
        set_meta(self._store, _INPUT, now)
        accept_input(self._store, TRANSLATE_STAGE)
        if known and (check.new or check.changed or check.removed):
            told = f"{check.new:,} new, {check.changed:,} changed, {check.removed:,} gone"
            self._observer.say(f"The pairs have changed: {told}.")

    def _read(self) -> InputCheck:
        place, allow_bad = self._place, self._means.options.allow_bad_rows
        pairs = read_run_pairs(self._store) if place.is_run else read_file_pairs(place.english, allow_bad)
        check = register(self._store, TRANSLATE_STAGE, pairs, lambda _: True, self._observer.reading)
        if not check.read:
            raise RunError(f"{place.english} holds no pairs.")
        return check

    def _note_languages(self) -> None:
        known = known_languages(self._store)
        every = [code for code in LANGUAGES if code in known or code in self._codes]
        set_meta(self._store, LANGUAGES_KEY, ",".join(every))
        self._store.commit()

    def _judge_anew(self) -> None:
        """Changed checks cost nothing: what is here is judged again."""
        now, before = checks_digest(self._terms), get_meta(self._store, _CHECKS)
        if now == before:
            return
        if before is not None:
            changed = recheck(self._store, self._terms, self._observer.reading)
            told = f"translations were judged again, {changed:,} differ now"
            self._observer.say(f"The checks or the glossary have changed: {told}.")
        set_meta(self._store, _CHECKS, now)
        self._store.commit()

    def _reopen(self) -> None:
        states = self._means.options.retry
        count = reopen_parts(self._store, TRANSLATE_STAGE, self._codes, states, ReasonKind.JUDGE)
        self._observer.say(f"Translations to be asked for again ({', '.join(states)}): {count:,}.")

    def _report(self) -> Report:
        return make_report(self._store, TRANSLATE_STAGE, stored_prices(self._store))

    def _finish(self, stopped_by: SyphusError | None) -> TranslationResult:
        options, report = self._means.options, self._report()
        codes = known_languages(self._store)
        if isinstance(stopped_by, InterruptError) and stopped_by.immediate:
            return TranslationResult(report, stopped_by, (), self._codes, {}, {}, options.partial)
        with ExportedPairs(self._store, codes, options.partial) as chosen:
            files = write_translations(self._store, self._place, codes, chosen, self._meta(report))
        return TranslationResult(
            report,
            stopped_by,
            (*files, *self._write_reports(report)),
            self._codes,
            chosen.written,
            chosen.missing_context,
            options.partial,
        )

    def _write_reports(self, report: Report) -> Sequence[str]:
        folder = self._place.ledger
        main = (
            make_report(self._store, GenerateStage.name, stored_prices(self._store)) if self._place.is_run else report
        )
        write_report(folder / "report.json", main)
        if report.translation is not None:
            write_page(folder / PAGE_FILE, self._place.english.stem, report.translation, report.simulated)
        return [short_path(folder / name) for name in ("report.json", PAGE_FILE)]

    def _meta(self, report: Report) -> dict[str, object]:
        started = report.sessions[0].started if report.sessions else 0.0
        return {
            "version": FORMAT_VERSION,
            "time": f"{datetime.fromtimestamp(started, UTC):%Y-%m}",
            "author": "Syphus",
            "translated_from": self._place.english.name,
            "models": report.models,
            "simulated": report.simulated,
        }


def _fingerprint(store: Store, place: TranslationPaths) -> str:
    """What the registered pairs were made from."""
    if not place.is_run:
        stat = place.english.stat()
        return f"{place.english.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    (totals,) = store.read(
        "SELECT count(*), max(seq), sum(pairs), sum(position) FROM query WHERE stage = ? AND state = 'ok' "
        "AND position IS NOT NULL",
        GenerateStage.name,
    )
    return "|".join(map(str, (*totals, get_meta(store, f"{GenerateStage.name} input"))))


def _digest(value: object) -> str:
    return hashlib.blake2b(orjson.dumps(value), digest_size=8).hexdigest()
