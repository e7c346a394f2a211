"""The plugin contract, and what the core makes of a plugin: checked queries and a checked prefix."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from syphus.answers.cleaning.rules import Rule
from syphus.answers.parsing.pairs import parse_pairs
from syphus.errors import InputError, PluginError, PromptError, UsageError
from syphus.io.text_files import BadRecords, bad_records
from syphus.plugins.prompts import find_prompt, read_prompt, to_prompt_template
from syphus.plugins.rows import to_query
from syphus.plugins.sandbox import PluginCode
from syphus.types import Frame, Pair, Parsed, PromptTemplate, Query, Relation, Still, Train, Video

if TYPE_CHECKING:  # hardly a plugin has one, and every command would load the whole room
    from syphus.answers.scoring.candidates import Heuristic

MAX_SKIPPED_RECORDS = 1_000  #: records that a plugin may fail on: the input is read once more for each

_END = object()


class AbstractDataset(ABC):
    """A dataset plugin: a class in a file of `datasets/`, with nothing to register.

    Only `_load_query_inputs` must be written. Run it with `--name YourDataset.your_dataset`. The constructor takes no
    arguments or the three below, and reads nothing.
    """

    short_name: str  #: prefix of every id (SD_INS_..., SD_IMG_...); default: the capitals of the class name
    prompt: str  #: name of the prompt file, without folder and ending; default: the name of the module
    description: str  #: one line for listings; default: the first line of the docstring
    query_inputs_path: str = ""  #: where the annotations are when the user does not say
    prompt_path: str = ""  #: where the prompt file is, when it is not found by its name
    licence: str = ""  #: of the annotations, as the Hugging Face hub names it ("cc-by-4.0"), or in words
    citation: str = ""  #: of the source, as BibTeX
    homepage: str = ""  #: of the source, a URL
    example: str = ""  #: file or folder in `examples/` with made-up annotations of the same shape
    rules: Sequence[Rule] = ()  #: rules of cleaning besides the general ones
    without_rules: Sequence[str] = ()  #: names of general rules that do not hold here
    relation: str = ""  #: the context of pairs, by the name of a `Relation`; "" as `related` says
    train: Train = Train()  #: which pairs are the keys of the train file
    set_names: Mapping[str, str] = {}  #: the `short_name` of a run with another relation, by its name
    heuristics: Sequence[Heuristic] = ()  #: ways to score an answer as an in-context example, besides the general ones
    brings_pairs: bool = False  #: rows may come with their `pairs`; if all do, a run needs no endpoint

    _defaulted: ClassVar[frozenset[str]] = frozenset({"short_name", "prompt", "description"})

    def __init__(self, name: str = "", prompt_path: str = "", query_inputs_path: str = "") -> None:
        self.name = name or type(self).__name__
        self.prompt_path = prompt_path or self.prompt_path
        self.query_inputs_path = query_inputs_path or self.query_inputs_path

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        cls._defaulted = frozenset(name for name in cls._defaulted if name not in vars(cls))
        for name in cls._defaulted:
            setattr(cls, name, _default(cls, name))

    @abstractmethod
    def _load_query_inputs(self, path: str) -> Iterable[Mapping[str, object]]:
        """Returns or yields the rows, one dict a query; yielding keeps the memory flat.

        - `id`: text or a whole number, unique in the dataset and the same on every run.
        - `sentences`: the query, as the model gets to see it: text, or a list of texts (one line each).
        - `image_ids` (optional): keys of its images, e.g. ["SD_IMG_00076_1", "SD_IMG_00076_2"].
        - `meta` (optional): a dict of JSON values to find again in the output.
        - `pairs` (optional): a list of `Pair`, where the source has them already: no model is asked then.
        - `images` (optional): what the model is shown besides: a list of paths, of bytes of image files, or of
          {"id": "SD_IMG_00076_1"}, which is looked up where `--images` says.
        """

    def _also_reads(self, path: str) -> Iterable[str | Path]:  # noqa: ARG002  for those who override it
        """Other files that the rows depend on, whether they are there or not; by default none.

        If none of them has changed since the last start, and the one at `path` has not, the input is not read again.
        """
        return ()

    def _load_images(self, path: str) -> Iterable[Still | Frame | Video]:  # noqa: ARG002  for those who override it
        """Returns or yields where the images are, for `convert`: a `Still` or a `Frame` each, or a whole `Video`.

        `path` is what `--image_path` says, often a folder. Ids are those that `image_ids` of the rows name. Where the
        user names annotations, only what these name is converted; `query_inputs_path` is then their path, otherwise "".
        """
        raise PluginError(f"{plugin_name(type(self))} does not say where its images are: it has no _load_images")

    def _load_prefix(self, path: str) -> Mapping[str, object]:
        """`{"system_message": str, "in_context": [{"role": ..., "content": ...}, ...]}`; default: the prompt file."""
        return read_prompt(path)

    def render_query(self, query: Query) -> str:
        """The user turn of a query; by default its text."""
        return query.text

    def parse_response(self, text: str, query: Query) -> Parsed:  # noqa: ARG002  for those who override it
        """Reads an answer; by default as pairs of Question and Answer."""
        return parse_pairs(text)

    def check_pairs(self, query: Query, pairs: Sequence[Pair]) -> Sequence[str]:  # noqa: ARG002  as above
        """What is wrong with the pairs, each in a few words ("fewer than 3 pairs"); any makes the answer invalid."""
        return ()

    def instruction_id(self, query: Query, number: int) -> str:
        """The id of a query's pair, which is number 1, 2, ..., where the parser has given it none."""
        return f"{self.short_name}_INS_{query.id}_{number}"

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:
        """Which of a query's pairs, by number from 1, the `rel_ins_ids` of pair `number` name.

        By default what `relation` says: all others where it is "" or "siblings", those before it for "earlier rounds".
        The pairs have their ids already.
        """
        if self.relation == Relation.EARLIER:
            return list(range(1, number))
        if self.relation not in ("", Relation.SIBLINGS):
            return ()
        return [other for other in range(1, len(pairs) + 1) if other != number]

    # The two that the core calls; plugins leave them alone.

    def _rows(self, path: str) -> Iterable[object]:
        return check_rows(self, self._load_query_inputs(path))

    def _prefix(self, path: str) -> PromptTemplate:
        own = type(self)._load_prefix is not AbstractDataset._load_prefix
        source = path or prompt_file(self, self.prompt, needed=not own)
        folder = Path(source).parent if source else plugin_root(self)
        return to_prompt_template(self._load_prefix(source), source or plugin_name(type(self)), folder=folder)


