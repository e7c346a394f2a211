"""What an endpoint can be asked for: where each service is, and how a good reply is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from syphus.endpoints.answers import judge_answer
from syphus.endpoints.verdicts import Verdict


class Service(NamedTuple):
    """One service, by its route behind the base URL (https://platform.openai.com/docs/api-reference).

    `judge(body, prompt_bytes, headers)` reads the body of a reply with a status of 2xx. What it `writes` is charged as
    completion tokens; embeddings have none.
    """

    route: str
    judge: Callable[[bytes, int, Mapping[str, str]], Verdict]
    writes: bool


CHAT = Service("/chat/completions", judge_answer, writes=True)
