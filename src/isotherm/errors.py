"""The one error tree, ordered by what the caller must do.

    IsothermError
    ├── Retry                      do the same again, later
    │   ├── Conflicted             a transaction lost its race too often
    │   ├── SnapshotExpired        a snapshot was held longer than the engine allows
    │   ├── NoSpace                the medium is full; works again when space returns
    │   ├── Unavailable            a part of the platform is down, starting or draining
    │   │   └── NotPermitted       the operating system does not let it: whoever runs it must mend that first
    │   └── SlowDown               over capacity
    ├── Invalid                    the request is wrong; mend it (`code` says how)
    │   └── Unsupported            well-formed, but this platform does not offer it
    ├── Conflict                   the request is right, the state of the store refuses it
    │   ├── AlreadyExists
    │   ├── NotEmpty
    │   └── PreconditionFailed
    ├── Denied                     who asks may not
    ├── OverQuota
    ├── NotFound                   bucket, key, version, upload, part, …
    ├── CursorExpired              a feed cursor of another epoch or behind the retained feed: take a snapshot
    ├── Corrupt                    stored bytes are not what was written
    └── Misuse                     a program used a handle wrongly
        ├── Closed
        ├── ForkedHandle           a handle crossed os.fork()
        └── VersionMismatch        a data directory of another format version

`code` is a stable word for programs (S3's where S3 has one); each protocol maps classes and codes to its own in one table.
Every room may import this module; it imports nothing.
"""

from __future__ import annotations


class IsothermError(Exception):
    """Base of everything Isotherm raises on purpose.

    Args:
        message: one sentence for a person.
        code: stable word for programs; the class's default where omitted.
        detail: names and values a program may need (never secrets).
    """

    code = "InternalError"

    def __init__(self, message: str = "", *, code: str | None = None, **detail: object) -> None:
        super().__init__(message or self.__doc__ or "")
        if code is not None:
            self.code = code
        self.detail = detail


class Retry(IsothermError):
    """Try the same again later."""

    code = "ServiceUnavailable"


class Conflicted(Retry):
    """A conflicting operation kept winning; try again."""

    code = "OperationAborted"


class SnapshotExpired(Retry):
    """The snapshot is older than the engine allows; take a new one."""


class NoSpace(Retry):
    """The storage medium is full; writing works again when space returns."""


class Unavailable(Retry):
    """A part of the platform is not reachable right now."""


class NotPermitted(Unavailable):
    """The operating system does not permit it; whoever runs this program must change that."""


class SlowDown(Retry):
    """Over capacity; reduce the request rate."""

    code = "SlowDown"


class Invalid(IsothermError):
    """The request is not valid."""

    code = "InvalidArgument"


class Unsupported(Invalid):
    """This platform does not offer what the request asks for."""

    code = "NotImplemented"


class Conflict(IsothermError):
    """The state of the store refuses the request."""

    code = "OperationAborted"


class AlreadyExists(Conflict):
    """It exists already."""

    code = "BucketAlreadyExists"


class NotEmpty(Conflict):
    """It is not empty."""

    code = "BucketNotEmpty"


class PreconditionFailed(Conflict):
    """At least one of the preconditions did not hold."""

    code = "PreconditionFailed"


class Denied(IsothermError):
    """Access denied."""

    code = "AccessDenied"


class OverQuota(IsothermError):
    """The quota does not allow it."""

    code = "QuotaExceeded"


class NotFound(IsothermError):
    """It does not exist."""

    code = "NoSuchKey"


class CursorExpired(IsothermError):
    """The feed no longer holds what follows this cursor; take a snapshot and follow from there."""

    code = "CursorExpired"


class Corrupt(IsothermError):
    """Stored bytes are not what was written."""

    code = "InternalError"


class Misuse(IsothermError):
    """A handle was used wrongly by the program."""


class Closed(Misuse):
    """The handle is closed."""


class ForkedHandle(Misuse):
    """The handle was opened before os.fork(); open a new one in the child."""


class VersionMismatch(Misuse):
    """The data directory has another format version."""
