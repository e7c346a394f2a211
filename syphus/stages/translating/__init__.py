"""Translation as a stage: pairs are asked for in all languages at once, each language is judged by itself.

pieces.py   pairs as queries: one a pair, several for a long one
asking.py   what the model is asked
answers.py  what it has written, as far as it can be read
judging.py  what a translation is worth
stage.py    the two stages: pairs in all their languages, and what was no good once more
recheck.py  what the ledger holds, judged by today's checks
"""
