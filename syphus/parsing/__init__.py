"""Reading what a model wrote: text in, pairs out, or the reasons why not. Pure functions.

pairs.py         parse_pairs and render_pairs, and all the rules
sections.py      lines with headers ("Question 1:") and the text under them
json_answers.py  JSON that must be right to the letter
fences.py        code fences
answer_text.py   thinking blocks, white space, characters that can't be meant
"""

from syphus.parsing.pairs import parse_pairs, render_pairs

__all__ = ["parse_pairs", "render_pairs"]
