"""One run: prepare it, read its input, generate, report, clean, export, push, and look at it.

batches.py           show, cancel and give up the batches of a run
clean.py             judge all stored answers again
cluster_options.py   what --share and --ray make of a stage
control.py           how fast a run works, and changes of it while it works
cost_estimate.py     tokens, dollars and minutes of rows, for quotes, comparisons and the lines before a run
cost_text.py         costs as people read them, and the question before much is spent
describe.py          the command `describe`: task descriptions from a sample of pairs
export.py            write the pairs in other formats
export_options.py    what goes into an export
failures.py          what went wrong, by cause, with its cost and what would help
generate.py          the main stage: from queries to pairs
inputs.py            bring the input into the ledger
judge.py             the stage that asks a model to judge something by a rubric
metrics.py           the numbers of a run as metrics, in Prometheus' text format
metrics_output.py    offer them at a port, in a file or by OTLP while the run works
model_life.py        when a model is shut down, by the server's list and the table
open_files.py        how many requests can be in flight with the files that a process may have open
otel.py              metrics and sampled spans by OTLP
outputs.py           write the files of a run besides its ledger
packed_generate.py   the main stage with packs of rows in one request
packs.py             which rows form a pack, and what its answer says about each
pair_verdicts.py     the prompt to the judge of pairs, and its verdicts
prepare.py           find and check plugin, prompt and endpoint
preview.py           show the messages that would be sent
push.py              send exports to the Hugging Face Hub
quote.py             what a run has already, and what the rest takes
reader.py            a run open for reading: its numbers, one query, or all pairs, outcomes and raw answers
remedies.py          what helps if the first answers of a run all fail alike
row_text.py          rows as text and as CSV
row_verdicts.py      what a judge says about the pairs of rows
rows.py              the rows of a run with annotation, answers, pairs and verdict
run_config.py        the settings of a run: the config file and the environment, with the options that replace them
run_log.py           `run.log`, and the command that `--notify` runs at the end
run_settings.py      the settings that answers depend on, and the command, as the ledger stores them
session.py           run one session of a stage
snapshot_process.py  take them while a run works: on a timer and at the end, in processes of their own
snapshots.py         what is in a snapshot, whose it is, and going on from one
token_forecast.py    learn from a few answers how many tokens and seconds the other rows take
"""
