"""The main stage: turn a plugin's queries into pairs of instruction and response."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from syphus.answers.cleaning import GENERAL_RULES, Context, Rule, RuleSet
from syphus.answers.cleaning.endings import is_complete
from syphus.answers.cleaning.sent_texts import SentTexts, scripts_of
from syphus.answers.judging_digest import ACCEPTANCE_FILES, code_digest
from syphus.answers.parsing.answer_text import holds_only
from syphus.answers.parsing.json_forms import JsonAnswer, JsonForm, read_json_answer
from syphus.answers.parsing.pairs import Parsed
from syphus.answers.scoring.basic_quality import bounds_from_message
from syphus.answers.scoring.norms import ratings_version
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.chat_reply import ONLY_REASONING, READ_ELSEWHERE, unusable_outcome
from syphus.endpoints.request import RequestBuilder
from syphus.endpoints.structured import AnswerFormat, AnswerRequest, answer_request, asked_format
from syphus.errors import ImageError, UsageError
from syphus.exchange import Completion, Request
from syphus.formats.run_files import pair_lines
from syphus.images.prompt.attachments import ImageAttachments
from syphus.ledger.judged import DOUBTFUL
from syphus.ledger.records import Row, StoredAnswer
from syphus.model_names import is_simulated
from syphus.pipeline.stage import AnswerWatch, Judgement, PluginFaultError, Stage, image_failure
from syphus.plugins.contract import AbstractDataset, plugin_code, plugin_name
from syphus.plugins.hook_results import check_pairs_of_text, checked, checked_numbers, checked_text, checked_texts
from syphus.plugins.prompts import PromptTemplate, as_json_prompt, as_text_prompt, render_messages
from syphus.plugins.sandbox import time_limit
from syphus.runs.judge import pair_key
from syphus.runs.prepare import PreparedRun
from syphus.runs.remedies import remedy
from syphus.runs.run_settings import GENERATE
from syphus.types import Message, Outcome, Pair, PromptImage, Query, ReasonKind, State

P = ParamSpec("P")
T = TypeVar("T")

JUDGE_RULE = "judge"  #: counted with the repairs: pairs that a judge found bad were left out
_PADDING = 32  # white space at the end of an answer that was cut off: a grammar allows it, and the model never ends
_REMEMBERED_IDS = 1_000  # pair ids that new ones are compared with at once; the export compares all

#: What a model is asked after an unusable answer; `{}` is what was wrong with it.
CORRECTION = "That answer can't be used: {}. Answer again, in exactly the form that was asked for and nothing else."


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationContext:
    """What a stage needs to ask about the queries of a dataset and to judge the answers.

    With `share_answers`, queries with identical requests share one answer. `hook_seconds` limits each call of a plugin
    hook. `attachments` holds the images of the queries; without it, no query may have images. `template` is the prompt
    as it is in its file, whatever the `form`. `repeats` says whether the same prompt has brought the same answer.
    """

    dataset: AbstractDataset
    template: PromptTemplate
    request_builder: RequestBuilder
    redactor: SecretRedactor
    attachments: ImageAttachments | None = None
    form: JsonForm | None = None  #: of the answers, if they are asked for as JSON
    share_answers: bool = True
    hook_seconds: float = 10.0
    repeats: bool = False
    rejected_pairs: Mapping[bytes, str] = field(default_factory=dict)  #: faults of pairs to leave out, by `pair_key`

    @classmethod
    def of_run(
        cls,
        prepared: PreparedRun,
        request_builder: RequestBuilder,
        attachments: ImageAttachments,
        *,
        repeats: bool = False,
        rejected_pairs: Mapping[bytes, str] | None = None,
    ) -> GenerationContext:
        """Return the context of a run's main stage."""
        return cls(
            dataset=prepared.dataset,
            template=prepared.template,
            request_builder=request_builder,
            redactor=prepared.redactor,
            attachments=attachments,
            form=prepared.form,
            share_answers=not prepared.options.no_sharing,
            hook_seconds=prepared.config.plugin_timeout,
            repeats=repeats,
            rejected_pairs={} if rejected_pairs is None else rejected_pairs,
        )


