"""`python main.py --name YourDataset.your_dataset --num_threads 64`: the command line of a checkout (syphus/cli)."""

import sys

try:
    from syphus.cli.app import main

    if __name__ == "__main__":
        main()
except KeyboardInterrupt:  # while it was being imported
    sys.stderr.write("Stopped.\n")
    sys.exit(130)
except ModuleNotFoundError as missing:
    if (missing.name or "syphus").startswith("syphus"):
        raise
    where = f"{missing.name} is not installed for {sys.executable}."
    sys.stderr.write(f"{where} `make demo` sets everything up in .venv; then type: . .venv/bin/activate\n")
    sys.exit(2)
