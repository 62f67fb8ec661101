"""Time, memory and size on disk, measured."""
