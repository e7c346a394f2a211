"""The cold start: in-context examples for a prompt that has none, looked for, chosen and proven.

advice.py        what to try if no set was satisfactory
candidates.py    all candidates so far
command.py       the command, from its options to its files
compare.py       prompts and models compared
page.py          the report page; page_style.py is how it looks
plan.py          what it is to do, and what comes of it: values
prompt_file.py   the prompt as a file
proof.py         proving a set of in-context examples on queries that are not in it
results_json.py  what a cold start has come to, for programs
review.py        a person's word on candidates
rounds.py        the loop
rubric.py        A model as the judge
search.py        a cold start in a run's folder
selection.py     which candidates become in-context examples
trials.py        sampled queries asked with a prompt, out of the ledger where they were asked before
"""
