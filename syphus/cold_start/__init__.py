"""The cold start: in-context examples for a prompt that has none, looked for, chosen and proven.

command.py      the command, from its options to its files
before.py       the same before the main job, where its prompt has no examples
search.py       a cold start in a run's folder
loop.py         sample, propose, score, choose, prove, and once more
plan.py         what it is to do, and what comes of it: values
pool.py         all candidates so far, who is out, and why
proving.py      with the set, without it, without each of its examples
trials.py       sampled queries asked with a prompt, out of the ledger where they were asked before
scoring.py      scores for a dataset
examples.py     candidates as turns of a prompt, and the other way round
review.py       a person's word on candidates
conclusion.py   what it has come to, kept with the run
prompt_file.py  the prompt as a file
page.py         the report page; page_style.py is how it looks
as_json.py      the same for programs
forecast.py     what it will take at the most
advice.py       what to try where nothing did
"""
