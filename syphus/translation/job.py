"""Runs a translation job, from a folder or file to the translated files.

1. Find the pairs (`files.py`), and parse languages, tone and glossary (`options.py`).
2. Open the ledger: compare its settings, register the pairs (`source_pairs.py`), and check stored translations again if
   the checks or the glossary have changed (`checks.py`).
3. Ask for what is missing (`rounds.py`), and have a judge read a sample (`judge.py`).
4. Write the files (`files.py`, `page.py`) and the report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from syphus.answers.translation import LANGUAGES, Translatable
from syphus.config.options import Options
from syphus.config.settings import Config
from syphus.errors import InterruptError, RunError, StorageError, SyphusError
from syphus.exchange import BYTES_PER_TOKEN
from syphus.formats.mimicit.entries import table_parts
from syphus.formats.mimicit.writer import dataset_meta
from syphus.formats.report import Report, TranslationResult, make_report, write_report
from syphus.formats.translation_report import LANGUAGES_KEY, TRANSLATE_STAGE, known_languages, note_source
from syphus.ledger.inputs import InputCheck, accept_input, register, reject_input
from syphus.ledger.parts import reopen_parts
from syphus.ledger.sessions import answering_session, get_meta, last_settings, sessions, set_meta
from syphus.ledger.store import FILE, Store, open_for_reading
from syphus.ledger.summary import average_size
from syphus.pipeline.observer import Observer
from syphus.runs.cost_estimate import QuoteLine, estimated_line
from syphus.runs.cost_text import confirm_cost, crash_warning, format_line
from syphus.runs.generate import GenerateStage
from syphus.runs.model_life import only_model
from syphus.runs.prepare import EndpointContext, RunContext, go_on_as_begun, prepare_endpoint
from syphus.runs.run_log import keep_log
from syphus.runs.run_settings import TRANSLATE, changed_settings, keep_command, sampling_settings, stored_prices
from syphus.runs.session import StageRunner, open_run_folder
from syphus.text import pluralize, short_path
from syphus.translation.files import TranslationPaths, find_paths, write_translations
from syphus.translation.judge import judge_sample
from syphus.translation.options import build_targets, check_options, parse_languages, read_glossary
from syphus.translation.page import PAGE_FILE, write_page
from syphus.translation.prompts import SYSTEM, languages_prompt
from syphus.translation.results import ExportedPairs
from syphus.translation.rounds import Rounds
from syphus.translation.source_checker import checks_digest, recheck
from syphus.translation.source_pairs import read_file_pairs, read_run_pairs
from syphus.translation.stage import TranslationPlan, estimate_answer_tokens
from syphus.types import ReasonKind, State

DEFAULT_ROUNDS = 6  #: retries of one text in one language, without `--max-rounds`

# Keys of the ledger's meta table: fingerprints of the pairs, and of the checks with the glossary.
_INPUT_KEY = f"{TRANSLATE_STAGE} input"
_CHECKS_KEY = f"{TRANSLATE_STAGE} checks"

_COST_MARGIN = 0.3  # of an estimate, up and down


def translate(
    path: Path, output: Path | None, options: Options, environ: Mapping[str, str], observer: Observer
) -> TranslationResult:
    """Translate the pairs of a run's folder, or of a MIMIC-IT file into the folder `output` (by default beside it).

    Raises `UsageError` if nothing can be sent, `StorageError` if the ledger can't be read or written any more.
    """
    paths = find_paths(path, output)
    begun = _Begun(paths.ledger, observer)
    context = begun.instead_of_default(prepare_endpoint(options, environ, begun.model))
    check_options(options)
    with open_run_folder(paths.ledger) as store, keep_log(store, context, observer, "translate") as log:
        context = go_on_as_begun(context, store, TRANSLATE_STAGE, log)
        result = translate_in(store, paths, context, log)
        log.end(result.report, result.stopped_by, result.exit_code)
    return result


class _Begun:
    """Finds the model of a translation for which none is named.

    A translation that has begun continues with its own. A new one takes that of the run, if the run asked the same
    endpoint: another one may not have that model.
    """

    def __init__(self, ledger: Path, observer: Observer) -> None:
        self._observer = observer
        self._own, self._run = "", ("", "")
        if (ledger / FILE).is_file():
            store = open_for_reading(ledger)
            try:
                self._own = str((last_settings(store, TRANSLATE_STAGE) or {}).get("model") or "")
                self._run = answering_session(store, GenerateStage.name) or ("", "")
            finally:
                store.close()

    def model(self, config: Config) -> str:
        """Return the model, or else the only one that the server has. Raises `NoEndpointError` if it has several."""
        if self._own:
            return self._own
        return self._model_of_run(config) or only_model(config)

    def instead_of_default(self, context: EndpointContext) -> EndpointContext:
        """Return a context with the run's model instead of the default one, which stays at another endpoint."""
        config = context.config
        if self._own or not self._run[0] or "model" in config.model_fields_set:
            return context
        return context.with_config(config.model_copy(update={"model": self._model_of_run(config) or config.model}))

    def _model_of_run(self, config: Config) -> str:
        """Return the model of the run, and say so; "" if the run asked another endpoint."""
        model, hosts = self._run[0], set(self._run[1].split(", "))
        if not model or not all(endpoint.host in hosts for endpoint in config.endpoints):
            return ""
        self._observer.say(f"No model is named: the translation takes {model}, as the run did.")
        return model


