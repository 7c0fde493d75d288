"""The file by which an instance holds itself awake, kept by a process that outlives the agent."""
