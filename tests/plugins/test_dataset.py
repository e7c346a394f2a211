from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from syphus.answers.parsing.pairs import Parsed
from syphus.errors import InputError, PluginError, PromptError, UsageError
from syphus.io.records import read_json, read_jsonl
from syphus.plugins.contract import AbstractDataset, load_prompt_template, plugin_code, queries
from syphus.types import Pair, Query

Rows = Iterable[Mapping[str, object]]
SAID = "Toy.test_dataset"


class Toy(AbstractDataset):
    """A toy dataset.

    It hands on the rows that a function makes of the path.
    """

    def __init__(self, make: Callable[[str], Rows]) -> None:
        super().__init__()
        self.make = make

    def _load_query_inputs(self, path: str) -> Rows:
        return self.make(path)


def toy(*rows: object) -> Toy:
    return Toy(lambda _: rows)  # type: ignore[arg-type, return-value]  # rows of wrong types are what is tested


def only(**row: object) -> Query:
    (query,) = queries(toy({"id": "a", "sentences": "x", **row}))
    return query


def failure(dataset: AbstractDataset, path: Path | str = "") -> UsageError:
    with pytest.raises(UsageError) as caught:
        list(queries(dataset, path))
    assert "\n" not in str(caught.value)
    return caught.value


def save(path: Path, *records: object) -> Path:
    path.write_text("[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]", encoding="utf-8")
    return path


def test_rows_become_queries() -> None:
    rows = [
        {"id": "a", "sentences": "x\ny"},
        {
            "id": 7,
            "sentences": ["one", "", "two"],
            "image_ids": ["I_1", "I_2"],
            "meta": {"k": [1.5, None, True, {"l": "ü"}]},
        },
        MappingProxyType({"id": "ü", "sentences": ""}),
    ]
    assert list(queries(toy(*rows))) == [
        Query("a", "x\ny"),
        Query("7", "one\n\ntwo", ("I_1", "I_2"), {"k": [1.5, None, True, {"l": "ü"}]}),
        Query("ü", ""),
    ]


def test_nothing_is_normalised() -> None:
    texts = ["  x \r\n", "\u00e9", "e\u0301", "a\u2028b", "01"]
    rows = [{"id": text, "sentences": text} for text in texts]
    assert [(query.id, query.text) for query in queries(toy(*rows))] == list(zip(texts, texts, strict=True))


def test_a_row_that_is_changed_later_changes_no_query() -> None:
    row: dict[str, object] = {"id": "a", "sentences": ["x"], "image_ids": ["i"], "meta": {"k": [1]}}
    rows = queries(toy(row))
    query = next(rows)
    for value in row.values():
        if isinstance(value, list):
            value.append("later")
    row["meta"]["k"].append(2)  # type: ignore[index]  # it is the dict above
    assert query == Query("a", "x", ("i",), {"k": [1]})


def test_the_longest_id_is_allowed() -> None:
    assert only(id="ü" * 512).id == "ü" * 512