def translate_in(store: Store, paths: TranslationPaths, context: RunContext, observer: Observer) -> TranslationResult:
    """Translate as `translate` does, in an open ledger."""
    job = _TranslationJob(store, paths, context, observer)
    try:
        return job.run()
    except StorageError as error:
        return job.result_after_disk_failure(error)


class _TranslationJob:
    def __init__(self, store: Store, paths: TranslationPaths, context: RunContext, observer: Observer) -> None:
        self._store, self._paths, self._context, self._observer = store, paths, context, observer
        options = context.options
        self._codes = parse_languages(options.languages, known_languages(store))
        self._terms = read_glossary(options.glossary)
        self._runner = StageRunner(context, store, observer)
        retries = DEFAULT_ROUNDS if options.max_rounds is None else options.max_rounds
        self._plan = TranslationPlan(
            build_targets(self._codes, options.tone),
            self._terms,
            options.per_language,
            retries + 1,
            context.config.max_tokens,
        )
        self._rounds = Rounds(store, self._runner, self._plan, self._settings(), observer)

    def run(self) -> TranslationResult:
        self._check_settings()
        self._register_pairs()
        self._save_languages()
        self._keep_command()
        self._recheck()
        self._rounds.settle_last_session()
        if self._context.options.retry:
            self._reopen()
        stopped_by = self._ask()
        if stopped_by is None:
            stopped_by = judge_sample(self._store, self._context, self._runner, self._observer)
            self._rounds.settle()
        return self._finish(stopped_by)

    def result_after_disk_failure(self, error: StorageError) -> TranslationResult:
        """Return what the ledger still holds; raise `error` if it can't be read."""
        try:
            self._store.check_files()
            report = self._report()
        except StorageError:
            raise error from None
        if report.translation is None:
            raise error
        return self._result(report, error)

    def _ask(self) -> SyphusError | None:
        pending = self._rounds.prepare()
        if pending or self._rounds.has_retries():
            report = self._report()
            forecast = _forecast(self._context, self._plan, report, self._store)
            for line in opening_lines(self._context, self._paths, report, self._plan, forecast):
                self._observer.say(line)
            if forecast is not None:
                confirm_cost(self._context, forecast, report, self._observer)
            return self._rounds.run()
        no_request = "" if self._context.options.judge_translations else ": no request was sent"
        self._observer.say(f"Nothing to translate{no_request}.")
        return None

    def _settings(self) -> dict[str, object]:
        """Return the settings that all answers depend on; a change of them needs the user's consent.

        Languages and `--per-language` are not among them: each answer is for some of the languages anyway.
        """
        config, options = self._context.config, self._context.options
        terms = [[term.source, dict(term.translations)] for term in self._terms]
        tone = options.tone.replace(" ", "").lower()
        return {
            "dataset": self._paths.prefix,
            "model": config.model,
            **sampling_settings(config),
            "prompt": _digest([SYSTEM]),
            "tone": tone or None,
            "glossary": _digest(terms) if terms else None,
            "simulated": options.offline,
        }

    def _check_settings(self) -> None:
        """Raise `RunError` if the stored translations were made with other settings, unless the user accepts that."""
        before, now = last_settings(self._store, TRANSLATE_STAGE), self._settings()
        if before is None:
            return
        if before.get("simulated") != now["simulated"]:
            kind = "simulated" if before.get("simulated") else "real"
            raise RunError(f"{self._store.folder} holds {kind} translations. Use another folder: the two never mix.")
        changes = changed_settings(before, now)
        if changes and not self._context.options.accept_changes:
            raise RunError(
                f"The translations in {self._store.folder} were made with other settings: {'; '.join(changes)}. "
                "Add --accept-changes to use the new settings for the remaining translations."
            )

    def _register_pairs(self) -> None:
        """Register the current pairs: a changed pair becomes pending, a removed pair leaves the files."""
        fingerprint = _input_fingerprint(self._store, self._paths)
        if fingerprint == get_meta(self._store, _INPUT_KEY) and not self._context.options.check_input:
            return
        known = bool(sessions(self._store, TRANSLATE_STAGE))
        try:
            check = self._read_pairs()
        except BaseException:
            reject_input(self._store)
            raise
        set_meta(self._store, _INPUT_KEY, fingerprint)
        accept_input(self._store, TRANSLATE_STAGE)
        if known and (check.new or check.changed or check.removed):
            counts = f"{check.new:,} new, {check.changed:,} changed, {check.removed:,} removed"
            self._observer.say(f"The pairs have changed: {counts}.")

    def _read_pairs(self) -> InputCheck:
        english = self._paths.english
        if self._paths.is_run:
            pairs = read_run_pairs(self._store)
        else:
            pairs = read_file_pairs(english, self._context.options.allow_bad_rows)
        check = register(self._store, TRANSLATE_STAGE, pairs, lambda _: True, self._observer.reading)
        if not check.read:
            raise RunError(f"{english} holds no pairs.")
        return check

    def _keep_command(self) -> None:
        """Keep the command, and which pairs it has read; that of a main job with `--languages` is kept already."""
        note_source(self._store)
        if not self._context.options.name and sessions(self._store, GenerateStage.name):
            keep_command(self._store, TRANSLATE, self._context.options)
        self._store.commit()

    def _save_languages(self) -> None:
        known = known_languages(self._store)
        codes = [code for code in LANGUAGES if code in known or code in self._codes]
        set_meta(self._store, LANGUAGES_KEY, ",".join(codes))
        self._store.commit()

    def _recheck(self) -> None:
        """Check the stored translations again if the checks or the glossary have changed. That sends no request."""
        now, before = checks_digest(self._terms), get_meta(self._store, _CHECKS_KEY)
        if now == before:
            return
        if before is not None:
            changed = recheck(self._store, self._terms, self._observer.reading)
            what = f"all translations were checked again, {pluralize(changed, 'result')} changed"
            self._observer.say(f"The checks or the glossary have changed: {what}.")
        set_meta(self._store, _CHECKS_KEY, now)
        self._store.commit()

    def _reopen(self) -> None:
        states = self._context.options.retry
        count = reopen_parts(self._store, TRANSLATE_STAGE, self._codes, states, ReasonKind.JUDGE)
        self._observer.say(f"Translations to retry ({', '.join(states)}): {count:,}.")

    def _report(self) -> Report:
        return make_report(self._store, TRANSLATE_STAGE, stored_prices(self._store))

    def _finish(self, stopped_by: SyphusError | None) -> TranslationResult:
        report, codes = self._report(), known_languages(self._store)
        if isinstance(stopped_by, InterruptError) and stopped_by.immediate:
            return self._result(report, stopped_by)
        with ExportedPairs(self._store, codes, self._context.options.partial) as exported:
            files = write_translations(
                self._store, self._paths, codes, exported, dataset_meta(report, self._paths.english.name)
            )
        return self._result(report, stopped_by)._replace(
            files=(*files, *self._write_reports(report)),
            written=exported.written,
            missing_context=exported.missing_context,
        )

    def _result(self, report: Report, stopped_by: SyphusError | None) -> TranslationResult:
        """Return a result without files."""
        return TranslationResult(
            report, stopped_by, (), self._codes, {}, {}, self._context.options.partial, self._paths.ledger
        )

    def _write_reports(self, report: Report) -> Sequence[str]:
        folder = self._paths.ledger
        run_report = report
        if self._paths.is_run:
            run_report = make_report(self._store, GenerateStage.name, stored_prices(self._store))
        write_report(folder / "report.json", run_report)
        if report.translation is not None:
            write_page(folder / PAGE_FILE, self._paths.english.stem, report.translation, report.simulated)
        return [short_path(folder / name) for name in ("report.json", PAGE_FILE)]


