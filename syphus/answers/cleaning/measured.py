"""Which rules warn instead of rejecting, by what they were worth on answers that they were not made with.

`make quality` measures each rule on the test part of `benchmarks/corpus/`. A rule that rejects more sound answers there
than `MOST_FALSE_ALARMS`, or is right in fewer of its finds than `LEAST_PRECISION`, belongs into `WARNING_RULES`: what
it finds is a doubt, which rejects nothing and which a judge looks at first. A test compares the table with the corpus.
"""

from __future__ import annotations

MOST_FALSE_ALARMS = 0.02  #: of the sound answers
LEAST_PRECISION = 0.75  #: of the finds, half of the corpus being sound
WARNING_RULES: frozenset[str] = frozenset()