LOOP: dict[str, object] = {}
LOOP["self"] = LOOP
BAD_PARTS: dict[str, tuple[dict[str, object], type[UsageError], str]] = {
    "id of nothing": ({"id": None}, PluginError, '"id" must be text or a whole number, this is NoneType'),
    "id of a float": ({"id": 1.0}, PluginError, '"id" must be text or a whole number, this is float'),
    "id of true": ({"id": True}, PluginError, '"id" must be text or a whole number, this is bool'),
    "empty id": ({"id": ""}, InputError, "the id is empty"),
    "blank id": ({"id": " \n"}, InputError, "the id is empty"),
    "long id": ({"id": "a" * 513}, InputError, "the id has 513 characters; 512 are allowed"),
    "NUL in the id": ({"id": "a\0"}, InputError, '"id" holds a NUL character'),
    "text of bytes": ({"sentences": b"x"}, PluginError, '"sentences" must be text or a list of texts, this is bytes'),
    "list of numbers": ({"sentences": ["x", 1]}, PluginError, '"sentences" must be text or a list of texts'),
    "lone surrogate": ({"sentences": "é\udc80"}, InputError, '"sentences" holds half a surrogate pair (U+DC80)'),
    "NUL in a list": ({"sentences": ["\0"]}, InputError, '"sentences" holds a NUL character'),
    "image_ids of text": ({"image_ids": "i"}, PluginError, '"image_ids" must be a list of texts, this is str'),
    "empty image id": ({"image_ids": [""]}, PluginError, "texts that are not empty, it holds ''"),
    "image id of a number": ({"image_ids": [1]}, PluginError, "texts that are not empty, it holds 1"),
    "lone surrogate in an image id": ({"image_ids": ["\ud800"]}, InputError, '"image_ids" holds half a surrogate pair'),
    "images": ({"images": "x.png"}, PluginError, '"images" must be a list, this is str'),
    "unknown keys": ({"z": 1, "imageids": []}, PluginError, 'unknown key "imageids", "z"; did you mean "image_ids"?'),
    "meta of a list": ({"meta": []}, PluginError, '"meta" must be a dict, this is list'),
    "meta of a set": ({"meta": {"k": {1}}}, PluginError, "JSON values only, {1} is set"),
    "meta of NaN": ({"meta": {"k": float("nan")}}, PluginError, "JSON values only, nan is float"),
    "meta of NUL": ({"meta": {"k": ["\0"]}}, InputError, '"meta" holds a NUL character'),
    "meta with a number for a key": ({"meta": {"k": {1: 2}}}, PluginError, "a key must be text, 1 is int"),
    "meta that holds itself": ({"meta": LOOP}, PluginError, '"meta" is nested too deeply'),
}
BAD_ROWS: dict[str, tuple[object, type[UsageError], str]] = {
    "no dict": ("x", PluginError, "a row must be a dict, this is str"),
    "no id": ({"sentences": "x"}, PluginError, 'no "id"'),
    "no sentences": ({"id": "a"}, PluginError, 'no "sentences"'),
    **{name: ({"id": "a", "sentences": "x", **part}, kind, told) for name, (part, kind, told) in BAD_PARTS.items()},
}


