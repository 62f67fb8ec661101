"""The paper's numbers and claims, and what became of each of them here."""
