"""What a preview says of all rows: the same as a quote, by a sample of many; and that their ids are unique."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, Listener, run_rows, server, write_rows

import syphus as package
from syphus import main_job
from syphus.config.options import Options, QuoteOptions
from syphus.errors import ConfigError, InputError
from syphus.runs.preview import PreviewTotal, preview

MODEL = "gpt-4o-mini"


def options(folder: Path, **given: Any) -> Options:
    return Options(
        name="Rows.rows",
        query_inputs_path=str(folder / "rows.jsonl"),
        datasets_dir=(HERE / "plugins",),
        output_dir=folder / "output",
        **given,
    )


def previewed(folder: Path, count: int = 0, sample: bool = False, **given: Any) -> tuple[list[str], PreviewTotal]:
    """The ids of the rows that are shown, and what all rows take."""
    shown: list[str] = []
    total = preview(options(folder, **given), {}, count, lambda query: shown.append(query.id), sample)
    return shown, total


def test_all_rows_cost_what_the_quote_says(tmp_path: Path) -> None:
    texts = [f"a dog runs over field {n % 30}" + " and back" * (n % 7) for n in range(60)]
    write_rows(tmp_path / "rows.jsonl", [*texts, ""])
    quote = main_job.quote(options(tmp_path, model=MODEL), QuoteOptions(), {}, Listener())
    _, total = previewed(tmp_path, model=MODEL)
    assert total.line == quote.lines[0]._replace(name="")
    assert (total.rows, total.to_ask) == (61, round(quote.survey.to_ask))
    assert (quote.survey.unasked, total.problem) == (1, "")


def test_many_rows_are_priced_by_a_sample(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [f"{n} dogs" + " and a cat" * (n % 50) for n in range(3_000)])
    _, total = previewed(tmp_path, model=MODEL)
    quote = main_job.quote(options(tmp_path, model=MODEL), QuoteOptions(), {}, Listener())
    assert (total.rows, total.to_ask) == (3_000, 3_000)
    assert total.line is not None
    assert total.line.prompt_tokens.middle == pytest.approx(quote.lines[0].prompt_tokens.middle, rel=0.03)


def test_a_model_that_is_not_known_leaves_the_rest_as_it_is(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", ["a dog"])
    shown: list[str] = []
    environ = {"OPENAI_BASE_URL": "http://127.0.0.1:9"}
    total = preview(options(tmp_path), environ, 1, lambda query: shown.append(query.id))
    assert (len(shown), total.line, total.problem[:18]) == (1, None, "No model is named.")


def test_a_run_that_has_begun_is_priced_with_its_own_model(tmp_path: Path) -> None:
    with server() as endpoint:
        assert run_rows(tmp_path, endpoint.url, ["a dog"], {"model": "gpt-4o"}).exit_code == 0
    _, total = previewed(tmp_path)
    assert total.line is not None
    assert total.line.model == "gpt-4o"


def test_a_sample_follows_from_the_seed(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [f"{n} dogs" for n in range(5_000)])
    one, again, other = (previewed(tmp_path, 5, sample=True, seed=seed)[0] for seed in (1, 1, 2))
    assert one == again != other
    assert len(set(one)) == len(set(other)) == 5
    assert max(one) > "r1000"
    with pytest.raises(ConfigError, match="-n -1"):
        previewed(tmp_path, -1)


def rows_with_ids(folder: Path, *rows: tuple[str, str]) -> None:
    lines = (f'{{"id": "{name}", "text": "{text}"}}' for name, text in rows)
    (folder / "rows.jsonl").write_text("\n".join(lines), "utf-8")


def test_ids_are_compared_as_a_run_does(tmp_path: Path) -> None:
    others = [(f"x{n}", "a dog") for n in range(2_500)]
    rows_with_ids(tmp_path, ("a", "a dog"), *others, ("b", "a cow"), ("b", "a cow"))
    assert previewed(tmp_path)[1].rows == 2_503
    rows_with_ids(tmp_path, *others, ("a", "a dog"), ("c", "a dog"), ("a", "a dog"), ("a", "a cat"))
    with pytest.raises(InputError, match="Rows 2501 and 2504 of the input have the same id 'a'"):
        previewed(tmp_path)
    name = "Köln"
    rows_with_ids(tmp_path, (unicodedata.normalize("NFC", name), "a"), (unicodedata.normalize("NFD", name), "a"))
    with pytest.raises(InputError, match="Rows 1 and 2 of the input"):
        previewed(tmp_path)


def test_a_preview_is_a_function_of_the_api(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 5)
    given = options(tmp_path)
    values: Any = {name: getattr(given, name) for name in ("query_inputs_path", "datasets_dir", "output_dir")}
    done = package.preview("Rows.rows", 1, offline=True, quiet=True, **values)
    assert len(done.queries) == 1
    assert done.queries[0].messages[-1]["role"] == "user"
    shown: list[str] = []
    again = package.preview("Rows.rows", 2, show=lambda query: shown.append(query.id), offline=True, **values)
    assert (again.queries, len(shown), again.total) == ((), 2, done.total)
