"""A verifier's word as it says it: a line that nothing else looks like, and the verdict in full."""

import re
from dataclasses import dataclass
from itertools import islice

from shiftwork.contracts.outbox import Verdict

CONSENT = "VERDICT: consent"
"""What the last message of a verifier that consents ends with, as a line of its own."""

VETO = "VERDICT: veto: "
"""What a line begins with that vetoes, before the reason."""

_LINE = re.compile(r"(\*\*|__)?VERDICT: (consent|veto)\b(.*)")
_OPENING = re.compile(r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+(`{3,}+(?=[^`]*$)|~{3,}+)")
"""What begins a fenced block; possessive, so that no line takes longer than its length tells."""

_PLACE = "<why>"
"""What stands where an instruction, and no verdict, has a reason."""

_MOST_VETOES = 20


@dataclass(frozen=True, slots=True)
class Word:
    """What a verifier said in one run.

    Attributes:
        vetoes: the reasons of all lines that veto, wherever they were heard.
        consents: its last message ends with the line that consents.
        verdict: what that message repeats of `verdict.json`, if it does.
        doubts: why consent does not count, whatever was said; one sentence each.
    """

    vetoes: tuple[str, ...] = ()
    consents: bool = False
    verdict: Verdict | None = None
    doubts: tuple[str, ...] = ()


def vetoes_in(text: str) -> tuple[str, ...]:
    """The reasons of the lines that veto, from the beginning of a message.

    Words within a line, quoted lines (`> `), those of a fenced block, and the line as instructions show it
    (`VERDICT: veto: <why>`) are none. It takes time in proportion to the text, whatever it holds.
    """
    if "VERDICT: veto" not in text:
        return ()
    found = (_veto(match) for line in _unfenced(text) if (match := _LINE.match(line)))
    return tuple(islice((reason for reason in found if reason is not None), _MOST_VETOES))


def consents(text: str) -> bool:
    """Whether a message ends with the line that consents."""
    last = next((line for line in reversed(_unfenced(text)) if line.strip()), "")
    match = _LINE.match(last.rstrip())
    return match is not None and match[2] == "consent" and match[3].strip(" .*_") == ""


def _veto(match: re.Match[str]) -> str | None:
    if match[2] != "veto":
        return None
    reason = match[3].strip(" *_\t").removeprefix(":").strip()
    return None if reason == _PLACE else reason or "no reason was given"


def _unfenced(text: str) -> list[str]:
    """The lines outside of fenced blocks.

    A block begins with a line of three backticks or tildes or more, before which there may be list markers,
    and ends with a line of at least as many and nothing else. One that never ends hides nothing.
    """
    shown: list[str] = []
    block: list[str] = []
    fence = ""
    for line in text.split("\n"):
        if fence:
            block.append(line)
            if _closes(line.strip(), fence):
                block, fence = [], ""
        elif opening := _OPENING.match(line):
            block, fence = [line], opening[1]
        else:
            shown.append(line)
    return shown + block


def _closes(line: str, fence: str) -> bool:
    return line.startswith(fence) and not line.strip(fence[0])
