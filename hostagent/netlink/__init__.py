"""The nfnetlink subsystems the agent reads: conntrack, log and queue, as bytes in and values out."""