@pytest.mark.parametrize(("row", "kind", "problem"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_reported_with_its_number_and_plugin(row: object, kind: type[UsageError], problem: str) -> None:
    good = {"id": "good", "sentences": "x"}
    error = failure(toy(good, good, row))
    assert type(error) is kind
    assert str(error).startswith(f"{SAID}: row 3: ")
    assert problem in str(error)


def test_a_bad_row_made_of_a_record_is_reported_with_its_record_and_the_plugin(tmp_path: Path) -> None:
    path = save(tmp_path / "train.json", {"id": "a"}, {"id": ""})
    error = failure(Toy(lambda path: ({**record, "sentences": "x"} for record in read_json(path))), path)
    assert str(error) == f"{path}: record 2 (line 3): the id is empty ({SAID})"


def test_a_fault_after_a_record_was_looked_at_in_passing_is_not_laid_on_that_record(tmp_path: Path) -> None:
    def rows(path: str) -> Rows:
        first = next(read_json(path))
        yield {"id": first["id"], "sentences": "x"}
        raise ValueError

    path = save(tmp_path / "a.json", {"id": "a"}, {"id": "b"})
    assert str(failure(Toy(rows), path)).startswith(f"{SAID}: row 2: ValueError (test_dataset.py:")


def test_a_reader_of_the_callers_own_is_not_taken_for_the_plugins(tmp_path: Path) -> None:
    for _ in read_json(save(tmp_path / "a.json", 1)):
        assert str(failure(toy("x"))).startswith(f"{SAID}: row 1: a row must be a dict")


def test_of_nested_readers_the_inner_record_is_reported(tmp_path: Path) -> None:
    def rows(path: str) -> Rows:
        for _ in read_json(path):
            for inner in read_json(path):
                yield {"id": inner["id"], "sentences": "x"}

    path = save(tmp_path / "a.json", {"id": "a"}, {})
    assert str(failure(Toy(rows), path)).startswith(f'{path}: record 2 (line 3): no "id"; it has no keys (test')


def timestamps(path: str) -> Iterator[Mapping[str, object]]:
    for record in read_json(path):
        yield {"id": record["id"], "sentences": str(record["timestamps"])}


def test_an_exception_in_a_plugin_is_reported_with_the_record_and_the_plugins_line(tmp_path: Path) -> None:
    path = save(tmp_path / "train.json", {"id": 1, "timestamps": []}, {"id": 2})
    error = failure(Toy(timestamps), path)
    line = timestamps.__code__.co_firstlineno + 2
    assert str(error) == f'{path}: record 2 (line 3): no "timestamps"; it has id (test_dataset.py:{line})'
    assert type(error) is InputError
    assert isinstance(error.__cause__, KeyError)


def test_the_reported_line_is_the_plugins_own_even_if_the_library_fails(tmp_path: Path) -> None:
    def rows(path: str) -> Rows:
        return json.loads(Path(path).read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    path = tmp_path / "a.json"
    path.write_text("[1\n2]", encoding="utf-8")
    error = failure(Toy(rows), path)
    line = rows.__code__.co_firstlineno + 1
    assert str(error) == (
        f"{SAID}: JSONDecodeError: Expecting ',' delimiter: line 2 column 1 (char 3) (test_dataset.py:{line})"
    )
    assert type(error) is PluginError


def exits(_: str) -> Iterator[Mapping[str, object]]:
    yield {"id": "a", "sentences": "x"}
    sys.exit("I give\nup")


def test_sys_exit_in_a_plugin_is_an_error_and_not_the_end() -> None:
    assert str(failure(Toy(exits))).startswith(f"{SAID}: row 2: SystemExit: I give up (test_dataset.py:")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, GeneratorExit])
def test_an_interrupt_is_not_taken_for_a_fault_of_the_plugin(stop: type[BaseException]) -> None:
    def rows(_: str) -> Rows:
        raise stop

    with pytest.raises(stop):
        list(queries(Toy(rows)))


def test_an_error_of_syphus_in_a_plugin_passes_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "sentences": ""}\n{"id": ', encoding="utf-8")
    assert str(failure(Toy(read_jsonl), path)) == (
        f"{path}: record 2 (line 2): the last line is cut off: Expecting value (line 2)"
    )


@pytest.mark.parametrize("rows", [None, "rows", {"id": "a", "sentences": "x"}, 3])
def test_a_plugin_that_returns_no_rows_is_reported_so(rows: object) -> None:
    error = failure(Toy(lambda _: rows))  # type: ignore[arg-type, return-value]  # that is what is tested
    assert str(error).startswith(f"{SAID}: _load_query_inputs must return or yield dicts, it returned ")


def test_what_a_plugin_prints_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    def rows(_: str) -> Rows:
        print("called")
        yield {"id": "a", "sentences": "x"}
        print("done")

    for _ in queries(Toy(rows)):
        print("mine")
    assert capsys.readouterr() == ("mine\n", "called\ndone\n")


def test_queries_are_made_one_by_one_and_the_file_is_closed_when_nobody_wants_more(tmp_path: Path) -> None:
    done: list[str] = []

    def rows(path: str) -> Rows:
        try:
            for record in read_json(path):
                done.append(record["id"])
                yield {"id": record["id"], "sentences": "x"}
        finally:
            done.append("closed")

    stream = queries(Toy(rows), save(tmp_path / "a.json", {"id": "1"}, {"id": "2"}, {}))
    assert [next(stream).id, next(stream).id] == ["1", "2"]
    assert done == ["1", "2"]
    stream.close()  # type: ignore[attr-defined]  # a generator
    assert done == ["1", "2", "closed"]


def test_an_error_keeps_its_traceback_but_no_file_open(tmp_path: Path) -> None:
    def rows(path: str) -> Rows:
        return [{"id": record["id"], "sentences": record["text"]} for record in read_json(path)]

    error = failure(Toy(rows), save(tmp_path / "a.json", {"id": 1}))
    assert error.__cause__ is not None
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__cause__.__traceback__)]
    assert "rows" in "".join(traceback.format_exception(error))
    assert not any(hasattr(value, "gi_frame") for names in frames for value in names.values())  # no generator is alive


def test_two_runs_at_once_keep_their_records_apart(tmp_path: Path) -> None:
    good, bad = (
        save(tmp_path / "good.json", *[{"id": n, "timestamps": []} for n in range(3)]),
        save(tmp_path / "bad.json", {}),
    )
    stream = queries(Toy(timestamps), good)
    next(stream)
    assert str(failure(Toy(timestamps), bad)).startswith(f"{bad}: record 1 (line 2)")
    assert [query.id for query in stream] == ["1", "2"]


def test_the_defaults_come_from_the_class_the_module_and_the_docstring() -> None:
    class SpotTheThing(Toy):
        pass

    class Own(SpotTheThing):
        short_name = "OWN"
        prompt = "mine"
        description = "Mine."

    class heir(Own):  # noqa: N801
        """Another."""

    assert (Toy.short_name, Toy.prompt, Toy.description) == ("T", "test_dataset", "A toy dataset.")
    assert (SpotTheThing.short_name, SpotTheThing.description) == ("STT", "")
    assert (heir.short_name, heir.prompt, heir.description) == ("OWN", "mine", "Mine.")


