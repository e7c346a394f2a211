"""What pairs are worth: judged by a model, with the judge's own errors known; and which of them to train on.

balance.py          chooses a subset without repeats, without a benchmark's texts, and in balance
estimates.py        the share of bad pairs from a sample; when enough is known; a judge's own errors
near_duplicates.py  texts that repeat each other, or share words with a benchmark
pair_judge.py       judges the pairs of a run, and takes bad ones out
until_accepted.py   asks until there are as many accepted pairs as the user wants
"""
