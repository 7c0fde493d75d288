"""`python -m hostagent` is `catnap host`: how the agent is started in the background."""

from hostagent.cli import host

host(prog_name="catnap host")
