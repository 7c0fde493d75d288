"""How passwords are kept, and that checking one tells nothing by its time."""

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamserver.members import passwords
from streamserver.members.passwords import hash_password, neko_hash, verify

KEPT = hash_password("open sesame")


def test_a_hash_of_neko_is_the_base64_of_sha256() -> None:
    # as `printf neko | openssl dgst -sha256 -binary | base64` says
    assert neko_hash("neko") == "AWUmMwqvJQVC5azJED2fZjqKW7ANG4YHobFwttk9ZAE="
    assert verify(neko_hash("neko"), "neko", hashed=True)
    assert not verify(neko_hash("neko"), "Neko", hashed=True)


def test_the_hash_itself_is_no_password() -> None:
    assert not verify(neko_hash("neko"), neko_hash("neko"), hashed=True)
    assert not verify(KEPT, KEPT, hashed=True)
    assert not verify(KEPT, KEPT, hashed=False)


def test_new_hashes_are_argon2_with_a_salt_of_their_own() -> None:
    assert KEPT.startswith("$argon2id$")
    assert hash_password("open sesame") != KEPT
    for hashed in (True, False):
        assert verify(KEPT, "open sesame", hashed=hashed)
        assert not verify(KEPT, "open sesame ", hashed=hashed)


@pytest.mark.parametrize("kept", [None, "", "$argon2", "$argon2id$v=19$m=1,t=1,p=1$x$y", "not base64", "ä"])
@pytest.mark.parametrize("password", ["", "neko", "\ud800", "a password nobody has"])
@pytest.mark.parametrize("hashed", [True, False])
def test_what_is_no_hash_lets_nobody_in(kept: str | None, password: str, hashed: bool) -> None:
    if kept == "" and password == "" and not hashed:
        assert verify(
            kept, password, hashed=hashed
        )  # kept in plain: the empty password is the empty password
    else:
        assert not verify(kept, password, hashed=hashed)


@pytest.mark.parametrize(
    "kept",
    [None, "plain", neko_hash("neko"), KEPT, "$argon2 damaged"],
    ids=["none", "plain", "neko's", "argon2", "damaged"],
)
@pytest.mark.parametrize("hashed", [True, False])
def test_every_check_is_one_argon2_check_and_one_comparison(
    kept: str | None, hashed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: list[str] = []
    quick: list[tuple[int, int]] = []

    def check(kept: str, password: str) -> bool:
        slow.append(kept)
        return False

    monkeypatch.setattr(passwords, "_verify_argon2", check)

    def compare(a: bytes, b: bytes) -> bool:
        quick.append((len(a), len(b)))
        return a == b

    monkeypatch.setattr(hmac, "compare_digest", compare)
    verify(kept, "wrong", hashed=hashed)
    assert len(slow) == 1
    assert slow[0].startswith("$argon2")
    assert quick == [(32, 32)]


@given(password=st.text(), other=st.text())
@settings(deadline=None, max_examples=10)
def test_only_the_password_itself_is_right(password: str, other: str) -> None:
    assert verify(neko_hash(password), other, hashed=True) == (password == other)
    assert verify(password, other, hashed=False) == (password == other)
