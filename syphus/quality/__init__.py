"""What pairs are worth: judged by a model, with the judge's own errors known.

estimates.py      the share of bad pairs from a sample, with an interval; when enough is known; a judge's own errors
pair_judge.py     judges the pairs of a run, and takes bad ones out
pair_verdicts.py  the prompt to the judge, and its verdicts
"""
