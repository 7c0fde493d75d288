"""Which names a member may have."""

import pytest

from streamserver.sessions.model import API_SESSION_ID
from streamserver.usernames import RESERVED, BadUsernameError, check_username


@pytest.mark.parametrize(
    "name", ["ann", "Ann Example", "ann@example.org", "안녕", "👩‍💻", "a..b", "x" * 256, "..a", "%2e"]
)
def test_people_have_all_kinds_of_names(name: str) -> None:
    check_username(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../etc/passwd", "a/b", "a\\b", "a\nb", "\0", "\ud800", "x" * 257, "API", "\u2028"],
)
def test_what_is_no_part_of_an_address_or_no_text_is_refused(name: str) -> None:
    with pytest.raises(BadUsernameError):
        check_username(name)


def test_the_reserved_name_is_that_of_the_api_token() -> None:
    assert RESERVED == API_SESSION_ID
