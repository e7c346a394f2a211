"""The files that leave a run: each format is one function over rows of the ledger.

alpaca.py              alpaca's format
card.py                the dataset card beside each
chat.py                openAI's fine-tuning format
context.py             the pairs of a run with their context, and its train file, as the ledger says that they were ch
conversations.py       the pairs of a query that belong together
llava.py               LLaVA's conversations, which ShareGPT's form is, too
mimicit/               MIMIC-IT files, whoever wrote them
parquet.py             parquet
registry.py            the formats that a run can be exported in, in one place
report.py              the run in numbers
run_files.py           `pairs.jsonl`
source.py              what they are written from
train.py               the keys of a train file
translation_report.py  translations in numbers
"""
