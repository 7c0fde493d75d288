"""How an instance runs and sleeps; each runtime says, after probing the machine, what it can do."""
