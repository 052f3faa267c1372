"""The verifier's tool: a word on each of its steps."""

import json
from collections.abc import Collection
from typing import Any, Final

from langchain_core.tools import BaseTool

from shiftwork.agents.langchain.program.leaving import Leaving
from shiftwork.agents.langchain.program.tools import make_tool
from shiftwork.contracts.outbox import StepVerdict
from shiftwork.text import one_line
from shiftwork.verification.flaws import no_status, unreadable
from shiftwork.verification.trivial import is_trivial
from shiftwork.verification.word import CONSENT, VETO

VERDICT_FILE: Final = "verdict.json"


def spoken(verdict: str) -> str:
    """The verdict as the harness wants it said: the file as it is, and a line."""
    if not verdict:
        return "There is no verdict."
    against = [step for step in json.loads(verdict)["steps"] if not step["met"]]
    why = one_line(f"step {against[0]['step']}: {against[0]['reason']}") if against else ""
    return f"{verdict.rstrip()}\n{VETO}{why}" if against else f"{verdict.rstrip()}\n{CONSENT}"


class VerdictDesk:
    """The verdict so far; `steps`: the numbers of those that are to be judged."""

    def __init__(self, leaving: Leaving, steps: Collection[int]) -> None:
        self._leaving = leaving
        self._steps = sorted(steps)

    def tools(self) -> list[BaseTool]:
        """What the verifier judges with."""
        description = (
            "Give your word on one step, by its number in the brief. If it is fulfilled (`met`), give a "
            "`command` that shows it on another fresh checkout, and the exit status and output it must "
            "yield; the harness runs it, by bash (by sh where there is none). A later word on the same step "
            "replaces the earlier one."
        )
        return [make_tool(self.give_verdict, StepVerdict, description)]

    @property
    def missing(self) -> list[int]:
        """Steps without a word on them."""
        given = self._draft()
        return [step for step in self._steps if str(step) not in given]

    def give_verdict(self, **verdict: Any) -> str:
        """Note a word on one step, and leave what there is."""
        word = StepVerdict.model_validate(verdict)
        if self._steps and word.step not in self._steps:
            return f"Step {word.step} is not yours to judge; yours are {self._named(self._steps)}."
        if word.met and not (word.command and word.command.strip()):
            return (
                f"Step {word.step}: `met` needs a `command` that shows it. If there is none, it is not met."
            )
        if word.met and (problem := unreadable(word.command or "")):
            return f"Step {word.step}: {problem}. Give a `command` that it can."
        if word.met and (problem := no_status(word.expect_status)):
            return f"Step {word.step}: {problem}."
        if word.met and is_trivial(word.command or "", output=word.expect_output is not None):
            return (
                f"Step {word.step}: {word.command!r} comes out alike whether the step is fulfilled or not. "
                "Give a `command` that would fail if it were not. If there is none, it is not met."
            )
        given = self._draft()
        given[str(word.step)] = word.model_dump(mode="json")
        self._leaving.memory.drafts["verdict"] = given
        self._leaving.leave(VERDICT_FILE, {"steps": sorted(given.values(), key=lambda step: step["step"])})
        left = (
            f"Still to judge: {self._named(self.missing)}." if self.missing else "All are judged. Hand over."
        )
        return f"Noted. {left}"

    def _draft(self) -> dict[str, Any]:
        return dict(self._leaving.memory.drafts.get("verdict", {}))

    def _named(self, steps: Collection[int]) -> str:
        return ", ".join(map(str, steps))
