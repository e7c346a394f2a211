"""`python main.py --name YourDataset.your_dataset --num_threads 64`: see syphus/cli.py."""

from syphus.cli import main

if __name__ == "__main__":
    main()
