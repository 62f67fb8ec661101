"""What reproduces the paper with the library: its numbers, the experiments and their store, tables, figures, ledger."""
