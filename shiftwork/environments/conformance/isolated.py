"""Holding an environment against the rules in a process of its own, which can be ended whatever it does."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from shiftwork.environments.conformance.child import Order, child
from shiftwork.environments.conformance.report import ConformanceReport, Fault
from shiftwork.errors import EnvironmentFailed, InvalidInput

_MODULE: Final = f"{__package__}.checking"


class Check(Order):
    """What is checked; see `check_harness`."""

    seed: int
    episodes: int
    steps: int
    call_seconds: float


class Said(BaseModel):
    """What the process says as it goes on.

    Attributes:
        call: which call is made now.
        report: what is known by now.
        over: whether that is all.
        wrong: why it can't be checked at all.
    """

    call: str = ""
    report: ConformanceReport | None = None
    over: bool = False
    wrong: str = ""


_Said: Final = TypeAdapter(Said)


async def check_by_name(
    environment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    episodes: int = 3,
    steps: int = 30,
    call_seconds: float = 30.0,
    grace_seconds: float = 15.0,
) -> ConformanceReport:
    """`check_harness` in a process of its own: a call that neither waits nor returns is a fault, too.

    Args:
        environment: as `make_environment` takes it.
        parameters: with which it is made.
        seed, episodes, steps, call_seconds: see `check_harness`.
        grace_seconds: how much longer nothing may be heard of its process, which has to start, too.

    Raises:
        InvalidInput: it can't be made.
        EnvironmentFailed: its process ended before the report did.
    """
    order = Check(
        environment=environment,
        parameters=dict(parameters or {}),
        seed=seed,
        episodes=episodes,
        steps=steps,
        call_seconds=call_seconds,
    )
    newest = Said(call="importing it", report=ConformanceReport(environment))
    async with child(_MODULE, order) as told:
        while not newest.over:
            try:
                async with asyncio.timeout(call_seconds + grace_seconds):
                    line = await told.readline()
            except TimeoutError:
                return _stuck(newest, call_seconds)
            if not line:
                raise EnvironmentFailed(
                    f"environment {environment!r} ended its process at {newest.call}; let it end no program"
                )
            said = _Said.validate_json(line)
            if said.wrong:
                raise InvalidInput(said.wrong)
            newest = said.model_copy(
                update={"call": said.call or newest.call, "report": said.report or newest.report}
            )
    assert newest.report is not None, "it begins with one"
    return newest.report


def _stuck(newest: Said, call_seconds: float) -> ConformanceReport:
    report = newest.report
    assert report is not None, "it begins with one"
    fault = Fault(
        "blocking",
        f"{newest.call} did not return in {call_seconds:g} s, could not be interrupted, and was ended with "
        "its process; await what takes long, such as asyncio.to_thread(…), and give every loop an end",
    )
    rest = f"all other rules: not looked at, because {newest.call} did not return"
    checked = (*report.checked, *(() if "blocking" in report.checked else ("blocking",)))
    return ConformanceReport(report.environment, (*report.faults, fault), checked, (*report.skipped, rest))
