"""The process of the scripted agent: `python -m shiftwork.agents.player CASSETTE`.

It plays one attempt of one feature, and says what it does as one JSON event a line on standard output. It is
started once per session, so it imports as little as it can.
"""

import json
import os
import sys
from typing import Any

from shiftwork.agents.performer import Failed, Performer, TurnOver, emit
from shiftwork.agents.steps import Attempt
from shiftwork.agents.tape import Tape
from shiftwork.errors import ShiftworkError


def main(cassette: str) -> int:
    """Play what the brief asks for; 0 if the agent did what it meant to do."""
    emit("started", text="scripted")
    try:
        _play(cassette, _request())
    except TurnOver:
        return 0
    except (Failed, ShiftworkError, OSError) as error:
        emit("finished", ok=False, text=str(error))
        return 1
    emit("finished", ok=True)
    return 0


def _request() -> dict[str, Any]:
    brief = os.environ.get("SHIFTWORK_BRIEF")
    if not brief:
        raise Failed("SHIFTWORK_BRIEF does not name a brief; the player is started by the harness.")
    with open(os.path.join(brief, "request.json"), encoding="utf-8") as file:  # noqa: PTH123, PTH118 - quicker
        content: dict[str, Any] = json.load(file)
    return content


def _play(cassette: str, request: dict[str, Any]) -> None:
    tape = Tape(cassette)
    performer = Performer(os.getcwd(), os.environ["SHIFTWORK_OUTBOX"])  # noqa: PTH109 - quicker
    if request["role"] == "initializer":
        plan = tape.plan()
        if plan is None:
            raise Failed("The cassette has no plan.")
        performer.leave("plan.json", plan)
        return
    for step in _attempt(tape, request):
        performer.do(step)


def _attempt(tape: Tape, request: dict[str, Any]) -> Attempt:
    feature = request.get("feature") or {}
    name = feature.get("name") or request.get("agent")  # a task has no feature
    attempts = tape.attempts(name) if name else None
    if attempts is None:
        raise Failed(f"The cassette has no sessions for {'the feature ' if feature else ''}{name!r}.")
    return attempts[min(request.get("run", 0), len(attempts) - 1)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
