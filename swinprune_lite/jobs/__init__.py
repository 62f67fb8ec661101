"""Long work that goes on after a kill: a fine-tuning of any model, and a table measured by many workers."""
