"""The subcommands of `catnap`, one module each."""
