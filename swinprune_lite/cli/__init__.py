"""Commands: `python -m swinprune_lite.cli.<name> --help`."""
