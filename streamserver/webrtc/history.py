"""What was sent to a viewer lately, in case it was lost. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .chunks import Chunk

MAX_BYTES = 1024 * 1024
"""Payload remembered per viewer: 3 s at 2.5 Mbit/s. Viewers of one stream share the memory."""

MAX_PACKETS = 1000
"""SRTP protects nothing again that is 1024 packets old."""


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """A chunk as it left: the first packet had the number `sequence` (which does not wrap)."""

    sequence: int
    chunk: Chunk
    timestamp: int
    send_time: int


class History:
    """The latest chunks, bounded in bytes and packets."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_packets: int = MAX_PACKETS) -> None:
        self._max_bytes = max_bytes
        self._max_packets = max_packets
        self._sent: deque[Sent] = deque()
        self.size = 0
        self.packets = 0

    def add(self, sent: Sent) -> None:
        """Remember it; forget the oldest beyond the bounds."""
        self._sent.append(sent)
        self.size += sent.chunk.payload_size
        self.packets += len(sent.chunk.places)
        while self.size > self._max_bytes or self.packets > self._max_packets:
            old = self._sent.popleft()
            self.size -= old.chunk.payload_size
            self.packets -= len(old.chunk.places)

    def find(self, sequence: int) -> tuple[Sent, int] | None:
        """Return the chunk that had this number of 16 bits, and which of its packets; None if forgotten."""
        for sent in reversed(self._sent):
            index = (sequence - sent.sequence) & 0xFFFF
            if index < len(sent.chunk.places):
                return sent, index
        return None

    def latest(self, count: int, least: int) -> list[tuple[Sent, int]]:
        """Return up to `count` of the latest packets that are `least` bytes long."""
        found: list[tuple[Sent, int]] = []
        for sent in reversed(self._sent):
            for index, (_, length) in enumerate(sent.chunk.places):
                if length >= least:
                    found.append((sent, index))
                    if len(found) == count:
                        return found
        return found

    def clear(self) -> None:
        """Forget all."""
        self._sent.clear()
        self.size = self.packets = 0
