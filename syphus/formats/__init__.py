"""The files that leave a run: each format is one function over rows of the ledger.

table.py         the formats of `export`, by name
source.py        what they are written from
conversations.py the pairs of a query that belong together
related.py       pairs with another context, by a rule
train.py         the keys of a train file
mimicit.py, llava.py, chat.py, alpaca.py, parquet.py
card.py          the dataset card beside each
pairs_jsonl.py   what a person can watch while the run works
invalid_json.py  what was rejected
report.py        the run in numbers
ids.py           ids that come only once
files.py         no file is ever seen half written
"""
