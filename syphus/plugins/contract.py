"""The plugin contract, and what the core gets from a plugin: checked queries and a checked prompt template."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from syphus.answers.cleaning.rules import Rule
from syphus.answers.parsing.json_forms import PAIRS_FORM, JsonForm, schema_problem
from syphus.answers.parsing.pairs import Parsed, parse_pairs
from syphus.declarations import Frame, Relation, Still, Train, Video
from syphus.errors import InputError, PluginError, PromptError, UsageError
from syphus.io.records import missing_file
from syphus.io.text_files import BadRecords, bad_records
from syphus.plugins.input_sources import fetched_shards, local_shard
from syphus.plugins.prompts import PromptTemplate, find_prompt, read_prompt, to_prompt_template
from syphus.plugins.rows import to_query
from syphus.plugins.sandbox import PluginCode
from syphus.storage.local_copies import with_urls
from syphus.types import Pair, Query

if TYPE_CHECKING:  # few plugins have heuristics, and every command would import all of scoring
    from syphus.answers.scoring.candidates import Heuristic

MAX_SKIPPED_RECORDS = 1_000  #: records that a plugin may fail on; the input is read again for each

_END = object()


class AbstractDataset(ABC):
    """A dataset plugin: a class in a file of `datasets/`, without registration.

    Only `_load_query_inputs` is required. Run it with `--name YourDataset.your_dataset`. The constructor takes no
    arguments or the three below, and reads no files.
    """

    short_name: str  #: prefix of every id (SD_INS_..., SD_IMG_...); default: the capitals of the class name
    prompt: str  #: name of the prompt file, without folder and suffix; default: the name of the module
    description: str  #: one line for listings; default: the first line of the docstring
    query_inputs_path: str = ""  #: default path of the annotations
    prompt_path: str = ""  #: path of the prompt file, if it is not found by its name
    licence: str = ""  #: of the annotations, by its name on the Hugging Face Hub ("cc-by-4.0"), or in words
    citation: str = ""  #: of the source, as BibTeX
    homepage: str = ""  #: of the source, a URL
    example: str = ""  #: file or folder in `examples/` with made-up annotations of the same shape
    rules: Sequence[Rule] = ()  #: cleaning rules besides the general ones
    without_rules: Sequence[str] = ()  #: names of general rules to switch off
    relation: str = ""  #: the context of pairs, as the name of a `Relation`; "": by `related`
    train: Train = Train()  #: which pairs are the keys of the train file
    set_names: Mapping[str, str] = {}  #: the `short_name` of a run with another relation, by the name of the relation
    heuristics: Sequence[Heuristic] = ()  #: scores for in-context examples besides the general ones
    json_form: JsonForm | None = PAIRS_FORM  #: the answers as JSON, for prompts with `form: json`; None: text only
    brings_pairs: bool = False  #: rows may have their own `pairs`; if all do, a run needs no endpoint

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
        """Return or yield the rows, one dict per query; yielding keeps memory use constant.

        - `id`: text or a whole number, unique in the dataset and the same in every run.
        - `sentences`: the query as the model sees it: text, or a list of texts (one line each).
        - `image_ids` (optional): keys of its images, such as ["SD_IMG_00076_1", "SD_IMG_00076_2"].
        - `meta` (optional): a dict of JSON values to find again in the output.
        - `pairs` (optional): a list of `Pair`, if the source already has them; no model is asked then.
        - `images` (optional): images to send with the query: a list of paths, of the contents of image files as
          bytes, or of {"id": "SD_IMG_00076_1"}, which is looked up in `--images`.
        """

    def _also_reads(self, path: str) -> Iterable[str | Path]:  # noqa: ARG002  for subclasses
        """Return other files that the rows depend on, whether they exist or not; by default none.

        If neither these files nor the one at `path` have changed since the last start, the input is not read again.
        """
        return ()

    def _load_images(self, path: str) -> Iterable[Still | Frame | Video]:  # noqa: ARG002  for subclasses
        """Return or yield the images for `convert`: a `Still` or a `Frame` for each, or a whole `Video`.

        `path` is the value of `--image_path`, often a folder. The ids are those in `image_ids` of the rows. If the user
        names annotations, `query_inputs_path` is their path and only their images are converted; otherwise it is "".
        """
        raise PluginError(f"{plugin_name(type(self))} does not say where its images are: it has no _load_images")

    def _load_prefix(self, path: str) -> Mapping[str, object]:
        """`{"system_message": str, "in_context": [{"role": ..., "content": ...}, ...]}`; default: the prompt file."""
        return read_prompt(path)

    def render_query(self, query: Query) -> str:
        """Return the user turn of a query; by default its text."""
        return query.text

    def parse_response(self, text: str, query: Query) -> Parsed:  # noqa: ARG002  for subclasses
        """Parse an answer; by default as pairs of Question and Answer.

        If JSON was asked for, `text` is JSON that keeps to the schema of `json_form`, or else the answer as it came.
        """
        return parse_pairs(text)

    def check_pairs(self, query: Query, pairs: Sequence[Pair]) -> Sequence[str]:  # noqa: ARG002  as above
        """Return problems of the pairs, in a few words each ("fewer than 3 pairs"); any makes the answer invalid."""
        return ()

    def instruction_id(self, query: Query, number: int) -> str:
        """Return the id of pair `number` (1, 2, ...) of a query, if the parser gave it none."""
        return f"{self.short_name}_INS_{query.id}_{number}"

    def related(self, pairs: Sequence[Pair], number: int) -> Sequence[int]:
        """Return the context of pair `number` (its `rel_ins_ids`), as numbers of the query's pairs, from 1.

        The default follows `relation`: all other pairs for "" or "siblings", and the pairs before it for "earlier
        rounds". The pairs already have their ids.
        """
        if self.relation == Relation.EARLIER:
            return list(range(1, number))
        if self.relation not in ("", Relation.SIBLINGS):
            return ()
        return [other for other in range(1, len(pairs) + 1) if other != number]

    # The core calls these two; plugins don't override them.

    def _rows(self, path: str) -> Iterable[object]:
        return check_rows(self, self._load_query_inputs(path))

    def _prefix(self, path: str) -> PromptTemplate:
        overridden = type(self)._load_prefix is not AbstractDataset._load_prefix
        source = path or prompt_file(self, self.prompt, needed=not overridden)
        folder = Path(source).parent if source else plugin_root(self)
        return to_prompt_template(self._load_prefix(source), source or plugin_name(type(self)), folder=folder)


def queries(dataset: AbstractDataset, path: str | Path = "", bad_rows: BadRecords | None = None) -> Iterator[Query]:
    """Yield the rows of a plugin as checked queries, read from `path` or from the plugin's default path.

    `path` may be a URL, or stand for several files (`input_sources.py`), whose rows follow each other.

    Raises `InputError` or `PluginError` for the first row that breaks the contract of `_load_query_inputs` or that the
    plugin fails on: one line that names the record or row, and the plugin. Ids may still repeat. With `bad_rows`, a bad
    row, a bad line of JSON Lines or a skipped record becomes a query with a `problem` instead, with an id such as "bad
    row 812"; for records that the plugin fails on, see `skip_failing_records`.
    """
    shards = fetched_shards(str(path) or resolve_path(dataset, dataset.query_inputs_path))
    try:
        yield from _queries(dataset, shards, bad_rows)
    except UsageError as error:
        cause = error.__cause__
        if isinstance(cause, FileNotFoundError) and str(cause.filename) in shards:
            raise missing_file(str(cause.filename)) from cause
        error.args = (with_urls(str(error)), *error.args[1:])
        raise


def _queries(dataset: AbstractDataset, shards: Sequence[str], bad_rows: BadRecords | None) -> Iterator[Query]:
    code = plugin_code(dataset)
    code.run(bad_records.set, bad_rows)
    found = bad_rows.problems if bad_rows else []
    found.clear()
    paths = (local_shard(each, lambda path: input_files(dataset, path)[1:]) for each in shards)
    rows: Iterator[object] = code.run(lambda path: iter(dataset._rows(path)), next(paths))
    if len(shards) > 1:
        rows = chain(rows, chain.from_iterable(map(dataset._rows, paths)))
    try:
        while True:
            code.row += 1
            row = code.run(next, rows, _END)
            while found:
                yield _bad_row(code, with_urls(found.pop(0)))
                code.row += 1
            if row is _END:
                return
            try:
                query = _checked(row, code)
            except UsageError as error:
                if bad_rows is None:
                    raise
                query = _bad_row(code, with_urls(str(error)))
            yield query
    finally:
        code.run(getattr(rows, "close", bool))


def input_files(dataset: AbstractDataset, path: str) -> list[Path]:
    """Return the file at `path` and the other files that the plugin reads. Raises the same errors as `queries`."""
    others = plugin_code(dataset).run(lambda: [Path(each) for each in dataset._also_reads(path)])
    return [Path(path), *others]


def skip_failing_records(
    dataset: AbstractDataset, path: str | Path, bad_rows: BadRecords, error: UsageError | None = None
) -> None:
    """Make `queries`, which may have failed with `error`, skip all records that the plugin fails on.

    See `skip_failing`. Raises the error if it is not caused by a record that one of our readers can skip.
    """
    skip_failing(lambda: queries(dataset, path, bad_rows), bad_rows, error)


def skip_failing(read: Callable[[], Iterable[object]], bad_rows: BadRecords, error: UsageError | None = None) -> None:
    """Make what `read` returns skip all records that the plugin fails on.

    A generator that has raised is finished, so the input is read again for each such record; after that, reading it
    succeeds. Raises the error if it is not caused by a record that one of our readers can skip.
    """
    error = error or _next_error(read)
    while error is not None:
        record = error.record if isinstance(error, InputError) else None
        if isinstance(error, InputError) and (record is None or record in bad_rows.skipped):
            raise error
        if record is None or bad_rows.has_parallel_files:
            not_ours = "the error is not in a record of read_json or a similar function"
            why = "several files are read side by side" if record else not_ours
            raise type(error)(f"{error}; --allow-bad-rows can't help here: {why}") from error.__cause__
        if len(bad_rows.skipped) == MAX_SKIPPED_RECORDS:
            raise InputError(
                f"{error}; the plugin fails on more than {MAX_SKIPPED_RECORDS:,} records"
            ) from error.__cause__
        bad_rows.skipped[record] = str(error)
        error = _next_error(read)


def _next_error(read: Callable[[], Iterable[object]]) -> UsageError | None:
    try:
        deque(read(), maxlen=0)
    except (InputError, PluginError) as error:
        return error
    return None


def with_bad_rows_hint(fault: UsageError) -> UsageError:
    """Return an error with the option that leaves its record out, if it is in a single record."""
    if fault.record is None or fault.has_hint:
        return fault
    return type(fault)(f"{fault}. To count such rows as failed, add --allow-bad-rows", fault.record, has_hint=True)


def load_prompt_template(dataset: AbstractDataset, path: str | Path = "") -> PromptTemplate:
    """Return the checked system message and in-context examples of a plugin, from the prompt file at `path`.

    Without a path, use the plugin's own prompt: `prompt_path`, or the file named by `prompt` in `prompts/` beside the
    plugin's folder, in `./prompts`, or among the shipped prompts. Raises `PromptError`, or `PluginError` if the
    plugin's own `_load_prefix` fails.
    """
    return plugin_code(dataset).run(dataset._prefix, str(path))


def structured_form(dataset: AbstractDataset, wanted: bool) -> JsonForm | None:
    """Return the JSON form of a plugin's answers if JSON is `wanted`, else None.

    A class that overrides `parse_response` needs a `json_form` of its own: pairs may not be what it reads. Raises
    `PluginError` if there is none, or if its schema is one that not all servers take.
    """
    if not wanted:
        return None
    name, form = plugin_name(type(dataset)), dataset.json_form
    if not isinstance(form, JsonForm) or _definer(dataset, "parse_response") < _definer(dataset, "json_form"):
        raise PluginError(
            f"{name} has no JSON form: its parse_response needs a json_form; or ask for text, with --structured never"
        )
    if problem := schema_problem(form.schema):
        raise PluginError(f"{name}: the schema of json_form: {problem}")
    return form


def _definer(dataset: AbstractDataset, attribute: str) -> int:
    """Return how many classes up an attribute is defined, 0 for the plugin's own class."""
    if attribute in vars(dataset):
        return -1
    return next(index for index, cls in enumerate(type(dataset).__mro__) if attribute in vars(cls))


