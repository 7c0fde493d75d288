"""The plugins that ship with catnap, one folder each."""
