"""The one engine for experiments: a setting is measured, kept in a store, and read from it with its spread."""
