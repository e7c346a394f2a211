"""What pairs are worth: judged by a model, with the judge's own errors known; and which of them to train on.

balance.py          chooses a subset without repeats, without a benchmark's texts, and in balance
calibration.py      measures the judge on answers whose truth is known
estimates.py        the share of bad pairs from a sample; when enough is known; a judge's own errors
known_answers.py    answers whose truth is known: sound pairs, planted faults, decisions of reviewers
near_duplicates.py  texts that repeat each other, or share words with a benchmark
pair_judge.py       judges the pairs of a run, and takes bad ones out
planted_faults.py   makes a sound pair wrong in one way
until_accepted.py   asks until there are as many accepted pairs as the user wants
"""
