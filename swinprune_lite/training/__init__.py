"""Evaluation and fine-tuning with the masks held."""
