"""Peers, their one UDP port, the data channel, and the senders of what capture encoded.

Import from the modules: this package imports nothing itself, so that a reader of the signalling types does
not load a video codec.
"""