def test_a_name_without_capitals_is_its_own_prefix() -> None:
    class lower(Toy):  # noqa: N801
        pass

    assert lower.short_name == "LOWER"


def test_the_hooks_have_good_defaults() -> None:
    dataset, query = toy(), Query("00076_ab", "a car is gone")
    pair = Pair("What?", "A car.")
    assert dataset.render_query(query) == "a car is gone"
    assert dataset.parse_response("Question: What?\nAnswer: A car.", query) == Parsed((pair,))
    assert list(dataset.check_pairs(query, [pair])) == []
    assert dataset.instruction_id(query, 1) == "T_INS_00076_ab_1"
    three = [Pair("q", "a")] * 3
    assert [list(dataset.related(three, number)) for number in (1, 2, 3)] == [[2, 3], [1, 3], [1, 2]]
    assert list(dataset.related(three[:1], 1)) == []


def test_a_hook_that_fails_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Toy):
        def check_pairs(self, query: Query, pairs: object) -> list[str]:
            print("checking")
            return [query.meta["count"]]  # type: ignore[list-item]

    dataset = Broken(lambda _: [])
    line = Broken.check_pairs.__code__.co_firstlineno + 2
    with pytest.raises(PluginError) as caught:
        plugin_code(dataset).run(dataset.check_pairs, Query("a", "x"), [])
    assert str(caught.value) == f"Broken.test_dataset: KeyError: 'count' (test_dataset.py:{line})"
    assert capsys.readouterr() == ("", "checking\n")


def test_the_constructor_stores_and_reads_nothing() -> None:
    class Documented(AbstractDataset):
        def __init__(self, name: str = "D", prompt_path: str = "no.yaml", query_inputs_path: str = "no.json") -> None:
            super().__init__(name, prompt_path, query_inputs_path)

        def _load_query_inputs(self, path: str) -> Rows:
            return [{"id": 1, "sentences": path}]

    dataset = Documented()
    assert (dataset.name, dataset.prompt_path, dataset.query_inputs_path) == ("D", "no.yaml", "no.json")
    assert [query.text for query in queries(dataset)] == ["no.json"]
    assert [query.text for query in queries(dataset, "other.json")] == ["other.json"]
    with pytest.raises(PromptError, match=r"no\.yaml: No such file"):
        load_prompt_template(dataset)


def test_a_constructor_that_does_not_call_the_base_is_fine(tmp_path: Path) -> None:
    class Silent(Toy):
        def __init__(self) -> None:
            self.make = lambda _: [{"id": 1, "sentences": "x"}]

    assert [query.id for query in queries(Silent())] == ["1"]
    with pytest.raises(PromptError, match=r"no prompt file test_dataset\.yaml"):
        load_prompt_template(Silent())


def test_the_prefix_is_read_from_the_path_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("system_message: You see.\n", encoding="utf-8")
    assert load_prompt_template(toy(), path).system_message == "You see."
    path.write_text("system_message: 3\n", encoding="utf-8")
    with pytest.raises(PromptError) as caught:
        load_prompt_template(toy(), path)
    assert str(caught.value) == f"{path}: system_message: text is expected, this is 3; put it in quotes"


def test_a_prefix_of_the_plugins_own_needs_no_file_and_is_checked_as_well() -> None:
    class Own(Toy):
        prefix: Mapping[str, object] = {"system_message": "You see."}

        def _load_prefix(self, path: str) -> Mapping[str, object]:
            return self.prefix if path == "" else {}

    class Wrong(Own):
        prefix: Mapping[str, object] = {"system": ""}

    assert load_prompt_template(Own(lambda _: [])).system_message == "You see."
    with pytest.raises(PromptError, match=r'Wrong\.test_dataset: unknown key "system"; did you mean "system_message"'):
        load_prompt_template(Wrong(lambda _: []))


def test_a_prefix_that_fails_is_reported_with_the_plugins_line() -> None:
    class Own(Toy):
        def _load_prefix(self, path: str) -> Mapping[str, object]:
            raise ValueError(path)

    with pytest.raises(PluginError, match=r"Own\.test_dataset: ValueError: x \(test_dataset\.py:\d+\)"):
        load_prompt_template(Own(lambda _: []), "x")
