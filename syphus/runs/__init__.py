"""A run from its options to its files, and looking at one.

job.py          the main job, from start to end
asking.py       one session of the loop, for any stage of a run
refusal.py      nothing is left behind by a run that is refused
prepare.py      plugin, prompt, endpoint: what can be wrong before a request is sent
inputs.py       whether the ledger holds the input as it is now
settings.py     what answers depend on, and what has changed in it
descriptors.py  as many calls in flight as the system lets be open
forecast.py     tokens, dollars and minutes, before they are spent
opening.py      the sentences before a run
prices.py       what its cost is told with
projections.py  the files besides the ledger
relate.py       how pairs are related: chosen, found, kept
related.py      the pairs with their context, and the train file
nearest.py      the nearest of each pair
embedding.py    vectors of texts, from an endpoint
local_model.py  or from a model in this process
own_train.py    a train file of the user's own
export.py       the pairs in other formats
push.py         the same to the Hugging Face Hub
preview.py      the messages that would go out
status.py       where a run stands
convert.py      an image store from its files to its parts
image_results.py  the images that go into it, from any point on
clean.py        its answers judged once more
"""

from __future__ import annotations


# FOLDED from __init__.py:
# The stages: each says where its queries come from, how they are rendered, and what it accepts.
