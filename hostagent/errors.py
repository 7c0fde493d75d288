"""What the agent refuses and why, with the code (hypeman's) and status an API caller gets."""

from typing import ClassVar


class HostError(Exception):
    """A thing the agent could not or would not do; the message names it, the finding and the way out."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500


class BadRequestError(HostError):
    """The caller's input is wrong."""

    code = "bad_request"
    status = 400


class NotFoundError(HostError):
    """No such instance."""

    code = "not_found"
    status = 404


class AmbiguousError(HostError):
    """A prefix of an id that several instances have."""

    code = "ambiguous"
    status = 409


class NameConflictError(HostError):
    """The name or a published port is taken."""

    code = "name_conflict"
    status = 409


class InvalidStateError(HostError):
    """The instance is not in a state that allows this."""

    code = "invalid_state"
    status = 409


class InstanceInStandbyError(HostError):
    """Held too late: the instance is going to sleep or asleep."""

    code = "instance_in_standby"
    status = 409


class UnsupportedError(HostError):
    """This machine cannot do it; the message carries the probe's answer."""

    code = "unsupported"
    status = 501


class SleepAborted(HostError):  # noqa: N818 (no fault)
    """Going to sleep was given up because somebody came; the instance is awake. Not a failure."""

    code = "aborted"
    status = 409
