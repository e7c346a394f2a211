"""The files that leave a run: each format is one function over rows of the ledger."""
