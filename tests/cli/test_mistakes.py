"""Typical mistakes of a new user: each ends in one line that says what is wrong and what to do, and nothing is sent."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest

from syphus.cli.app import execute

PLUGIN = """from syphus import AbstractDataset, field, grouped, read_csv, read_json, read_jsonl, read_parquet


class {name}(AbstractDataset):
    prompt = "good"

    def _load_query_inputs(self, path):
        {body}
"""
ROW = 'yield {"id": row["image"], "sentences": row["caption"]}'
#: Plugins by name: what stands in `_load_query_inputs`.
PLUGINS = {
    "Rows": f"for row in read_csv(path): {ROW}",
    "Array": f"for row in read_json(path): {ROW}",
    "Lines": f"for row in read_jsonl(path): {ROW}",
    "Table": f"for row in read_parquet(path): {ROW}",
    "WrongKey": 'for row in read_csv(path): yield {"id": row["image"], "sentences": row["captoin"]}',
    "Nested": 'for row in read_jsonl(path): yield {"id": row["image"]["nmae"], "sentences": "x"}',
    "WrongField": 'for row in read_csv(path): yield {"id": row["image"], "sentences": field(row, "text", str)}',
    "WrongGroup": 'for key, rows in grouped(read_csv(path), "img"): yield {"id": key, "sentences": "x"}',
    "WrongColumns": f'for row in read_parquet(path, ["image", "captions"]): {ROW}',
    "NoRows": "return None",
    "Numbers": "return [1, 2]",
    "Text": 'return "x"',
    "NoId": 'for row in read_csv(path): yield {"sentences": row["caption"]}',
    "WrongRow": 'for row in read_csv(path): yield {"id": row["image"], "sentence": row["caption"]}',
    "NoText": 'for row in read_csv(path): yield {"id": row["image"], "sentences": 5}',
    "Float": 'for n, row in enumerate(read_csv(path)): yield {"id": n / 2, "sentences": row["caption"]}',
    "Empty": 'for row in read_csv(path): yield {"id": "", "sentences": row["caption"]}',
    "Ids": 'for row in read_csv(path): yield {"id": 1, "sentences": row["caption"]}',
    "OneImage": 'for row in read_csv(path): yield {"id": row["image"], "sentences": "x", "image_ids": row["image"]}',
    "Raises": 'raise RuntimeError("no luck")',
    "Divides": "1 / 0",
    "Exits": "raise SystemExit(1)",
    "Undefined": "for row in read_jsn(path): yield row",
    "Opens": 'yield from open(path, encoding="utf-8")',
    "Imports": "import nowhere",
}
FILES = {
    "captions.csv": "image,caption\n1.jpg,A dog runs\n2.jpg,A cat sits\n",
    "lines.jsonl": '{"image": {"name": "1"}, "caption": "A dog runs"}\n{"image": {"name": "2"}, "caption": "A cat"}\n',
    "array.json": json.dumps([{"image": "1", "caption": "A dog runs"}]),
    "object.json": json.dumps({"images": [{"image": "1"}], "annotations": []}),
    "ragged.csv": "image,caption\n1.jpg,A dog runs\n2.jpg,A cat, a dog\n",
    "quote.csv": 'image,caption\n1.jpg,"A dog"\n2.jpg,"A cat\n3.jpg,A cow\n',
    "torn.json": '[{"image": "1", "caption": "A dog runs"}, {"image": "2", "cap',
    "torn.jsonl": '{"image": "1", "caption": "A dog runs"}\n{"image": "2", "cap',
    "empty.csv": "",
    "header.csv": "image,caption\n",
    "tab.yaml": "system_message: x\nin_context:\n\t- role: user\n",
    "key.yaml": "system_mesage: x\n",
    "context.yaml": "system_message: x\nin_contxt: []\n",
    "indent.yaml": "system_message: |-\n  Write pairs\n in_context: []\n",
    "colon.yaml": "system_message: Use this form: Question: ...\n",
    "role.yaml": "system_message: x\nin_context:\n  - role: asistant\n    content: y\n",
    "system.yaml": "system_message: x\nin_context:\n  - role: system\n    content: y\n",
    "first.yaml": "system_message: x\nin_context:\n  - role: assistant\n    content: 'Question: a? Answer: b'\n",
    "open.yaml": "system_message: x\nin_context:\n  - role: user\n    content: y\n",
    "turn.yaml": "system_message: x\nin_context:\n  - role: user\n    contents: y\n",
    "pair.yaml": "system_message: x\nin_context:\n  - {role: user, content: y}\n"
    "  - {role: assistant, content: [{question: a, anser: b}]}\n",
    "form.yaml": "system_message: x\nform: jsn\n",
    "list.yaml": "- system_message\n",
    "prompt.txt": "Write pairs.",
    "modle.yaml": "endpoint: {base_url: 'http://127.0.0.1:9/v1'}\nmodle: gpt-4o\n",
    "deploymnt.yaml": "endpoint: {kind: azure, base_url: 'https://x.openai.azure.com', deploymnt: x, api_key: k}\nmodel: m\n",  # noqa: E501
    "variable.yaml": "endpoint: {api_key: '${MY_SECRET_KEY}'}\nmodel: m\n",
    "hot.yaml": "endpoint: {base_url: 'http://127.0.0.1:9/v1'}\nmodel: m\ntemperature: hot\n",
    "host.yaml": "endpoint: {base_url: 'localhost:8000/v1'}\nmodel: m\n",
    "both.yaml": "endpoint: {base_url: 'http://127.0.0.1:9/v1'}\nendpoints: []\nmodel: m\n",
}  # fmt: skip
R = "--name Rows.rows -in captions.csv --offline"

#: Commands, and the remedy in the line that they end with.
MISTAKES = {
    # the path of the annotations
    "--name Rows.rows -in caption.csv --offline": "caption.csv: no such file; did you mean captions.csv?",
    "--name Array.array -in arrays.json --offline": "did you mean array.json?",
    "--name Rows.rows --offline": "no annotations are named; set them with --query_inputs_path (-in)",
    "--name Opens.opens -in nowhere.csv --offline": "nowhere.csv: no such file; name the annotations with",
    "--name Rows.rows -in photos --offline": "photos is a folder; a file is needed",
    "--name Table.table -in photos --offline": "photos: a folder without Parquet files",
    "--name Table.table -in captions.csv --offline": "captions.csv: can't be read as Parquet",
    "new Street -in caption.csv": "did you mean captions.csv?",
    "new Street -in photos": "is a folder without Parquet files; name the file with the annotations",
    # the kind of file
    "--name Array.array -in captions.csv --offline": 'captions.csv is not JSON: it begins with "image,caption"; read CSV with read_csv',  # noqa: E501
    "--name Array.array -in lines.jsonl --offline": "this is JSON Lines: use read_jsonl",
    "--name Array.array -in object.json --offline": "this is an object; use read_json_items or read_json_lists",
    "--name Lines.lines -in captions.csv --offline": "record 1 (line 1): Expecting value",
    "--name Rows.rows -in array.json --offline": "is not CSV but JSON; read it with read_json or read_jsonl",
    "--name Rows.rows -in sheet.xlsx --offline": "is a ZIP or Excel file; unzip it, or save the sheet as CSV in UTF-8",
    "--name Rows.rows -in photo.png --offline": "is an image; name the annotations here, and the images with --images",
    "--name Rows.rows -in paper.pdf --offline": "is a PDF file; annotations are needed as text",
    "--name Lines.lines -in table.parquet --offline": "is a Parquet file; read it with read_parquet",
    "--name Rows.rows -in half.csv.gz --offline": "can't be read",
    "new Street -in sheet.xlsx": "save the sheet as CSV in UTF-8",
    # what is in it
    "--name Rows.rows -in ragged.csv --offline": 'record 2 (line 3): 3 cells, the header has 2; put a cell that holds "," into quotes. To count such rows as failed, add --allow-bad-rows',  # noqa: E501
    "--name Rows.rows -in quote.csv --offline": "record 2 (line 3): a quote that begins a cell has no end",
    "--name Rows.rows -in latin.csv --offline": 'read_csv(path, encoding="cp1252")',
    "--name Array.array -in torn.json --offline": "record 2 (line 1): the file ends within this record",
    "--name Lines.lines -in torn.jsonl --offline": "record 2 (line 2): the last line is cut off",
    "--name Rows.rows -in empty.csv --offline": "empty.csv: the file is empty",
    "--name Rows.rows -in header.csv --offline": "header.csv holds no queries",
    "new Street -in header.csv": "header.csv holds no rows",
    # keys and columns
    "--name WrongKey.wrongkey -in captions.csv --offline": 'record 1 (line 2): no "captoin"; did you mean "caption"? It has image, caption',  # noqa: E501
    "--name Nested.nested -in lines.jsonl --offline": 'no "nmae" in row[\'image\']; did you mean "name"? It has name',
    "--name WrongField.wrongfield -in captions.csv --offline": 'no "text"; it has image, caption',
    "--name WrongGroup.wronggroup -in captions.csv --offline": 'no "img"; did you mean "image"?',
    "--name WrongColumns.wrongcolumns -in table.parquet --offline": 'no "captions"; did you mean "caption"?',
    "new Street -in captions.csv --text captoin": 'no "captoin"; did you mean "caption"?',
    "new Street -in captions.csv --id imgae": 'no "imgae"; did you mean "image"?',
    # the code of the plugin
    "--name NoRows.norows -in captions.csv --offline": "_load_query_inputs must return or yield dicts, it returned NoneType",  # noqa: E501
    "--name Text.text -in captions.csv --offline": "_load_query_inputs must return or yield dicts, it returned str",
    "--name Numbers.numbers -in captions.csv --offline": "a row must be a dict, this is int",
    "--name NoId.noid -in captions.csv --offline": 'record 1 (line 2): no "id"',
    "--name WrongRow.wrongrow -in captions.csv --offline": 'unknown key "sentence"; did you mean "sentences"?',
    "--name NoText.notext -in captions.csv --offline": '"sentences" must be text or a list of texts, this is int',
    "--name Float.float -in captions.csv --offline": '"id" must be text or a whole number, this is float',
    "--name Empty.empty -in captions.csv --offline": "record 1 (line 2): the id is empty",
    "--name Ids.ids -in captions.csv --offline": "Group them: grouped(rows, COLUMN)",
    "preview --name Ids.ids -in captions.csv -n 0": "Group them: grouped(rows, COLUMN)",
    "--name OneImage.oneimage -in captions.csv --offline": '"image_ids" must be a list of texts, this is str',
    "--name Raises.raises -in captions.csv --offline": "RuntimeError: no luck (raises.py:8)",
    "--name Divides.divides -in captions.csv --offline": "ZeroDivisionError: division by zero (divides.py:8)",
    "--name Exits.exits -in captions.csv --offline": "SystemExit: 1 (exits.py:8)",
    "--name Undefined.undefined -in captions.csv --offline": "name 'read_jsn' is not defined",
    "--name Imports.imports -in captions.csv --offline": "No module named 'nowhere'",
    "--name Broken.broken -in captions.csv --offline": "broken.py can't be loaded: broken.py:1 SyntaxError",
    "--name Typo.typo -in captions.csv --offline": 'did you mean "read_csv"?',
    "--name NoBase.nobase -in captions.csv --offline": "NoBase does not inherit from AbstractDataset",
    # its name
    "--name Row.rows -in captions.csv --offline": "did you mean Rows.rows or ",
    "--name Qqqq.zzzz -in captions.csv --offline": "known datasets: ",
    "--name= -in captions.csv --offline": "--name",
    "-in captions.csv --offline": "--name",
    "new !!! -in captions.csv": "can't be the name of a dataset; use letters and digits",
    "new rows -in captions.csv": "exists already and is not overwritten; choose another name",
    # the prompt
    f"{R} --prompt-path goood.yaml": "goood.yaml: No such file or directory",
    f"{R} --prompt-path prompt.txt": "a prompt file ends in .yaml, .yml, .json",
    f"{R} --prompt-path tab.yaml": "tab.yaml:3:1: found character '\\t' that cannot start any token; indent with spaces, not with tabs",  # noqa: E501
    f"{R} --prompt-path key.yaml": 'unknown key "system_mesage"; did you mean "system_message"?',
    f"{R} --prompt-path context.yaml": 'unknown key "in_contxt"; did you mean "in_context"?',
    f"{R} --prompt-path indent.yaml": "is the line indented like those beside it?",
    f"{R} --prompt-path colon.yaml": 'put text that holds ": " in quotes',
    f"{R} --prompt-path role.yaml": 'the role is "asistant"; did you mean "assistant"?',
    f"{R} --prompt-path system.yaml": 'put its text into "system_message"',
    f"{R} --prompt-path first.yaml": "turn 1 is the assistant's; the first turn must be the user's",
    f"{R} --prompt-path open.yaml": "turn 1 is not answered; the last turn must be the assistant's",
    f"{R} --prompt-path turn.yaml": 'did you mean "content"?',
    f"{R} --prompt-path pair.yaml": 'a pair has "question" and "answer"',
    f"{R} --prompt-path form.yaml": '"form" is \'jsn\'; it must be text or json',
    f"{R} --prompt-path list.yaml": 'a prompt must be an object with "system_message"',
    # the config and the environment
    "--name Rows.rows -in captions.csv": "Set OPENAI_API_KEY (and OPENAI_BASE_URL for another server), or try",
    "--name Rows.rows -in captions.csv --config modle.yaml": 'modle.yaml: modle is not a setting; did you mean "model"?',  # noqa: E501
    "--name Rows.rows -in captions.csv --config deploymnt.yaml": 'deploymnt is not a setting; did you mean "deployment"?',  # noqa: E501
    "--name Rows.rows -in captions.csv --config variable.yaml": "needs the environment variable MY_SECRET_KEY, which is not set",  # noqa: E501
    "--name Rows.rows -in captions.csv --config hot.yaml": "hot.yaml: temperature should be a valid number",
    "--name Rows.rows -in captions.csv --config host.yaml": "http:// or https:// is missing",
    "--name Rows.rows -in captions.csv --config both.yaml": "endpoint and endpoints are both given; use one of them",
    "--name Rows.rows -in captions.csv --config none.yaml": "none.yaml: No such file or directory",
    # options and numbers
    f"{R} --resume": "There is no option --resume: it is not needed: the same command resumes",
    f"{R} --dry-run": "use the command preview",
    f"{R} --limit 5": "use --slice-end N",
    f"{R} --api-key x": "set OPENAI_API_KEY in the environment",
    f"{R} --workers 5": "use --num-threads N",
    f"{R} --modle x": "did you mean --model?",
    f"{R} --max-cots 5": "did you mean --max-cost?",
    f"{R} --pilot 5": "it belongs to",
    f"{R} --num-threads -1": "--num-threads -1: must be at least 0",
    f"{R} --num-threads 2.5": "--num-threads 2.5: must be a whole number",
    f"{R} --temperature hot": "--temperature hot: must be a number",
    f"{R} --temperature 9": "--temperature should be less than or equal to 2",
    f"{R} --max-tokens 0": "--max-tokens should be greater than 0",
    f"{R} --max-cost -1": "--max-cost -1.0: must be at least 0",
    f"{R} --max-cost nan": "--max-cost nan: must be at least 0",
    f"{R} --requests-per-minute 0": "--requests-per-minute 0.0: must be more than 0",
    f"{R} --slice-start 10": "leave none of the 2 rows",
    f"{R} --retry invlaid": 'did you mean "invalid"?',
    f"{R} --languages Klingon": "--languages klingon: unknown language; use zh",
    f"{R} --languages Chinesse": 'did you mean "chinese"?',
    f"{R} --relate neerest": "--relate neerest: must be siblings",
    f"{R} --cold-start sometimes": "--cold-start sometimes: must be auto, always or never",
    f"{R} --dataset-version a/b": "it names a folder",
    "previw --name Rows.rows": "Did you mean 'preview', 'view'?",
    "captions.csv": "to begin with a file: ",
    "--offline preview": "Put options after the command",
    # folders
    "status captions.csv": "captions.csv",
    "status photos": "photos is not a run",
    "export photos --format llava": "photos is not a run",
    "verify photos": "photos",
    "verify nowhere": "nowhere",
    f"{R} --datasets-dir nowhere": "there is no folder nowhere to look for datasets in",
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all these files."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("datasets", "prompts", "photos"):
        (folder / name).mkdir()
    (folder / "prompts" / "good.yaml").write_text(
        "system_message: Write pairs.\nin_context:\n  - {role: user, content: x}\n"
        "  - {role: assistant, content: [{question: What, answer: b}]}\n",
        "utf-8",
    )
    for name, body in PLUGINS.items():
        (folder / "datasets" / f"{name.lower()}.py").write_text(PLUGIN.format(name=name, body=body), "utf-8")
    (folder / "datasets" / "broken.py").write_text("from syphus import AbstractDataset, (\n", "utf-8")
    (folder / "datasets" / "typo.py").write_text("from syphus import AbstractDataset, read_cvs\n", "utf-8")
    (folder / "datasets" / "nobase.py").write_text("import syphus\n\n\nclass NoBase:\n    pass\n", "utf-8")
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "latin.csv").write_bytes("image,caption\n1,Un café noir\n2,x\n".encode("latin-1"))
    (folder / "half.csv.gz").write_bytes(gzip.compress(FILES["captions.csv"].encode() * 50, mtime=0)[:-12])
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "photos" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "paper.pdf").write_bytes(b"%PDF-1.7\n")
    with zipfile.ZipFile(folder / "sheet.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"image": ["1"], "caption": ["A dog"]}), folder / "table.parquet")
    return folder


@pytest.mark.parametrize(("command", "remedy"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_the_remedy(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, remedy: str
) -> None:
    monkeypatch.chdir(home)
    for name in [name for name in os.environ if name.startswith(("OPENAI", "AZURE", "SYPHUS"))]:
        monkeypatch.delenv(name)
    before = sorted(home.rglob("*.py")) + sorted(home.rglob("*.yaml"))
    code = execute([word for word in command.split(" ") if word])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    said = [line for line in err.splitlines() if not line.startswith(("Rows.", "about "))]
    assert len(said) == 1, err
    assert remedy in said[0]
    assert sorted(home.rglob("*.py")) + sorted(home.rglob("*.yaml")) == before


def test_there_are_enough_of_them() -> None:
    assert len(MISTAKES) >= 100
