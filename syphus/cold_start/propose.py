"""Asking sampled queries with any prompt, to see what it is worth: as the main stage does, but nothing is asked again.

Queries are registered with a label, so that one query can be asked several times, and is asked anew when it is to be
asked with something else. The plugin sees its own queries, without the label.
"""

from __future__ import annotations

from dataclasses import replace

from syphus.answers.parsing.pairs import render_pairs
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.request import RequestBuilder
from syphus.images.prompt.attachments import ImageAttachments
from syphus.ledger.records import Row, StoredAnswer
from syphus.pipeline.stage import Judgement, PluginFaultError
from syphus.plugins.contract import AbstractDataset
from syphus.plugins.hook_results import checked
from syphus.runs.generate import GenerateStage
from syphus.types import Completion, Outcome, Pair, Parsed, PromptTemplate, Query, Request, Usage, is_simulated

BY_HAND = "a person"  #: the model of what a person wrote


def labelled(query: Query, number: int, asked_with: str) -> Query:
    """The query as it is registered: the `number`th answer to it, from 0, asked with what has the digest `asked_with`.

    The ledger asks again where the digest is another.
    """
    name = f"{query.id} answer {number + 1}" if number else query.id
    label = {"query": query.id, "number": number, "asked with": asked_with, "meta": dict(query.meta)}
    return replace(query, id=name, meta=label)


def unlabelled(query: Query) -> Query:
    """The query as the plugin gave it."""
    meta = query.meta["meta"]
    assert isinstance(meta, dict)
    return replace(query, id=str(query.meta["query"]), meta=meta)


class ProposeStage(GenerateStage):
    """Asks labelled queries with `prefix`, and judges their answers as the main stage would."""

    def __init__(
        self,
        name: str,
        dataset: AbstractDataset,
        prefix: PromptTemplate,
        sampling: RequestBuilder,
        redactor: SecretRedactor,
        share_answers: bool = True,
        hook_seconds: float = 10.0,
        attachments: ImageAttachments | None = None,
    ) -> None:
        super().__init__(dataset, prefix, sampling, redactor, share_answers, hook_seconds, attachments)
        self.name = name

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """As the main stage's; a further answer to the same query is another sample of it."""
        number = row.query.meta["number"]
        assert isinstance(number, int)
        return super().request(row._replace(query=unlabelled(row.query), used=row.used + number), last)

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """As the main stage's."""
        return super().judge(row._replace(query=unlabelled(row.query)), completion)

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - nothing of it is a result
        """None."""
        return ""

    # What a candidate is made of.

    def asked(self, query: Query) -> str:
        """The user turn of a query, without its label; its text where the plugin fails on it."""
        try:
            return self._hook(self._render, query)
        except PluginFaultError:
            return query.text

    def pairs(self, query: Query, text: str) -> tuple[Pair, ...]:
        """What can be read out of an answer, whatever is wrong with it; nothing where the plugin fails on it."""
        try:
            parsed = self._hook(self._dataset.parse_response, text, query)
            return checked("parse_response", parsed, Parsed).pairs
        except (PluginFaultError, TypeError):
            return ()

    def verdict(self, query: Query, text: str) -> Outcome:
        """What a text that a person wrote would be worth as the answer to a query."""
        try:
            return super().judge(Row(0, query), Completion(text, "stop", BY_HAND, Usage())).outcome
        except PluginFaultError as fault:
            return fault.outcome

    def example(self, query: Query, pairs: tuple[Pair, ...], answer: str) -> str:
        """An answer as an in-context example shows it.

        Where Syphus's own parser reads the answers, its pairs in the form that is taught, cleaned and without what
        stood around them; where the plugin reads them itself, the answer as it came.
        """
        own = type(self._dataset).parse_response is not AbstractDataset.parse_response
        shown = answer.strip() if own else render_pairs(pairs)
        if not own and self.pairs(query, shown) != tuple(Pair(pair.instruction, pair.answer) for pair in pairs):
            return answer.strip()
        return shown


def by_whom(model: str) -> str:
    """The model of a candidate for people."""
    return f"{model} (made up)" if is_simulated(model) else model
