"""Judging a solution: it runs in the sandbox and only answers; what is right is decided out here."""

import asyncio
import random
from dataclasses import dataclass
from itertools import chain, repeat, takewhile
from typing import Any, Final, Self

from shiftwork.environments.examples.coding.confined import Allowance, find_sandbox, run_job
from shiftwork.environments.examples.coding.problem import Arguments, Asserts, Case, Problem, same
from shiftwork.environments.examples.coding.program import encode
from shiftwork.environments.examples.coding.telling import Told, Unreadable, value_of
from shiftwork.environments.sharing import NeverChanges
from shiftwork.errors import EnvironmentFailed

_SEEDS: Final = 2**31
_WRONG: Final = "a wrong answer"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case.

    Attributes:
        answer: what was returned, if that can be told.
        error: why nothing was, for whoever wrote the solution.
    """

    case: Case
    passed: bool
    answer: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of the hidden tests.

    Attributes:
        passed, total: how many hold, of how many.
        why: what went wrong first, saying nothing of the inputs; None: nothing did.
    """

    passed: int
    total: int
    why: str | None = None

    @property
    def solved(self) -> bool:
        """Whether all hold."""
        return self.passed == self.total


@dataclass(frozen=True)
class Task(NeverChanges):
    """A problem with the hidden tests of one episode.

    Attributes:
        cases: inputs and outputs; those of asserts have no outputs.
        seed: for asserts that draw their inputs.
    """

    problem: Problem
    cases: tuple[Case, ...]
    seed: int

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


async def prepare(problem: Problem, allowance: Allowance, chance: random.Random) -> Task:
    """Draw the hidden tests of a problem.

    Raises:
        EnvironmentFailed: its asserts do not hold for its own reference.
        SandboxTooWeak: nothing here confines programs as far as is needed.
    """
    seed = chance.randrange(_SEEDS)
    if not isinstance(problem.hidden, Asserts):
        return Task(problem, problem.hidden.cases(random.Random(seed)), seed)  # noqa: S311 - no secret
    told = await _run({**_asserts(problem, problem.hidden, seed), "kind": "record"}, allowance)
    if len(told.lines) < 2 or told.lines[-1] != {"held": True}:
        raise EnvironmentFailed(
            f"the tests of problem {problem.name!r} do not hold for its own solution: "
            f"{told.stopped or told.printed or 'it does not say why'}"
        )
    calls = (tuple(value_of(line["arguments"])) for line in told.lines[:-1])
    return Task(problem, tuple(Case(arguments, None) for arguments in calls), seed)


async def try_examples(task: Task, code: str, allowance: Allowance) -> tuple[list[Outcome], str]:
    """What a solution makes of the public examples, and what it printed."""
    told = await _answers(task.problem, code, [case.arguments for case in task.problem.examples], allowance)
    failed = _failure(told)
    answers = told.lines[1:]
    found = []
    for number, case in enumerate(task.problem.examples):
        line = answers[number] if failed is None and number < len(answers) else {}
        error = failed or str(line.get("error") or told.stopped or "it did not answer")
        try:
            answer = value_of(line["output"])
        except (KeyError, Unreadable):
            found.append(Outcome(case, passed=False, error=error))
        else:
            found.append(Outcome(case, same(case.expected, answer), answer))
    return found, told.printed


async def judge(task: Task, code: str, allowance: Allowance) -> Verdict:
    """What a solution makes of the hidden tests. It gets their inputs, and can do no more than answer."""
    told = await _answers(task.problem, code, [case.arguments for case in task.cases], allowance)
    if _failure(told) is not None:
        return Verdict(0, len(task.cases), told.stopped or "it can't be run")
    if isinstance(task.problem.hidden, Asserts):
        return await _replayed(task, task.problem.hidden, told, allowance)
    return _compared(task, told)


def _compared(task: Task, told: Told) -> Verdict:
    passed, why = 0, None
    lines = chain(told.lines[1:], repeat({}))
    for case, line in zip(task.cases, lines, strict=False):
        reason = _missing(told, line)
        if "output" in line:
            try:
                right = same(case.expected, value_of(line["output"]))
            except Unreadable:
                right = False
            reason = "" if right else _WRONG
        passed += not reason
        why = why or reason
    return Verdict(passed, len(task.cases), why or None)


def _missing(told: Told, line: dict[str, Any]) -> str:
    """Why there is no answer, saying nothing that a solution could smuggle an input out by."""
    return "it raised an exception" if "error" in line else told.stopped or "it did not answer"


async def _replayed(task: Task, asserts: Asserts, answered: Told, allowance: Allowance) -> Verdict:
    """Hold the answers against the asserts, in a process that nothing of the solution is in."""
    total = len(task.cases)
    lines = answered.lines[1 : total + 1]
    answers = [line["output"] for line in takewhile(lambda line: "output" in line, lines)]
    job = {
        **_asserts(task.problem, asserts, task.seed),
        "kind": "replay",
        "calls": [encode(list(case.arguments)) for case in task.cases],
        "answers": answers,
    }
    told = await _run(job, allowance)
    asked = sum(line == {"asked": True} for line in told.lines)
    last = told.lines[-1] if told.lines else {}
    if last == {"held": True} and asked == total:
        return Verdict(total, total)
    if last.get("why") == "StopIteration" and asked == len(answers) < total:
        unanswered = lines[asked] if asked < len(lines) else {}
        return Verdict(asked, total, _missing(answered, unanswered))
    return Verdict(max(asked - 1, 0), total, _WRONG)


async def _answers(problem: Problem, code: str, calls: list[Arguments], allowance: Allowance) -> Told:
    job = {
        "kind": "answer",
        "code": f"{problem.before}\n{code}" if problem.before else code,
        "function": problem.function,
        "calls": [encode(list(arguments)) for arguments in calls],
    }
    return await _run(job, allowance)


def _failure(told: Told) -> str | None:
    """Why there are no answers at all; None: it began to answer."""
    first = told.lines[0] if told.lines else {}
    if first == {"begun": True}:
        return None
    return str(first.get("error") or told.stopped or "it did not answer")


def _asserts(problem: Problem, asserts: Asserts, seed: int) -> dict[str, Any]:
    return {
        "reference": asserts.reference,
        "test": asserts.test,
        "function": problem.function,
        "seed": seed,
    }


async def _run(job: dict[str, Any], allowance: Allowance) -> Told:
    sandbox = await asyncio.to_thread(find_sandbox)
    return await run_job(sandbox, job, allowance)
