"""What a model wrote, read and checked. Pure functions: no network, no ledger, no files."""
