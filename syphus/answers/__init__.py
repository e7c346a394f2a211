"""What a model wrote: parsing, cleaning, scoring, checks of translations. Pure functions.

cleaning/          cleaning rules between parsing and the result
judging_digest.py  digests of the code that judges answers
parsing/           parsers of model answers
scoring/           heuristics for good in-context examples
translation/       languages, and checks of translations
"""
