"""What a confined program told, which may be anything, read as what it may be."""

import json
from dataclasses import dataclass
from typing import Any, Final

from shiftwork.environments.examples.coding.program import decode
from shiftwork.runner.spec import ProcessResult
from shiftwork.text import printable, truncate

_MOST_PRINTED: Final = 2_000


class Unreadable(ValueError):  # noqa: N818 - what is caught and counted as no answer
    """A value that nothing of ours wrote."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one run told.

    Attributes:
        lines: what it wrote, as far as that can be read.
        printed: the end of what it printed beside, to be shown.
        stopped: why it was ended before it was done, in a few words; None: it ended by itself.
    """

    lines: tuple[dict[str, Any], ...]
    printed: str
    stopped: str | None


def told_by(result: ProcessResult, *, most: int) -> Told:
    """What a run told.

    Args:
        most: bytes of its output; who wrote more has told nothing.
    """
    printed = truncate(printable(result.stderr_tail.decode("utf-8", "replace")), _MOST_PRINTED)
    too_much = result.stdout.length > most
    lines = () if too_much else tuple(_lines(result.stdout_tail))
    return Told(lines, printed, "it wrote too much" if too_much else _why(result))


def value_of(told: Any) -> Any:
    """A value that was told; raises `Unreadable` if nothing of ours wrote it so."""
    try:
        return decode(told)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise Unreadable(str(error)) from None


def _lines(output: bytes) -> list[dict[str, Any]]:
    """Those before the first that is no object of JSON."""
    found = []
    for line in output.splitlines():
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(said, dict):
            break
        found.append(said)
    return found


def _why(result: ProcessResult) -> str | None:
    if result.timed_out:
        return "it took too long"
    if result.breach is not None:
        return "it took too long" if "cpu_seconds" in result.breach else "it used too much memory"
    return None if result.exit_status == 0 else "it ended early"
