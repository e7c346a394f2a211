"""A run from its options to its files, and looking at one.

clean.py         its answers judged once more
describe.py      the command `describe`
export.py        the pairs in other formats
forecast.py      tokens, dollars and minutes, before they are spent
generate.py      the main stage
inputs.py        whether the ledger holds the input as it is now
judge.py         A model as the judge of whatever has a rubric
outputs.py       the files of a run besides its ledger
prepare.py       plugin, prompt, endpoint: what can be wrong before a request is sent
preview.py       the messages that would go out
push.py          the same to the Hugging Face Hub
reader.py        a run open for reading in Python: pairs, outcomes, raw answers, numbers
run_settings.py  what answers depend on, as the ledger keeps it, and how to say that it has changed
session.py       asking
status.py        where a run stands
"""
