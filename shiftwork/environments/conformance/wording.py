"""Saying what was found, in one line of bounded length."""

from typing import Final

from shiftwork.environments.failures import said
from shiftwork.text import one_line, truncate

RAISED: Final = (Exception, SystemExit)
"""Whatever foreign code may raise: an environment that ends the program would end the check as well."""


class CallFailed(Exception):  # noqa: N818 - the text says what
    """A call raised, or did not answer in time.

    Attributes:
        why: what it did, in a few words.
        hung: whether it did not answer.
    """

    def __init__(self, call: str, why: str, *, hung: bool = False) -> None:
        super().__init__(f"{call} {why}")
        self.why = why
        self.hung = hung


def sentence(text: str) -> str:
    """On one line, without what terminals take for commands, and not too long."""
    return truncate(one_line(text), 600)


def raised(error: BaseException) -> str:
    """What was raised, in a few words."""
    if isinstance(error, CallFailed):
        return error.why
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    return sentence(f"raised {type(error).__name__}: {truncate(said(error), 300)}".rstrip(": "))
