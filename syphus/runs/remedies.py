"""What helps if the first answers of a run all fail alike."""

from __future__ import annotations

from syphus.endpoints.chat_reply import READ_ELSEWHERE
from syphus.exchange import Completion
from syphus.types import Outcome, State

_ROOM_OR_STOP = (
    "Raise --max-tokens. If the answers go on and on, the server misses the model's end token: mend its chat template, "
    "or set `extra_body: {stop: [...]}` in the --config file."
)
_LESS_REASONING = "The model reasons until its tokens are used up: lower --reasoning-effort, or raise --max-tokens."
_THOUGHTS = (
    "The server gives the model's thoughts and no answer: check its reasoning parser, lower --reasoning-effort, or "
    "raise --max-tokens."
)
_NO_TEXT = "The server sends no text: check the model, its chat template, and the server's log."
_UNREADABLE = (
    "Look at one with `status FOLDER --query ID`: the model does not keep to the form that the prompt asks for, or the "
    "plugin does not read it."
)


def remedy(outcome: Outcome, completion: Completion) -> str:
    """Return what helps if all answers of a run fail like this one; "" for what only a row can have."""
    match outcome.state:
        case State.TRUNCATED | State.INVALID if READ_ELSEWHERE in completion.flags:
            return _THOUGHTS
        case State.TRUNCATED if not completion.text.strip() or completion.usage.reasoning_tokens:
            return _LESS_REASONING
        case State.TRUNCATED if outcome.detail:
            return "Give the server a longer context, or shorten the prompt."
        case State.TRUNCATED:
            return _ROOM_OR_STOP
        case State.INVALID if not completion.text.strip():
            return _LESS_REASONING if completion.usage.reasoning_tokens else _NO_TEXT
        case State.INVALID if outcome.rejected_by:
            return f'If the rule "{outcome.rejected_by[0]}" does not fit the dataset, its plugin can switch it off.'
        case State.INVALID:
            return _UNREADABLE
        case _:
            return ""
