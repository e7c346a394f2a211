"""Reads a pipeline: one YAML file with the stages of a run in their order.

    name: SpotTheDifference.change
    query_inputs_path: train.json
    model: gpt-6-luna
    max_cost: 40
    stages:
      - cold-start: {rounds: 2}
      - generate
      - review: {needs: 100}
      - translate: {languages: "de,zh"}
      - export: {format: llava}

At the top are the options that hold for all stages. A stage has the options of its command, by their names; in it they
replace those at the top. What belongs to one stage stands in that stage, and the budget only at the top: there is one.
Every mistake is one line: file, line, what is wrong, and the name that was probably meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from syphus.config.option_types import EndpointValues, ExportArguments, RunValues
from syphus.config.options import JUDGE_ALL, ColdStartOptions, Options, make_options
from syphus.errors import ConfigError
from syphus.formats import FORMAT_NAMES
from syphus.formats.reviewed_pairs import Reviewed
from syphus.io.yaml_files import KeyPath, read_yaml
from syphus.text import alternatives, did_you_mean, listed
from syphus.translation.options import parse_languages

STAGES_KEY = "stages"


class StageKind(StrEnum):
    """What a stage does. The value is its name in the file: that of a command, where there is one."""

    COLD_START = "cold-start"
    GENERATE = "generate"
    JUDGE = "judge"
    BALANCE = "balance"
    CLEAN = "clean"
    TRANSLATE = "translate"
    RELATE = "relate"
    REVIEW = "review"
    EXPORT = "export"


_BUDGET = frozenset({
    "max_cost", "max_requests", "ask_above", "yes", "name", "output_dir", "dataset_version", "offline", "share",
    "shared_max_cost", "shared_max_requests", "snapshot", "snapshot_every",
})  # fmt: skip
_JUDGING = frozenset({"judge", "judge_model", "judge_config", "judge_margin", "calibrate_judge", "min_quality"})
_WANTED = frozenset({"until_accepted", "balance"})
_TRANSLATING = frozenset({"languages", "glossary", "tone", "per_language", "judge_translations", "partial"})
_RELATING = frozenset({"relate", "embedding_model", "image_embeddings", "train"})
_FILES = frozenset({"judge_config", "glossary", "image_embeddings", "config"})  #: that no stage writes
_ONCE = frozenset({"retry", "retry_reason", "accept_changes", "check_input", "json", "batch_file", "batch_results"})
_ALL = frozenset(each.name for each in fields(Options))
#: The options that hold for all stages.
COMMON = _ALL - _JUDGING - _WANTED - _TRANSLATING - _RELATING - (_ONCE - {"accept_changes"})
_ASKING = _ALL - _BUDGET - _ONCE - _TRANSLATING - _RELATING
_TRANSLATION = (frozenset(EndpointValues.__annotations__) | _TRANSLATING) - _BUDGET - _ONCE - _JUDGING - _WANTED
#: The options of each kind of stage.
OWN: Mapping[StageKind, frozenset[str]] = {
    StageKind.COLD_START: frozenset(each.name for each in fields(ColdStartOptions)) | (_ASKING - _JUDGING - _WANTED),
    StageKind.GENERATE: _ASKING,
    StageKind.JUDGE: _JUDGING,
    StageKind.BALANCE: frozenset({"output", "near_duplicates", "against", "most", "count", "seed"}),
    StageKind.CLEAN: frozenset(),
    StageKind.TRANSLATE: _TRANSLATION,
    StageKind.RELATE: _RELATING,
    StageKind.REVIEW: frozenset({"name", "needs"}),
    StageKind.EXPORT: (frozenset(ExportArguments.__annotations__) - {"on_note"}) | {"format", "output"},
}
#: Where an option belongs that stands at the top.
_HOMES = (
    (_JUDGING, StageKind.JUDGE),
    (_WANTED, StageKind.GENERATE),
    (_TRANSLATING, StageKind.TRANSLATE),
    (_RELATING, StageKind.RELATE),
)
_ASKS = (StageKind.COLD_START, StageKind.GENERATE)


class PipelineStage(NamedTuple):
    """A stage: its kind, its name, which differs from that of all others, its options, and its line in the file."""

    kind: StageKind
    name: str
    options: Mapping[str, object]
    line: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a file says. `common` are the options at the top."""

    path: Path
    common: Mapping[str, object]
    stages: tuple[PipelineStage, ...]

    def first(self, kind: StageKind) -> PipelineStage | None:
        """Return the first stage of a kind, or None."""
        return next((stage for stage in self.stages if stage.kind is kind), None)

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of the gates, in their order."""
        return tuple(stage.name for stage in self.stages if stage.kind is StageKind.REVIEW)


def read_pipeline(path: Path) -> Pipeline:
    """Return the checked pipeline in a file. Raises `ConfigError` with the file and the line."""
    lines: dict[KeyPath, int] = {}
    return _Reader(path, lines, read_yaml(path, ConfigError, lines)).pipeline()


class _Reader:
    def __init__(self, path: Path, lines: Mapping[KeyPath, int], data: object) -> None:
        plain = {(*at[:-1], at[-1].replace("-", "_")): line for at, line in lines.items() if isinstance(at[-1], str)}
        self._path, self._lines, self._data = path, {**plain, **lines}, data

    def _error(self, at: KeyPath, problem: str) -> ConfigError:
        while at and at not in self._lines:
            at = at[:-1]
        line = f":{self._lines[at]}" if at else ""
        return ConfigError(f"{self._path}{line}: {problem}")

    def pipeline(self) -> Pipeline:
        data = self._data
        if not isinstance(data, dict) or STAGES_KEY not in data:
            near = did_you_mean(STAGES_KEY, data) if isinstance(data, dict) else ""
            raise self._error((), f'a pipeline has a list "{STAGES_KEY}"{near or "; see docs/pipelines.md"}')
        common = self._named({name: value for name, value in data.items() if name != STAGES_KEY}, ())
        for name in common:
            self._check_common(name)
        if not common.get("name"):
            raise self._error((), 'which dataset? Add "name: YourDataset.your_dataset" at the top')
        self._check_values(Options, common, ())
        stages = data[STAGES_KEY]
        if not isinstance(stages, list) or not stages:
            raise self._error((STAGES_KEY,), f'"{STAGES_KEY}" is a list of stages, such as "- generate"')
        read: list[PipelineStage] = []
        for number, stage in enumerate(stages):
            read.append(self._stage(stage, (STAGES_KEY, number), common, read))
        self._check_order(read)
        return Pipeline(self._path, common, tuple(read))

    def _check_common(self, name: str) -> None:
        if name in COMMON:
            return
        home = next((kind for names, kind in _HOMES if name in names), None)
        if home is not None:
            raise self._error((name,), f'"{name}" belongs to the stage "{home}"')
        raise self._error((name,), self._unknown(name, [*COMMON, STAGES_KEY], "at the top"))

    def _stage(
        self, stage: object, at: KeyPath, common: Mapping[str, object], before: Iterable[PipelineStage]
    ) -> PipelineStage:
        if isinstance(stage, str):
            stage = {stage: None}
        if not isinstance(stage, dict) or len(stage) != 1:
            raise self._error(at, 'a stage is a name, or a name with its options: "- translate: {languages: de}"')
        ((name, given),) = stage.items()
        if name not in list(StageKind):
            plain = name.replace("_", "-")
            near = f'; did you mean "{plain}"?' if plain in list(StageKind) else did_you_mean(name, StageKind)
            raise self._error((*at, name), f'there is no stage "{name}"{near or f": it is {alternatives(StageKind)}"}')
        kind, inner = StageKind(name), (*at, name)
        if given is not None and not isinstance(given, dict):
            raise self._error(inner, f'the options of "{kind}" are names with values, as {{name: value}}')
        options = self._named(given or {}, inner)
        for each in options:
            if each in _BUDGET and kind is not StageKind.REVIEW:
                raise self._error((*inner, each), f'"{each}" applies to all stages: put it at the top')
            if each not in OWN[kind]:
                raise self._error((*inner, each), self._unknown(each, OWN[kind], f'in the stage "{kind}"'))
        self._check_stage(kind, options, inner, common)
        title = str(options.get("name") or kind)
        same = sum(other.name.partition(" ")[0] == title for other in before)
        if same and kind is StageKind.REVIEW:
            raise self._error(inner, f'there are two gates "{title}"; give each its own name, as {{name: last-look}}')
        line = self._lines.get(inner, self._lines[at])
        return PipelineStage(kind, f"{title} {same + 1}" if same else title, options, line)

    def _check_stage(
        self, kind: StageKind, options: Mapping[str, object], at: KeyPath, common: Mapping[str, object]
    ) -> None:
        run = {name: value for name, value in options.items() if name in _ALL}
        if kind is StageKind.COLD_START:
            own = {each.name for each in fields(ColdStartOptions)}
            self._check_values(ColdStartOptions, {name: options[name] for name in options.keys() & own}, at)
            run = {name: value for name, value in run.items() if name not in own}
        if kind in (StageKind.JUDGE, *_ASKS, StageKind.TRANSLATE, StageKind.RELATE):
            if kind is StageKind.JUDGE:
                run = {"judge": JUDGE_ALL, **run}
            self._check_values(Options, run, at, common)
        for name in _FILES & options.keys():  # found missing now, not after other stages were paid for
            if "://" not in (file := str(options[name])) and not Path(file).exists():
                raise self._error((*at, name), f"{file}: there is no such file")
        if kind is StageKind.RELATE and "relate" not in options and "train" not in options:
            raise self._error(at, 'the stage "relate" needs "relate: nearest-by-text", or another relation')
        if kind is StageKind.TRANSLATE and "languages" in options:
            try:
                parse_languages(make_options(Options, {"languages": options["languages"]}).languages, ())
            except ConfigError as problem:
                raise self._error((*at, "languages"), str(problem)) from None
        if kind is StageKind.EXPORT:
            self._check_export(options, at)
        if kind is StageKind.REVIEW:
            self._check_gate(options, at)
        if kind is StageKind.BALANCE:
            self._check_balance(options, at)

    def _check_export(self, options: Mapping[str, object], at: KeyPath) -> None:
        names, reviewed = export_formats(options), options.get("reviewed")
        if reviewed and reviewed not in list(Reviewed):
            raise self._error((*at, "reviewed"), f"--reviewed {reviewed}: must be {alternatives(Reviewed)}.")
        if not names:
            raise self._error(at, f'the stage "export" needs a "format": {listed(FORMAT_NAMES)}')
        for name in names:
            if name not in FORMAT_NAMES:
                near = did_you_mean(name, FORMAT_NAMES)
                raise self._error((*at, "format"), f'there is no format "{name}"{near or f": {listed(FORMAT_NAMES)}"}')

    def _check_gate(self, options: Mapping[str, object], at: KeyPath) -> None:
        needs = options.get("needs")
        if needs is not None and (isinstance(needs, bool) or not isinstance(needs, int) or needs < 1):
            raise self._error((*at, "needs"), f'"needs" is a number of pairs that people decide about, not {needs!r}')
        if not isinstance(options.get("name", ""), str):
            raise self._error((*at, "name"), 'the "name" of a gate is text')

    def _check_balance(self, options: Mapping[str, object], at: KeyPath) -> None:
        most = options.get("most", {})
        if not isinstance(most, dict):
            raise self._error((*at, "most"), '"most" are groups with their largest shares, as {"answer:yes": 0.1}')
        count = options.get("count", 1)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise self._error((*at, "count"), f'"count" is a number of pairs, not {count!r}')

    def _check_values(
        self, kind: type, values: Mapping[str, object], at: KeyPath, common: Mapping[str, object] | None = None
    ) -> None:
        """Check values against the options of a kind, alone and together, and name the line of the one at fault."""
        try:
            make_options(kind, {**(common or {}), **values})
        except ConfigError as problem:
            for name, value in values.items():
                try:
                    make_options(kind, {name: value})
                except ConfigError as own:
                    if str(own) == str(problem):
                        raise self._error((*at, name), str(own)) from None
            raise self._error(at, str(problem)) from None

    def _named(self, given: Mapping[object, object], at: KeyPath) -> dict[str, object]:
        """Return options by their names in Python: with dashes, they are the same. Raises for one that is twice."""
        named: dict[str, object] = {}
        for key, value in given.items():
            name = str(key).replace("-", "_")
            if name in named:
                raise self._error((*at, str(key)), f'"{name}" is here twice')
            if value is None:
                raise self._error((*at, str(key)), f'"{name}" has no value; write one, or leave the line out')
            named[name] = value
        return named

    def _unknown(self, name: str, known: Iterable[str], where: str) -> str:
        near = did_you_mean(name, known)
        owner = next((kind for kind, names in OWN.items() if name in names), None)
        hint = near or (f'; it is an option of the stage "{owner}"' if owner else "")
        return f'there is no option "{name}" {where}{hint}'

    def _check_order(self, stages: Iterable[PipelineStage]) -> None:
        """Check that each stage has what it needs before it, and that no stage is repeated that may stand only once."""
        seen: set[StageKind] = set()
        for number, stage in enumerate(stages):
            at = (STAGES_KEY, number)
            if stage.kind not in _ASKS and StageKind.GENERATE not in seen:
                raise self._error(at, f'"{stage.kind}" needs pairs: put "- generate" before it')
            if stage.kind is StageKind.COLD_START and StageKind.GENERATE in seen:
                raise self._error(at, '"cold-start" finds examples for "generate": put it before that')
            if stage.kind in seen and stage.kind not in (StageKind.REVIEW, StageKind.EXPORT):
                raise self._error(at, f'the stage "{stage.kind}" is here twice')
            seen.add(stage.kind)
        if StageKind.GENERATE not in seen:
            raise self._error((STAGES_KEY,), 'a pipeline has the stage "generate"')


def export_formats(options: Mapping[str, object]) -> list[str]:
    """Return the formats that the options of an export name, as text with commas or as a list."""
    given = options.get("format") or []
    names = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else [given]
    return [text for each in names if (text := str(each).strip())]


def values_of(pipeline: Pipeline, stage: PipelineStage, names: Iterable[str]) -> dict[str, object]:
    """Return the options of a stage with those at the top, as far as `names` has them."""
    return {name: value for name, value in {**pipeline.common, **stage.options}.items() if name in set(names)}


RUN_NAMES = frozenset(EndpointValues.__annotations__) | frozenset(RunValues.__annotations__)  #: of `api.run`
TRANSLATE_NAMES = frozenset(EndpointValues.__annotations__)  #: of `api.translate`