class GenerateStage(Stage):
    """Ask with the dataset's prompt, parse with its parser, and accept what its checks accept."""

    name = GENERATE

    def __init__(self, context: GenerationContext, breaker: AnswerWatch | None = None) -> None:
        self._context = context
        self.breaker = breaker or AnswerWatch()
        self._dataset = context.dataset
        self._code = plugin_code(context.dataset)
        self._rules = RuleSet(cleaning_rules(context.dataset))
        self._query_of_pair: dict[str, str] = {}  # of the first pair ids
        self._renders = _overrides(context.dataset, "render_query")
        self._relates = _overrides(context.dataset, "related")
        self._related_by_count: dict[int, list[tuple[int, ...]]] = {}
        self._templates = _templates(context.template, context.form, plugin_name(type(context.dataset)))
        self._answers = _answer_requests(context.form)
        found = [(query.text, answer, pair) for query, answer, parsed in self.examples() for pair in parsed.pairs]
        texts = [(asked, answer, text) for asked, answer, pair in found for text in (pair.instruction, pair.answer)]
        examples = [(asked, text) for asked, answer, text in texts if text in answer]  # a parser may add texts
        shown = [(question, line) for question, _ in examples for line in question.splitlines()]
        instructions = [template.system_message for template in self._templates.values()]
        self.sent = SentTexts([*examples, *shown], instructions, CORRECTION.split("{}"))
        self._scripts = scripts_of(text for _, text in examples)
        self._ends_sentences = bool(examples) and all(is_complete(text) for _, text in examples)
        self._asked_pairs = bounds_from_message(context.template.system_message) or (0, None)
        self._has_examples = bool(examples)
        self._last_texts: dict[int, str] = {}  # by row, of rejected answers whose prompt is sent again
        self._repeats = context.repeats  # whether the same prompt has brought the same answer
        parameters = context.request_builder.parameters
        limit = parameters.get("max_tokens", parameters.get("max_completion_tokens"))
        self._answer_limit = limit if isinstance(limit, int) else None

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """Return the prompt and the query; if it `_needs_correction`, also the last answer and what was wrong with it.

        A row that can't be asked about, or that brings its pairs, has an outcome instead.
        """
        context, query = self._context, row.query
        if query.problem:
            return Outcome(State.FAILED, reason=ReasonKind.BAD_ROW, detail=query.problem)
        if query.pairs:  # no request is needed; they are cleaned like all others
            return self._call_hook(self._accept, query, query.pairs).outcome
        if not query.text.strip() and not query.images:
            return Outcome(State.FAILED, reason=ReasonKind.EMPTY_ANNOTATION)
        try:
            images = self._images(query) if query.images else ()
        except ImageError as error:
            return image_failure(error)
        answer = self._answer_request(row, last)
        template = self._templates[answer.format if answer else AnswerFormat.TEXT]
        text = self._call_hook(self._render, query) if self._renders else query.text
        messages = render_messages(template, text, images)
        owner, shared = "" if context.share_answers else query.id, len(messages) - 1
        if last is not None and row.reason and row.reason != ReasonKind.ANOTHER_FORM and self._needs_correction(row):
            self._last_texts.pop(row.n, None)
            unusable = Message(role="assistant", content=last.completion.text)
            messages += [unusable, Message(role="user", content=CORRECTION.format(row.reason))]
        elif last is not None and row.reason != ReasonKind.ANOTHER_FORM:
            self._last_texts[row.n] = last.completion.text
        return context.request_builder.request(messages, row.used, owner, shared=shared, answer=answer)

    def _needs_correction(self, row: Row) -> bool:
        """Return whether the next request needs to say what was wrong with the last answer.

        A fresh sample of the same prompt is usable more often than an answer to a correction, which weak models repeat.
        So only later rounds correct, and those in which the same prompt would bring the same answer: some servers and
        caches repeat themselves whatever the temperature.
        """
        parameters = self._context.request_builder.parameters
        is_fixed = parameters.get("temperature") == 0 or parameters.get("top_p") == 0 or "seed" in parameters
        return is_fixed or self._repeats or row.used - row.opened > 1

    def _answer_request(self, row: Row, last: StoredAnswer | None) -> AnswerRequest | None:
        """Return how JSON is asked for, None for a prompt that asks for text."""
        if not self._answers:
            return None
        return self._answers[self._context.request_builder.formats.choose(row.reason, last)]

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Return the pairs of an answer, or why there are none."""
        judgement = self._judge(row, completion)
        before = self._last_texts.pop(row.n, None)
        repeated = judgement.ask_again and bool(judgement.feedback) and before == completion.text
        self._repeats = self._repeats or repeated
        outcome = judgement.outcome
        if outcome.state is State.OK and READ_ELSEWHERE in completion.flags:
            outcome = replace(outcome, repairs={**outcome.repairs, READ_ELSEWHERE: 1})
        return judgement._replace(outcome=outcome, remedy=remedy(outcome, completion), repeated=repeated)

    def _judge(self, row: Row, completion: Completion) -> Judgement:
        asked, elsewhere = asked_format(completion), READ_ELSEWHERE in completion.flags
        is_json = not elsewhere or holds_only(completion.text, ())  # and no thoughts around it
        if self._context.form is not None and asked is not None and is_json:
            return self._judge_structured(row, completion, asked, self._context.form)
        outcome = unusable_outcome(completion, self._answer_limit)
        if outcome is not None:
            return self._judge_unusable(outcome)
        return self._call_hook(self._parse_and_accept, row.query, completion.text, elsewhere)

    def _judge_structured(self, row: Row, completion: Completion, asked: AnswerFormat, form: JsonForm) -> Judgement:
        """Judge an answer that was asked for as JSON; in another form, if it is not what was asked for."""
        formats = self._context.request_builder.formats
        unusable = unusable_outcome(completion, self._answer_limit)
        answer = read_json_answer(completion.text, form.schema)
        is_cut = unusable is not None and unusable.state is State.TRUNCATED
        is_padded = is_cut and len(completion.text) - len(completion.text.rstrip()) >= _PADDING
        is_silent = unusable is not None and not (completion.text.strip() or completion.refusal)
        if unusable is not None and not (answer.document and is_padded):
            if not is_cut and not (is_silent and asked is not AnswerFormat.TEXT):
                return self._judge_unusable(unusable)
            again = asked is not AnswerFormat.TEXT and (is_padded or is_silent or formats.is_open(asked))
            formats.count(asked, kept=False)
            return Judgement(unusable, ask_again=again, another_form=again)
        if asked is AnswerFormat.TEXT:
            return self._call_hook(self._parse_and_accept, row.query, answer.document or completion.text)
        judgement, is_read = self._read_structured(row, completion.text, answer)
        formats.count(asked, kept=is_read and answer.has_json and not is_padded)  # padding is paid for
        return judgement if is_read else judgement._replace(ask_again=True, another_form=True)

    def _read_structured(self, row: Row, text: str, answer: JsonAnswer) -> tuple[Judgement, bool]:
        """Judge the text of an answer; return also whether it was in a form that can be read.

        The plugin gets the JSON if it keeps to the schema. If not, its parser may fail on what it gets.
        """
        if answer.document:
            return self._call_hook(self._parse_and_accept, row.query, answer.document), True
        try:
            parsed = self._call_hook(self._parse, row.query, text)
        except PluginFaultError:
            return _reject((answer.problem,)), False
        if parsed.problems or not parsed.pairs:
            return _reject(parsed.problems or (answer.problem,)), False
        return self._call_hook(self._accept, row.query, parsed.pairs), True

    def _judge_unusable(self, outcome: Outcome) -> Judgement:
        filtered = ReasonKind.parse(outcome.reason) is ReasonKind.CONTENT_FILTER
        return Judgement(outcome, ask_again=outcome.state in (State.REFUSED, State.INVALID) and not filtered)

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:
        """Return the accepted pairs, one line each."""
        return pair_lines(row.query.id, row.query.image_ids, outcome.pairs, is_simulated(model))

    def _images(self, query: Query) -> Sequence[PromptImage]:
        assert self._context.attachments is not None, "a stage whose queries have images needs attachments"
        return self._context.attachments.inspected(query.images)

    def examples(self) -> list[tuple[Query, str, Parsed]]:
        """Return the in-context examples that the parser can read: as a query, the answer, and what is in it."""
        found: list[tuple[Query, str, Parsed]] = []
        query = Query("example", "")
        for message in self._context.template.in_context:
            answer = message["content"]
            if message["role"] == "user":
                query = Query("example", answer, images=tuple(message.get("images", ())))
                continue
            with suppress(UsageError), time_limit(self._context.hook_seconds):  # it need not have the form of an answer
                found.append((query, answer, self._code.run(self._parse_example, query, answer)))
        return found

    def _parse_example(self, query: Query, text: str) -> Parsed:
        parsed = self._parse(query, text)
        check_pairs_of_text("parse_response", parsed.pairs)  # also beside problems
        return parsed

    def _render(self, query: Query) -> str:
        return checked_text("render_query", self._dataset.render_query(query))

    def _parse_and_accept(self, query: Query, text: str, elsewhere: bool = False) -> Judgement:
        """Judge an answer with the plugin's own code. One from `elsewhere` may be thoughts, with drafts of pairs."""
        parsed = self._parse(query, text)
        if elsewhere and not holds_only(text, parsed.pairs):
            return _reject((ONLY_REASONING,))
        if parsed.problems or not parsed.pairs:
            return _reject(parsed.problems or ("no pairs",))
        return self._accept(query, parsed.pairs)

    def _parse(self, query: Query, text: str) -> Parsed:
        parsed = checked("parse_response", self._dataset.parse_response(text, query), Parsed)
        problems = checked_texts("parse_response", parsed.problems)
        if not problems:
            check_pairs_of_text("parse_response", parsed.pairs)
        return parsed if problems == parsed.problems else replace(parsed, problems=problems)

    def _accept(self, query: Query, pairs: Sequence[Pair]) -> Judgement:
        """Clean the pairs, check them, and give them their ids and relations."""
        asked, ends = self._asked_pairs, self._ends_sentences
        about = Context(query, self.sent, self._user_turn(query), self._scripts, asked, ends)
        cleaned = self._rules.clean(pairs, about)
        problems = checked_texts("check_pairs", self._dataset.check_pairs(query, cleaned.pairs))
        if cleaned.rejections or problems:
            located = [f"{rule} ({place})" if place else rule for rule, place in cleaned.rejections.items()]
            rules = tuple(cleaned.rejections)
            return _reject((*cleaned.rejections, *problems), (*located, *problems), rules)
        named = [(pair.id or self._pair_id(query, number), pair) for number, pair in enumerate(cleaned.pairs, 1)]
        doubts = {f"{DOUBTFUL}{rule}": 1 for rule in cleaned.doubts}
        repairs, faults = {**cleaned.repairs, **doubts}, self._judged_faults(query, named)
        if faults:
            named = [(pair_id, pair) for pair_id, pair in named if pair_id not in faults]
            if not named:
                return _reject((f"{ReasonKind.JUDGE}{next(iter(faults.values()))}",))
            repairs[JUDGE_RULE] = len(faults)
        ids, kept = [pair_id for pair_id, _ in named], [pair for _, pair in named]
        self._check_ids(query, ids)
        related = tuple(
            Pair(pair.instruction, pair.answer, pair_id, numbers)
            for pair_id, pair, numbers in zip(ids, kept, self._related(kept, ids), strict=True)
        )
        return Judgement(Outcome(State.OK, related, repairs=repairs))

    def _judged_faults(self, query: Query, pairs: Sequence[tuple[str, Pair]]) -> dict[str, str]:
        """Return the faults that a judge has found in pairs, by their ids."""
        rejected = self._context.rejected_pairs
        if not rejected:
            return {}
        keys = ((pair_id, pair_key(query.text, pair.instruction, pair.answer)) for pair_id, pair in pairs)
        return {pair_id: rejected[key] for pair_id, key in keys if key in rejected}

    def _user_turn(self, query: Query) -> str:
        """Return a query as the plugin renders it, if it does, to recognize an example about the same query."""
        return self._render(query) if self._renders and self._has_examples else ""

    def _pair_id(self, query: Query, number: int) -> str:
        return checked_text("instruction_id", self._dataset.instruction_id(query, number))

    def _related(self, pairs: Sequence[Pair], ids: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the context of each pair. The plugin contract's own `related` depends on their number alone."""
        count = len(pairs)
        found = None if self._relates else self._related_by_count.get(count)
        if found is None:
            named = [Pair(pair.instruction, pair.answer, pair_id) for pair, pair_id in zip(pairs, ids, strict=True)]
            numbers = range(1, count + 1)
            found = [checked_numbers("related", self._dataset.related(named, number), count) for number in numbers]
            self._related_by_count[count] = found
        return found

    def _check_ids(self, query: Query, ids: list[str]) -> None:
        """Refuse duplicate ids early: found at the export, all answers would have been paid for."""
        has_twins = len(set(ids)) < len(ids)
        for pair_id in ids:
            if has_twins and ids.count(pair_id) > 1:
                raise ValueError(f"instruction_id names two pairs {pair_id!r}")
            other = self._query_of_pair.get(pair_id, query.id)
            if other != query.id:
                raise ValueError(f"instruction_id names pairs of {other!r} and of {query.id!r} {pair_id!r}")
        if len(self._query_of_pair) < _REMEMBERED_IDS:
            self._query_of_pair.update(dict.fromkeys(ids, query.id))

    def _call_hook(self, hook: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run code for one row within a time limit. Raises `PluginFaultError`, which fails only this row."""
        try:
            with time_limit(self._context.hook_seconds):
                return self._code.run(hook, *args, **kwargs)
        except UsageError as error:
            detail = "".join(traceback.format_exception(error.__cause__ or error))
            raise PluginFaultError(self._redact(str(error)), self._redact(detail)) from error

    def _redact(self, text: str) -> str:
        """Make a plugin's error text fit for the ledger: without secrets, and with invalid UTF-8 escaped."""
        return self._context.redactor.scrub(text).encode(errors="backslashreplace").decode()


def _templates(template: PromptTemplate, form: JsonForm | None, where: str) -> Mapping[AnswerFormat, PromptTemplate]:
    """Return the prompt for each format that may be asked in; the prefix is the same for all queries of a format."""
    if form is None:
        return {AnswerFormat.TEXT: template}
    as_json = as_json_prompt(template, form, where)
    return {
        AnswerFormat.SCHEMA: as_json,
        AnswerFormat.JSON: as_json,
        AnswerFormat.TEXT: as_text_prompt(template, form),
    }


def _answer_requests(form: JsonForm | None) -> Mapping[AnswerFormat, AnswerRequest]:
    """Return how JSON is asked for in each format; nothing for a prompt that asks for text."""
    if form is None:
        return {}
    return {each: answer_request(each, form.name, form.schema, in_order=True) for each in AnswerFormat}


def _reject(problems: Sequence[str], located: Sequence[str] = (), rules: tuple[str, ...] = ()) -> Judgement:
    """Reject an answer. `problems` are counted; `located` also says where, to the model and to a reader of the run."""
    feedback = "; ".join(located or problems)
    detail = "\n".join(located or problems[1:])
    outcome = Outcome(State.INVALID, reason=problems[0], detail=detail, rejected_by=rules)
    return Judgement(outcome, ask_again=True, feedback=feedback)


def _overrides(dataset: AbstractDataset, hook: str) -> bool:
    """Return whether a plugin has its own version of a hook; calling one costs 15 microseconds."""
    return getattr(getattr(dataset, hook), "__func__", None) is not getattr(AbstractDataset, hook)


def cleaning_rules(dataset: AbstractDataset) -> tuple[Rule, ...]:
    """Return the cleaning rules of a dataset: its own, and the general ones that it does not switch off."""
    return (*dataset.rules, *(rule for rule in GENERAL_RULES if rule.name not in dataset.without_rules))


def parser_digest(plugin: Path) -> str:
    """Return 16 hex digits that change with what judges answers: the parsers, the rules, the plugin's file."""
    return code_digest((*ACCEPTANCE_FILES, plugin), ratings_version().encode())
