"""The cold start: search for in-context examples, and prove that they help. Also compares prompts and models.

advice.py        what to try if no set was satisfactory
candidates.py    score candidates, and keep all of them
command.py       the command `cold-start`, and the cold start before the main job
compare.py       the command `compare`: prompts and models on the same queries
page.py          the report page, HTML
plan.py          the plan, the result and the forecast of a cold start
prompt_file.py   the prompt that was found: its file, and its record in the ledger
proof.py         prove a set of examples on held-out queries
results_json.py  the result for programs, JSON
review.py        review of candidates by a person
rounds.py        the loop: sample, propose, score, choose, prove
rubric.py        a model as the judge of candidates
search.py        a whole cold start in a run's folder
selection.py     choose examples, and sample queries
trials.py        ask sampled queries with a prompt, and make candidates of the answers
"""
