"""Writes the files that leave a run: datasets in several formats, dataset cards, and reports.

To add a format, follow "Add an export format" in CONTRIBUTING.md.

accepted_cost.py       what each accepted pair has cost, by what it was spent on
card.py                the dataset card: a README.md for the Hugging Face Hub, which says how to train with it
chat.py                OpenAI's fine-tuning format, and Axolotl's
export_images.py       the images and videos of an export: found, named, copied or embedded
html_page.py           writes HTML pages that stand alone, with the look of the viewer
judge_lines.py         what a judge found, and how often it is right, as lines for people
llava.py               the LLaVA format, which is also ShareGPT's; InternVL's, Alpaca's and WebDataset's
mimicit/               MIMIC-IT files, by any author: writes, reads, checks, counts and mixes them
page_fonts.py          embeds into a page the letters that its readers may have no font for
parquet.py             the Parquet formats: one row per pair, and TRL's conversations with images
registry.py            how each format of `export` is written
related_pairs.py       reads the pairs of a run with their context, and its train file, as the ledger says that they w
report.py              `report.json`: what a run did and what it cost
reviewed_pairs.py      reduces an export to what reviewers let through
run_files.py           `pairs.jsonl`, which grows during a run, and `invalid.json`
source.py              what a format gets: pairs, images, train file; texts without media tokens; splits
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
    "trl",
    "internvl",
    "axolotl",
    "webdataset",
)