def plugin_name(plugin: type[AbstractDataset]) -> str:
    """Return the name for `--name`, such as `SpotTheDifference.change`."""
    return f"{plugin.__name__}.{plugin.__module__.rpartition('.')[2]}"


def plugin_code(dataset: AbstractDataset) -> PluginCode:
    """Return a caller that turns errors in hooks into one line: `plugin_code(d).run(d.related, pairs, 1)`."""
    files = {_file(cls) for cls in type(dataset).__mro__ if cls is not AbstractDataset}
    return PluginCode(plugin_name(type(dataset)), files)


def default_short_name(plugin: type[AbstractDataset]) -> str:
    """Return the `short_name` of a class that has none of its own: the capitals of its name."""
    return "".join(letter for letter in plugin.__name__ if letter.isupper()) or plugin.__name__.upper()


def apply_short_name(dataset: AbstractDataset, relation: str) -> None:
    """Set the `short_name` that the dataset has with this relation, if it differs from the default."""
    dataset.short_name = dataset.set_names.get(relation, dataset.short_name)


def shipped_folder(kind: Literal["datasets", "prompts", "examples"]) -> Path:
    """Return a folder that comes with Syphus: beside the package in a checkout, inside the package in a wheel."""
    package = Path(__file__).parent.parent
    inside = package / "builtin" / kind
    return inside if inside.is_dir() else package.parent / kind


