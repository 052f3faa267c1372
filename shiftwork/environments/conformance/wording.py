"""Saying what was found, in one line of bounded length."""

from shiftwork.text import one_line, truncate


def sentence(text: str) -> str:
    """On one line, without what terminals take for commands, and not too long."""
    return truncate(one_line(text), 600)


def raised(error: BaseException) -> str:
    """What was raised, in a few words."""
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    return sentence(f"raised {type(error).__name__}: {truncate(str(error), 300)}".rstrip(": "))
