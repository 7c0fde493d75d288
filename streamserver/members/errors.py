"""Why a member cannot log in, or cannot be changed."""


class InvalidCredentials(Exception):  # noqa: N818 (a plain answer, not a fault)
    """Name or password is wrong; which of them is never said."""


class MemberNotFoundError(Exception):
    """There is no member of this id."""

    def __init__(self, member_id: str) -> None:
        super().__init__(f"there is no member {member_id!r}")


class MemberExistsError(Exception):
    """There is a member of this name already."""

    def __init__(self, username: str) -> None:
        super().__init__(f"there is a member {username!r} already")


class NoMemberListError(Exception):
    """The provider keeps no list of members, so none can be added, changed or removed."""

    def __init__(self, provider: str) -> None:
        super().__init__(f"the member provider {provider} keeps no members; choose file or object")


class MemberFileError(OSError):
    """The members' file cannot be read, is damaged, or cannot be written; the message names it."""
