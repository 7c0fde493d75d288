"""An instance's own address, its link to the host, and the rules that see and publish it."""
