"""Passwords as they are kept, and the check of one: pure, and slow where it has to be."""

from __future__ import annotations

import base64
import hashlib
import hmac

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""OWASP's smallest recommended argon2id: 19 MiB, and some 30 ms of one core."""

_NOBODYS = _HASHER.hash("a password nobody has")
"""What is checked where there is nothing to check, so that it takes as long."""

_ARGON2 = "$argon2"


def digest(password: str) -> bytes:
    """Return the SHA-256 of a password, of one length for all, so that a comparison tells no length."""
    return hashlib.sha256(encoded(password)).digest()


def encoded(password: str) -> bytes:
    """Return a password's bytes."""
    # surrogatepass: JSON can carry half of a surrogate pair, which is a wrong password and no crash
    return password.encode("utf-8", "surrogatepass")


def hash_password(password: str) -> str:
    """Return what is kept of a new password: argon2id with a salt of its own. Takes tens of ms."""
    return _HASHER.hash(encoded(password))


def neko_hash(password: str) -> str:
    """Return what neko keeps of a password: its SHA-256 in base64, without a salt."""
    return base64.b64encode(digest(password)).decode("ascii")


def verify(kept: str | None, password: str, *, hashed: bool) -> bool:
    """Tell whether `password` is the one of which `kept` is kept; None: of nobody.

    With `hashed` an entry is an argon2 hash or neko's, else an argon2 hash or the password itself. Every
    call does one argon2 check, so that the time tells neither whether there is such a member nor how
    its password is kept.
    """
    is_argon2 = kept is not None and kept.startswith(_ARGON2)
    slow = _verify_argon2(kept if is_argon2 and kept is not None else _NOBODYS, password)
    given = neko_hash(password) if hashed else password
    quick = hmac.compare_digest(digest(given), digest(kept or ""))
    return kept is not None and (slow if is_argon2 else quick)


def _verify_argon2(kept: str, password: str) -> bool:
    try:
        return _HASHER.verify(kept, encoded(password))
    except (VerificationError, InvalidHashError):
        return False