def plugin_root(dataset: AbstractDataset) -> Path:
    """Return the folder above the plugin's `datasets/`."""
    return Path(_file(type(dataset))).parent.parent


def resolve_path(dataset: AbstractDataset, path: str) -> str:
    """Resolve a path that a plugin names: as it is if it exists, otherwise relative to `plugin_root` if that exists."""
    beside_plugin = plugin_root(dataset) / path
    return str(beside_plugin) if path and beside_plugin.exists() and not Path(path).exists() else str(path)


def prompt_file(dataset: AbstractDataset, name: str, *, needed: bool) -> str:
    """Return the plugin's own prompt file. If there is none, return "", or raise `PromptError` if it is `needed`."""
    if dataset.prompt_path:
        return resolve_path(dataset, dataset.prompt_path)
    try:
        return str(find_prompt(name, [plugin_root(dataset) / "prompts", Path("prompts"), shipped_folder("prompts")]))
    except PromptError:
        if needed:
            raise
        return ""


def check_rows(dataset: AbstractDataset, rows: object) -> Iterable[object]:
    """Return what `_load_query_inputs` returned if it can be a series of rows. Raises `PluginError`."""
    if not isinstance(rows, Iterable) or isinstance(rows, (str, Mapping)):
        name = plugin_name(type(dataset))
        raise PluginError(f"{name}: _load_query_inputs must return or yield dicts, it returned {type(rows).__name__}")
    return rows


def _checked(row: object, code: PluginCode) -> Query:
    try:
        return to_query(row)
    except UsageError as error:
        raise type(error)(f"{code.location()}: {error} ({code.name})", (code.name, code.row)) from None


def _bad_row(code: PluginCode, problem: str) -> Query:
    return Query(f"bad row {code.row}", "", problem=problem)


def _file(cls: type) -> str:
    return getattr(sys.modules.get(cls.__module__), "__file__", None) or "unknown"


def _default(plugin: type[AbstractDataset], attribute: str) -> str:
    if attribute == "short_name":
        return default_short_name(plugin)
    if attribute == "prompt":
        return plugin.__module__.rpartition(".")[2]
    return (vars(plugin).get("__doc__") or "").strip().partition("\n")[0]
