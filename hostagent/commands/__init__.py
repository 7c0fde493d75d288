"""The commands of `catnap host`."""
