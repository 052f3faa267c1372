"""A verifier's word as it says it: a line that nothing else looks like, and the verdict in full."""

import re
from dataclasses import dataclass
from itertools import islice

from shiftwork.contracts.outbox import Verdict

CONSENT = "VERDICT: consent"
"""What the last message of a verifier that consents ends with, as a line of its own."""

VETO = "VERDICT: veto: "
"""What a line begins with that vetoes, before the reason."""

_LINE = re.compile(r"^(\*\*|__)?VERDICT: (consent|veto)\b(.*)$", re.MULTILINE)
_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?^\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"<[^<>]*>|why|\.\.\.|…")
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
    (`VERDICT: veto: <why>`) are none. A fence that is never closed hides nothing.
    """
    found = (_veto(match) for match in _LINE.finditer(_unfenced(text)))
    return tuple(islice((reason for reason in found if reason is not None), _MOST_VETOES))


def consents(text: str) -> bool:
    """Whether a message ends with the line that consents."""
    lines = _unfenced(text).rstrip().rsplit("\n", 1)
    match = _LINE.match(lines[-1].rstrip())
    return match is not None and match[2] == "consent" and match[3].strip(" .*_") == ""


def _veto(match: re.Match[str]) -> str | None:
    if match[2] != "veto":
        return None
    reason = match[3].strip(" *_\t").removeprefix(":").strip()
    return None if _PLACE.fullmatch(reason) else reason or "no reason was given"


def _unfenced(text: str) -> str:
    return _FENCED.sub("", text)
