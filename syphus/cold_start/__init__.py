"""The cold start: search for in-context examples, and prove that they help. Also compares prompts and models.

advice.py             what to try if no set was satisfactory
before_run.py         the in-context examples of the main job: found already, or searched for
candidates.py         score candidates, and keep all of them
command.py            the command `cold-start`
compare.py            the command `compare`: prompts and models on the same queries
evaluation.py         prove a set of in-context examples on queries that are not in it
example_selection.py  selection of in-context examples from candidates, and samples of queries from a stream of any si
page.py               the report page, HTML
plan.py               the plan, the result and the forecast of a cold start
prompt_file.py        the prompt that was found: its file, and its record in the ledger
results_json.py       the result for programs, JSON
review.py             review of candidates by a person
rounds.py             the loop: sample, propose, score, choose, prove
rubric.py             a model as the judge of candidates
search.py             a whole cold start in a run's folder
trials.py             ask sampled queries with a prompt, and make candidates of the answers
"""
