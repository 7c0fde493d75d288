"""Pixels and sound in, encoded packets out; each stream is encoded once, whoever listens.

Import from the modules (`streamserver.capture.stream`, `.frames`, `.capture`): the package imports nothing
itself, so that a reader of the interfaces does not load a video codec.
"""
