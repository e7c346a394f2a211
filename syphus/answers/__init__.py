"""What a model wrote, read and checked. Pure functions: no network, no ledger, no files.

cleaning/       rules between parsing and the result
code_digest.py  digests of the code that judges answers
parsing/        reading what a model wrote
scoring/        which answers make good in-context examples
translation/    languages, and whether a translation is one
"""
