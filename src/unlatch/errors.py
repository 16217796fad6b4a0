"""The tree of errors. An error says what is known about the world, not what went wrong in the code.

UnlatchError
 ├ LabelUnreadable
 ├ NotAllowed
 ├ NotFound
 ├ Conflict
 ├ TooOften (retry_after_s)
 ├ BadInput
 ├ SettingsError
 ├ DeviceError (may_have_happened, retry_after_s)
 │   ├ CommandNotSent ─ DeviceAsleep
 │   ├ CommandRejected
 │   ├ CommandUnknown
 │   ├ ConsentLost
 │   └ DeviceUnsupported
 ├ RecordingError (code)
 │   ├ CameraUnreachable
 │   └ ClipDamaged (parts)
 └ StoreError
     ├ UnknownSchema
     ├ SealBroken
     └ DatabaseDown

A visit's refusal is a value (`domain.decision`), never one of these.
"""

from __future__ import annotations


class UnlatchError(Exception):
    """Something that Unlatch promised could not be kept."""


class LabelUnreadable(UnlatchError):
    """No barcode that can be read was found in what the courier scanned."""


class NotAllowed(UnlatchError):
    """Who asks may not do this."""


class NotFound(UnlatchError):
    """There is no such thing, or none that the one who asks may see."""


class Conflict(UnlatchError):
    """The request contradicts what has been recorded already."""


class TooOften(UnlatchError):
    """The same one has asked this too often of late; `retry_after_s`: when it may work again."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BadInput(UnlatchError):
    """A value that was given can't be used; the message names the field and the remedy."""

    def __init__(self, field: str, remedy: str) -> None:
        super().__init__(f"{field}: {remedy}")
        self.field = field
        self.remedy = remedy


class SettingsError(UnlatchError):
    """A setting can't be used; the message names it and the remedy."""


class DeviceError(UnlatchError):
    """A device or its cloud did not do what it was asked.

    `may_have_happened` says whether the physical world may have changed all the same;
    `code` is a word of ours for the cause (asleep, offline, rate_limited, subscription ...).
    """

    may_have_happened = False

    def __init__(self, message: str, *, code: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class CommandNotSent(DeviceError):
    """Surely not done: no byte of the command left, or the cloud says it was never taken on. May be repeated."""


class DeviceAsleep(CommandNotSent):
    """The car sleeps and did not take the command."""


class CommandRejected(DeviceError):
    """The cloud took the command on and says it was not done. Do not repeat; look at the closure."""


class CommandUnknown(DeviceError):
    """The command may have happened. Read the closure; never send it again."""

    may_have_happened = True


class ConsentLost(CommandNotSent):
    """The owner's permission at the maker has ended (withdrawn, password changed, token dead)."""


class DeviceUnsupported(CommandNotSent):
    """This device can't do or tell that."""


class RecordingError(UnlatchError):
    """What a camera sees is not, or can't be, kept. `code` is one of the words of `cameras/base.py`."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class CameraUnreachable(RecordingError):
    """The camera sends no picture that could be kept: not found, not let in, cut, silent, or not understood."""


class ClipDamaged(RecordingError):
    """What was kept is not what was recorded; `parts` are the numbers of the parts that are touched."""

    def __init__(self, message: str, *, parts: tuple[int, ...] = ()) -> None:
        super().__init__(message, code="damaged")
        self.parts = parts


class StoreError(UnlatchError):
    """The database could not keep its promise."""


class UnknownSchema(StoreError):
    """The database's schema is not one that this release knows."""


class SealBroken(StoreError):
    """A sealed value does not open: altered, moved to another row, or sealed with a key not given here."""


class DatabaseDown(StoreError):
    """PostgreSQL can't be reached or did not start."""
