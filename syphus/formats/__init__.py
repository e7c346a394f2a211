"""Writes the files that leave a run: datasets in several formats, dataset cards, and reports.

To add a format, follow "Add an export format" in CONTRIBUTING.md.

alpaca.py              the Alpaca format
card.py                the dataset card, a README.md for the Hugging Face Hub
chat.py                OpenAI's fine-tuning format
llava.py               the LLaVA format, which ShareGPT shares
mimicit/               MIMIC-IT files, by any author: writes, reads, checks, counts and mixes them
parquet.py             the Parquet format
registry.py            how each format of `export` is written
related_pairs.py       reads the pairs of a run with their context, and its train file, as the ledger says that they w
report.py              `report.json`: what a run did and what it cost
run_files.py           `pairs.jsonl`, which grows during a run, and `invalid.json`
source.py              what a format gets: pairs, image counts, metadata, train file
train.py               the keys of `XX_train.json`, by a rule or from the user's own file
translation_report.py  the translation section of the report: counts, cost, verdicts and a sample per language
"""

#: The names of the formats of `export`, in the order of `registry.FORMATS`. The help needs no more.
FORMAT_NAMES = (
    "mimicit",
    "llava",
    "chat",
    "alpaca",
    "parquet",
)
