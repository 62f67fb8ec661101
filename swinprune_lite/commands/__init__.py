"""The commands of `swinprune`, a file each.

A file holds a function of its own name, or a `typer.Typer` called `app` where it has commands of its own. It imports
what its options need at the top, and the rest when it runs: `swinprune --help` imports them all.
"""
