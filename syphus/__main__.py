"""`python -m syphus` is the same as the command `syphus`."""

from syphus.cli import main

if __name__ == "__main__":
    main()