def _input_fingerprint(store: Store, paths: TranslationPaths) -> str:
    """Return a text that changes when the pairs may have changed."""
    if not paths.is_run:
        files = table_parts(paths.english) if paths.english.is_dir() else [paths.english]
        stats = [file.stat() for file in files]
        sizes = "|".join(f"{stat.st_size}|{stat.st_mtime_ns}" for stat in stats)
        return f"{paths.english.resolve()}|{sizes}"
    (totals,) = store.read(
        "SELECT count(*), max(seq), sum(pairs), sum(position) FROM query WHERE stage = ? AND state = 'ok' "
        "AND position IS NOT NULL",
        GenerateStage.name,
    )
    return "|".join(map(str, (*totals, get_meta(store, f"{GenerateStage.name} input"))))


def _digest(value: object) -> str:
    return hashlib.blake2b(orjson.dumps(value), digest_size=8).hexdigest()


def opening_lines(
    context: RunContext, paths: TranslationPaths, report: Report, plan: TranslationPlan, forecast: QuoteLine | None
) -> list[str]:
    """Return the lines to show before the first request: the work, and a forecast of its cost."""
    assert report.translation is not None
    codes, pairs = list(plan.targets), report.translation.pairs
    work = f"{pluralize(pairs, 'pair')} into {pluralize(len(codes), 'language')} ({', '.join(codes)})"
    lines = [f"{paths.english.name}: {work}, {context.config.model} at {context.endpoint}"]
    done = sum(each.ok for each in report.translation.languages if each.code in codes)
    if report.sessions:
        missing = pairs * len(codes) - done
        lines.append(f"Resuming: {done:,} translations done, {missing:,} to go{crash_warning(report)}.")
    return lines if forecast is None else [*lines, format_line(forecast)]


def _forecast(context: RunContext, plan: TranslationPlan, report: Report, store: Store) -> QuoteLine | None:
    """Forecast the cost of the pending pairs, without retries; None if nothing is pending or paid for."""
    assert report.translation is not None
    pairs, codes = report.counts.states[State.PENDING], list(plan.targets)
    if context.options.offline or not pairs:
        return None
    missing = report.translation.pairs * len(codes)
    missing -= sum(each.ok for each in report.translation.languages if each.code in codes)
    languages = min(len(codes), -(-missing // pairs))
    typical = Translatable("x" * int(average_size(store, TRANSLATE_STAGE)), "")
    per_request = min(languages, plan.languages_per_answer(typical))
    requests = pairs * -(-languages // per_request)
    prompt = languages_prompt(typical, list(plan.targets.values())[:per_request], (), ())
    prompt_tokens = sum(len(message["content"].encode()) for message in prompt.messages) // BYTES_PER_TOKEN
    answers = pairs * languages * estimate_answer_tokens(typical)
    return estimated_line(context, requests, requests * prompt_tokens, answers, _COST_MARGIN)
