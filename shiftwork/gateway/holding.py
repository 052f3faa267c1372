"""How many bytes of questions are held in memory, by one session and by the gateway as a whole."""

from typing import Self

from shiftwork.gateway.refusals import Reason, Refused


class Holding:
    """Counts bytes that are held.

    Args:
        limit: how many there may be.
        whole: of which this one is a part.
    """

    def __init__(self, limit: int, whole: Self | None = None) -> None:
        self._limit = limit
        self._whole = whole
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    def take(self, number: int) -> None:
        """Hold so many more; raises `Refused`, and holds none of them, if these would be too many."""
        if self._held + number > self._limit:
            raise Refused(
                503,
                Reason.BUSY,
                "too many bytes of questions are being sent at once.",
                (("retry-after", "1"),),
            )
        if self._whole is not None:
            self._whole.take(number)
        self._held += number

    def release(self, number: int) -> None:
        """Hold so many less."""
        self._held -= number
        if self._whole is not None:
            self._whole.release(number)
