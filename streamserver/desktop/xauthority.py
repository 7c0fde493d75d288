"""The file in which X clients find the secret of their server (Xauthority, libXau's `Xauth` structure)."""

import secrets
import struct
from dataclasses import dataclass

COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"
FAMILY_LOCAL = 256
FAMILY_WILD = 65535


@dataclass(frozen=True)
class AuthEntry:
    """One line of the file: which display of which host, and the secret for it."""

    family: int
    address: bytes
    number: bytes
    name: bytes
    data: bytes

    def fits(self, display_number: int) -> bool:
        """Whether the entry opens that display on this machine."""
        local = self.family in (FAMILY_LOCAL, FAMILY_WILD)
        return local and self.number in (b"", str(display_number).encode())


def new_cookie() -> AuthEntry:
    """Return a fresh secret that opens any display reached from this machine."""
    return AuthEntry(FAMILY_WILD, b"", b"", COOKIE_NAME, secrets.token_bytes(16))


def pack(entries: list[AuthEntry]) -> bytes:
    """Return the file's bytes."""
    packed = bytearray()
    for entry in entries:
        packed += struct.pack(">H", entry.family)
        for field in (entry.address, entry.number, entry.name, entry.data):
            packed += struct.pack(">H", len(field)) + field
    return bytes(packed)


def unpack(content: bytes) -> list[AuthEntry]:
    """Return the entries of a file; a truncated last entry is left out."""
    entries: list[AuthEntry] = []
    position = 0
    while position + 2 <= len(content):
        (family,) = struct.unpack_from(">H", content, position)
        position += 2
        fields = []
        for _ in range(4):
            if position + 2 > len(content):
                return entries
            (length,) = struct.unpack_from(">H", content, position)
            position += 2
            if position + length > len(content):
                return entries
            fields.append(content[position : position + length])
            position += length
        entries.append(AuthEntry(family, *fields))
    return entries


def find(entries: list[AuthEntry], display_number: int) -> AuthEntry | None:
    """Return the cookie that opens the display from this machine, if there is one."""
    fitting = [entry for entry in entries if entry.name == COOKIE_NAME and entry.fits(display_number)]
    return fitting[0] if fitting else None
