"""What all commands share: options, models by name, records, and how they speak."""
