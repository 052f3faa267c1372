"""Cassettes of the scripted agent, validated as a whole before anything starts.

A broken one is refused in one sentence: `demo.yml:41: sessions."Add notes"[0][2].write: content is missing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ValidationError

from shiftwork.agents.steps import Attempt, Step
from shiftwork.agents.tape import Tape
from shiftwork.agents.yamlplace import Place
from shiftwork.contracts.outbox import DecisionNote, Handoff, ProgressNote, Question
from shiftwork.contracts.plan import Plan
from shiftwork.errors import InvalidInput
from shiftwork.planning.graph import check_dependencies
from shiftwork.text import one_line

_DOCUMENTS: Mapping[str, type[BaseModel]] = {
    "decision": DecisionNote,
    "progress": ProgressNote,
    "handoff": Handoff,
    "ask": Question,
}


@dataclass(frozen=True, slots=True)
class Cassette:
    """A valid cassette.

    Attributes:
        plan: what the initializer leaves; None if the cassette has none.
        sessions: the attempts of each feature, by its name.
    """

    plan: Plan | None
    sessions: Mapping[str, tuple[Attempt, ...]]


def load_cassette(path: Path) -> Cassette:
    """Read and validate a cassette; raises `CassetteError` with file, line and field."""
    tape = Tape(str(path))
    plan = _load_plan(tape)
    sessions: dict[str, tuple[Attempt, ...]] = {}
    for name in tape.features:
        attempts = tape.attempts(name)
        assert attempts is not None
        sessions[name] = attempts
        for step in (step for attempt in attempts for step in attempt):
            _check_document(step)
    if plan is None and not sessions:
        tape.root.fail("plan is missing")
    return Cassette(plan, sessions)


def _load_plan(tape: Tape) -> Plan | None:
    content = tape.plan()
    place = tape.plan_place
    if content is None or place is None:
        return None
    try:
        plan = Plan.model_validate(content)
        check_dependencies({feature.name: feature.depends_on for feature in plan.features})
    except ValidationError as error:
        _refuse(error, place, tape.setup_place)
    except InvalidInput as error:
        place.fail(str(error))
    return plan


def _check_document(step: Step) -> None:
    """What goes into the outbox must be what the harness will accept from there."""
    model = _DOCUMENTS.get(step.kind)
    if model is None:
        return
    try:
        model.model_validate(step.values)
    except ValidationError as error:
        _refuse(error, step.place)


def _refuse(error: ValidationError, place: Place, setup: Place | None = None) -> NoReturn:
    problem = error.errors(include_url=False, include_input=False)[0]
    path = tuple(problem["loc"])
    if place.is_sequence and path[:1] == ("features",):
        path = path[1:]  # a bare list of features
    last = path[-1] if path else ""
    if setup is not None and path[:1] == ("setup",):
        # Joined with those of the plan, so that the index says nothing of where it stands.
        place, path = setup, ()
    target = place.deepest(path)
    if problem["type"] == "missing":
        target.fail(f"{last} is missing")
    if problem["type"] == "extra_forbidden":
        target.fail(f"key {str(last)!r} is not known here")
    target.fail(one_line(problem["msg"].removeprefix("Value error, ")))
