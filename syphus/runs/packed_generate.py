"""The main stage with packs: asks about several short annotations at once, and judges each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from syphus.endpoints.chat_reply import unusable_outcome
from syphus.endpoints.structured import AnswerFormat, AnswerRequest, answer_request, asked_format
from syphus.exchange import PACKED, Completion, Request, Usage
from syphus.ledger.records import Row, StoredAnswer
from syphus.ledger.store import Store
from syphus.pipeline.stage import AnswerWatch, Judgement, PluginFaultError
from syphus.plugins.prompts import render_messages
from syphus.runs.generate import GenerateStage, GenerationContext
from syphus.runs.packs import (
    MOST_TOKENS,
    PackedItem,
    Packs,
    can_be_packed,
    has_tags,
    label,
    own_part,
    pack_schema,
    pack_text,
    packed_size,
)
from syphus.types import Outcome, Query, State


class PackedGenerateStage(GenerateStage):
    """Asks for packs of `pack_size` rows; with 1, each row is asked alone, and answers to packs are still read.

    All rows of a pack make the same request, and so share one answer. A row whose part of it can't be used is asked
    again alone, which is no round of its own.
    """

    def __init__(
        self, context: GenerationContext, store: Store, pack_size: int = 1, breaker: AnswerWatch | None = None
    ) -> None:
        super().__init__(context, breaker)
        self.pack_size = pack_size
        self._packs = Packs(store)
        parameters = context.request_builder.parameters
        names = [name for name in ("max_tokens", "max_completion_tokens") if isinstance(parameters.get(name), int)]
        self._pack_limits: dict[str, object] = {
            name: max(int(str(parameters[name])), min(int(str(parameters[name])) * pack_size, MOST_TOKENS))
            for name in names
        }

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """Return the request of the row's pack; its own, if it is asked again or can't be packed."""
        shown = self._shown(row)
        if len(shown) > 1:
            return self._pack_request(shown)
        was_packed = last is not None and packed_size(last.completion) > 0
        return super().request(row, None if was_packed else last)

    def shares_request(self, row: Row) -> bool:
        """Return whether another row of its pack asks for this one."""
        shown = self._shown(row)
        return len(shown) > 1 and shown[0][0].n != row.n

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Judge the row's own part of an answer to a pack like an answer of its own."""
        size = packed_size(completion)
        if not size:
            return super().judge(row, completion)
        judgement = self._judge_part(row, completion, size)
        if judgement.outcome.state is State.OK:
            return judgement
        return Judgement(judgement.outcome, ask_again=True, another_form=True, alone=True, is_trial=True)

    def _judge_part(self, row: Row, completion: Completion, size: int) -> Judgement:
        limit = next((each for each in self._pack_limits.values() if isinstance(each, int)), None)
        unusable = unusable_outcome(completion, limit if size == self.pack_size else None)
        is_cut = unusable is not None and unusable.state is State.TRUNCATED
        if unusable is not None and not is_cut:
            return Judgement(unusable)
        pack = self._packs.block(row.n, size)
        own = PackedItem(row.n, label(row.query.id), row.query)
        as_json = asked_format(completion) not in (None, AnswerFormat.TEXT)
        part = own_part(completion, own, pack, as_json=as_json, cut=is_cut)
        if part.problem:
            return Judgement(Outcome(State.INVALID, reason=part.problem))
        flags = tuple(flag for flag in completion.flags if not flag.startswith(PACKED))
        alone = replace(completion, text=part.text, finish_reason="stop", flags=flags, usage=Usage())
        return super().judge(row, alone)

    def _shown(self, row: Row) -> Sequence[tuple[PackedItem, str]]:
        """Return the rows of a row's pack with their texts; nothing if the row is asked alone."""
        if self.pack_size < 2 or row.used or not can_be_packed(row.query):
            return ()
        shown = list(self._rendered(self._packs.block(row.n, self.pack_size)))
        return shown if any(item.n == row.n for item, _ in shown) else ()

    def _rendered(self, items: Sequence[PackedItem]) -> Iterator[tuple[PackedItem, str]]:
        """Yield rows with the texts that are asked; rows for which the plugin fails are asked alone, and fail there."""
        for item in items:
            try:
                text = self._text(item.query)
            except PluginFaultError:
                continue
            if text.strip() and not has_tags(text):
                yield item, text

    def _text(self, query: Query) -> str:
        return self._call_hook(self._render, query) if self._renders else query.text

    def _pack_request(self, shown: Sequence[tuple[PackedItem, str]]) -> Request:
        context = self._context
        answer = self._pack_answer()
        format_ = answer.format if answer else AnswerFormat.TEXT
        text = pack_text([(item.label, text) for item, text in shown], format_ is not AnswerFormat.TEXT)
        messages = render_messages(self._templates[format_], text)
        owner = "" if context.share_answers else shown[0][0].query.id
        request = context.request_builder.request(
            messages, 0, owner, self._pack_limits, shared=len(messages) - 1, answer=answer
        )
        return replace(request, packed=self.pack_size)

    def _pack_answer(self) -> AnswerRequest | None:
        """Return how the JSON of a pack is asked for, None for a prompt that asks for text."""
        form = self._context.form
        if form is None:
            return None
        format_ = self._context.request_builder.formats.choose("", None)
        return answer_request(format_, f"{form.name}_pack", pack_schema(form.schema), in_order=True)