def queries(dataset: AbstractDataset, path: str | Path = "", tolerance: BadRecords | None = None) -> Iterator[Query]:
    """The rows of a plugin as checked queries, one by one, read from `path` or else from where the plugin says.

    Raises InputError or PluginError for the first row that is not as `AbstractDataset._load_query_inputs` wants it, or
    that the plugin fails on: one line that names the record or the row, and the plugin. Ids may still repeat. With a
    `tolerance`, a bad row, a bad line of JSON Lines, or a record that is left out becomes a query with a `problem`
    instead, called "bad row 812"; for a record that the plugin fails on see `leave_out`.
    """
    code = plugin_code(dataset)
    code.run(bad_records.set, tolerance)
    found = tolerance.problems if tolerance else []
    found.clear()
    source = str(path) or resolve_path(dataset, dataset.query_inputs_path)
    rows = code.run(lambda: iter(dataset._rows(source)))
    try:
        while True:
            code.row += 1
            row = code.run(next, rows, _END)
            while found:
                yield _bad_row(code, found.pop(0))
                code.row += 1
            if row is _END:
                return
            try:
                query = _checked(row, code)
            except UsageError as error:
                if tolerance is None:
                    raise
                query = _bad_row(code, str(error))
            yield query
    finally:
        code.run(getattr(rows, "close", bool))


def input_files(dataset: AbstractDataset, path: str) -> list[Path]:
    """The file at `path`, and what else the plugin says it reads. Raises what `queries` would raise."""
    others = plugin_code(dataset).run(lambda: [Path(each) for each in dataset._also_reads(path)])
    return [Path(path), *others]


def skip_failing_records(
    dataset: AbstractDataset, path: str | Path, tolerance: BadRecords, fault: UsageError | None = None
) -> None:
    """Has `queries`, which may have ended with `fault`, leave out all records that the plugin fails on.

    A generator that has raised is finished, so the input is read once more for each of them; after that `queries` goes
    through. Raises `fault`, or the next one, where no record is at fault that a reader of ours could leave out.
    """
    error = fault or _next_fault(dataset, path, tolerance)
    while error is not None:
        record = error.record if isinstance(error, InputError) else None
        if isinstance(error, InputError) and (record is None or record in tolerance.skipped):
            raise error
        if record is None or tolerance.has_parallel_files:
            why = "several files are read side by side" if record else "no record of read_json or its like is at fault"
            raise type(error)(f"{error}; --allow-bad-rows can't help here: {why}") from error.__cause__
        if len(tolerance.skipped) == MAX_SKIPPED_RECORDS:
            raise InputError(
                f"{error}; the plugin fails on more than {MAX_SKIPPED_RECORDS:,} records"
            ) from error.__cause__
        tolerance.skipped[record] = str(error)
        error = _next_fault(dataset, path, tolerance)


