"""The fields of a request besides model and messages: what the user set, as far as the model takes it.

Models that reason take other parameters than those that do not, and the table of models says which. So the first
request is right, and what the table does not know is learnt from the server's refusals.

The default effort is "none", or the least that the model takes (docs/design.md says why). The limit of an answer that
the user set is for its text: models that reason get room for that on top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

from syphus.config.model_table import EFFORTS, Effort, ModelFamily, Verbosity, find_model
from syphus.config.settings import Config
from syphus.errors import ConfigError
from syphus.text import alternatives

#: Tokens for reasoning, besides those of the answer, by effort. A model that needs less is not billed for more.
REASONING_ROOM: Mapping[str, int] = {
    "none": 0,
    "minimal": 1_024,
    "low": 4_096,
    "medium": 16_384,
    "high": 32_768,
    "xhigh": 65_536,
    "max": 98_304,
}


_VALUES: Mapping[str, tuple[str, ...]] = {  # of texts in `extra_body`; () is any
    "reasoning_effort": EFFORTS,
    "verbosity": get_args(Verbosity),
    "service_tier": (),
}


class Sampling(NamedTuple):
    """The fields of every request besides model and messages. None leaves one out."""

    fields: dict[str, object]
    left_out: frozenset[str]  #: fields that the model does not take under these settings
    answer_limit: int | None  #: tokens of an answer with its reasoning
    notes: tuple[str, ...]  #: what is sent in another way than the user set it; a line each


def model_family(config: Config) -> ModelFamily | None:
    """Return what is known of the model of a config, with the config's corrections."""
    return find_model(config.model, config.models)


def default_effort(family: ModelFamily) -> Effort | None:
    """Return the effort if the user sets none: the least that the model takes; None if it does not reason."""
    return min(family.efforts, key=EFFORTS.index, default=None)


def for_new_run(config: Config) -> Config:
    """Return a config with the default effort, if the model reasons and the user leaves it open."""
    family = model_family(config)
    return config if family is None else config.with_default_effort(default_effort(family))


def as_begun(config: Config, before: Mapping[str, object]) -> Config:
    """Return the config of a run that continues: what the user leaves open is as in its settings `before`.

    That is the model, if none is named, and the reasoning effort. A run that began before there were efforts sends
    none, so that its requests stay the same.
    """
    model, effort = before.get("model"), before.get("reasoning_effort")
    if isinstance(model, str) and model and "model" not in config.model_fields_set:
        config = config.model_copy(update={"model": model})
    if model != config.model:
        return for_new_run(config)
    return config.with_default_effort(next((each for each in EFFORTS if each == effort), None))


def resolve_sampling(config: Config) -> Sampling:
    """Return what is sent with the settings of a config.

    Without an effort, or with one in `extra_body`, all is sent as the user set it: so runs continue that began before
    there were efforts.
    """
    family = model_family(config)
    effort, notes = _effort(config, family)
    fields: dict[str, object] = {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_tokens,
        "seed": config.seed,
        **({} if effort is None else {"reasoning_effort": effort}),
        **({} if config.verbosity is None else {"verbosity": config.verbosity}),
        **config.extra_body,
    }
    left_out: set[str] = set()
    if family is not None and config.verbosity is not None and config.verbosity not in family.verbosity:
        left_out.add("verbosity")
        notes.append(f"{config.model} takes no verbosity: it is not sent.")
    if family is None or effort is None:
        return Sampling(fields, frozenset(left_out), config.max_tokens, tuple(notes))
    left_out |= {name for name, efforts in family.only_with_effort.items() if effort not in efforts}
    notes += _left_out_notes(config, family, left_out)
    limit = _answer_limit(config.max_tokens, effort, family)
    del fields["max_tokens"]
    return Sampling({**fields, family.max_tokens_field: limit}, frozenset(left_out), limit, tuple(notes))


def check_fields(config: Config) -> None:
    """Raise `ConfigError` for a model's name with blanks around it, and for fields of `extra_body` that can't be right.

    Models that are not in the table may know other efforts.
    """
    if config.model != config.model.strip():
        raise ConfigError(f"The model {config.model!r} has blanks around its name; remove them.")
    is_known = model_family(config) is not None
    for name, values in _VALUES.items():
        value = config.extra_body.get(name)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"extra_body has the {name} {value}, which should be a text.")
        if value is not None and values and value not in values and is_known:
            raise ConfigError(f"extra_body has the {name} {value}; it must be {alternatives(values)}.")


def _effort(config: Config, family: ModelFamily | None) -> tuple[Effort | None, list[str]]:
    """Return the effort that is sent, and what to say about it."""
    wanted = config.effort
    if wanted is None or family is None:
        return wanted, []
    if not family.efforts:
        return None, [f"{config.model} does not reason: the reasoning effort is not sent."]
    effort = nearest_effort(wanted, family.efforts)
    if effort == wanted:
        return effort, []
    return effort, [f"{config.model} does not know the reasoning effort {wanted}: {effort} is sent."]


def nearest_effort(wanted: Effort, known: tuple[Effort, ...]) -> Effort:
    """Return the effort nearest to the wanted one; of two, the higher one, as it was asked to reason."""
    place = EFFORTS.index(wanted)
    return min(known, key=lambda each: (abs(EFFORTS.index(each) - place), -EFFORTS.index(each)))


def nearest_listed_effort(wanted: str, listed: Sequence[str]) -> str:
    """Return the nearest of the efforts that a refusal lists; of two, the one that costs less; "" if there is none."""
    others = [each for each in dict.fromkeys(listed) if each in EFFORTS and each != wanted]
    if wanted not in EFFORTS or not others:
        return ""
    rank = EFFORTS.index(wanted)
    # "minimal" asks for some thought: where it and "none" are equally near, "low" is meant
    return min(others, key=lambda each: (abs(EFFORTS.index(each) - rank), each == "none", EFFORTS.index(each)))


def _left_out_notes(config: Config, family: ModelFamily, left_out: set[str]) -> list[str]:
    """Say which settings are left out that the user has given; defaults are left out silently."""
    named = [name for name in family.only_with_effort if name in left_out]
    given = [name for name in named if name in config.extra_body or name in config.model_fields_set]
    given = [name for name in given if getattr(config, name, True) is not None]
    notes = []
    for efforts in dict.fromkeys(family.only_with_effort[name] for name in given):
        names = " and ".join(name for name in given if family.only_with_effort[name] == efforts)
        possible = [each for each in efforts if each in family.efforts]
        condition = f" only with the reasoning effort {' or '.join(possible)}" if possible else ""
        takes = "takes" if possible else "does not take"
        notes.append(f"{config.model} {takes} {names}{condition}: not sent.")
    return notes


def _answer_limit(max_tokens: int | None, effort: Effort, family: ModelFamily) -> int | None:
    if max_tokens is None:
        return None
    limit = max_tokens + REASONING_ROOM[effort]
    return limit if family.max_output is None else min(limit, family.max_output)