def _next_fault(dataset: AbstractDataset, path: str | Path, tolerance: BadRecords) -> UsageError | None:
    try:
        deque(queries(dataset, path, tolerance), maxlen=0)
    except (InputError, PluginError) as error:
        return error
    return None


def load_prompt_template(dataset: AbstractDataset, path: str | Path = "") -> PromptTemplate:
    """The checked system message and in-context examples of a plugin, from the prompt file at `path`.

    Without a path it is the plugin's own: `prompt_path`, or else `prompt` in `prompts/` beside the plugin's folder, in
    `./prompts`, or in the shipped ones. Raises PromptError, or PluginError when the plugin's own `_load_prefix` fails.
    """
    return plugin_code(dataset).run(dataset._prefix, str(path))


def plugin_name(plugin: type[AbstractDataset]) -> str:
    """`SpotTheDifference.change`: what `--name` takes."""
    return f"{plugin.__name__}.{plugin.__module__.rpartition('.')[2]}"


def plugin_code(dataset: AbstractDataset) -> PluginCode:
    """Calls the plugin's hooks so that a fault in them becomes one line: `plugin_code(d).run(d.related, pairs, 1)`."""
    files = {_file(cls) for cls in type(dataset).__mro__ if cls is not AbstractDataset}
    return PluginCode(plugin_name(type(dataset)), files)


def apply_short_name(dataset: AbstractDataset, relation: str) -> None:
    """Gives the dataset the `short_name` that it has with this relation, if that is another than usual."""
    dataset.short_name = dataset.set_names.get(relation, dataset.short_name)


def shipped_folder(kind: Literal["datasets", "prompts", "examples"]) -> Path:
    """The folder of what comes with Syphus: in a checkout beside the package, in the wheel inside of it."""
    package = Path(__file__).parent.parent
    inside = package / "builtin" / kind
    return inside if inside.is_dir() else package.parent / kind


def plugin_root(dataset: AbstractDataset) -> Path:
    """The folder above the plugin's `datasets/`."""
    return Path(_file(type(dataset))).parent.parent


def resolve_path(dataset: AbstractDataset, path: str) -> str:
    """A path that a plugin names: as it is if that exists, otherwise from `home` if that does."""
    there = plugin_root(dataset) / path
    return str(there) if path and there.exists() and not Path(path).exists() else str(path)


def prompt_file(dataset: AbstractDataset, name: str, *, needed: bool) -> str:
    """The plugin's own prompt file; when there is none, PromptError if it is `needed`, otherwise ""."""
    if dataset.prompt_path:
        return resolve_path(dataset, dataset.prompt_path)
    try:
        return str(find_prompt(name, [plugin_root(dataset) / "prompts", Path("prompts"), shipped_folder("prompts")]))
    except PromptError:
        if needed:
            raise
        return ""


def check_rows(dataset: AbstractDataset, rows: object) -> Iterable[object]:
    """What `_load_query_inputs` gave, if it can be a series of rows. Raises PluginError."""
    if not isinstance(rows, Iterable) or isinstance(rows, (str, Mapping)):
        name = plugin_name(type(dataset))
        raise PluginError(f"{name}: _load_query_inputs must return or yield dicts, it returned {type(rows).__name__}")
    return rows


def _checked(row: object, code: PluginCode) -> Query:
    try:
        return to_query(row)
    except UsageError as error:
        raise type(error)(f"{code.location()}: {error} ({code.name})") from None


def _bad_row(code: PluginCode, problem: str) -> Query:
    return Query(f"bad row {code.row}", "", problem=problem)


def _file(cls: type) -> str:
    return getattr(sys.modules.get(cls.__module__), "__file__", None) or "unknown"


def _default(plugin: type[AbstractDataset], attribute: str) -> str:
    if attribute == "short_name":
        return "".join(letter for letter in plugin.__name__ if letter.isupper()) or plugin.__name__.upper()
    if attribute == "prompt":
        return plugin.__module__.rpartition(".")[2]
    return (vars(plugin).get("__doc__") or "").strip().partition("\n")[0]
