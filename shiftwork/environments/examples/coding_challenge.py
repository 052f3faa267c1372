"""Problems to solve in Python, with public examples and hidden tests; solutions run in the sandbox."""

import asyncio
from typing import Any, Final, Literal

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.examples.coding.confined import Allowance, find_sandbox
from shiftwork.environments.examples.coding.human_eval import human_eval_problems
from shiftwork.environments.examples.coding.judging import (
    Outcome,
    Task,
    Verdict,
    judge,
    prepare,
    try_examples,
)
from shiftwork.environments.examples.coding.problem import Case, Difficulty, Problem
from shiftwork.environments.examples.coding.problems import PROBLEMS
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.environments.sharing import NeverChanges
from shiftwork.errors import InvalidInput
from shiftwork.text import printable, truncate

Source = Literal["built-in", "human-eval"]

_MOST_CODE: Final = 50_000
_MOST_SHOWN: Final = 400
"""Characters of one value that are shown."""
_MOST_NAMED: Final = 500
"""Characters of the names of problems that are shown: all of ours, not all of HumanEval's."""


class CodingChallengeHarness(BaseHarness):
    """A function is to be written in Python, which hidden tests judge.

    A solution runs in the strongest sandbox of this machine: without a network, seeing nothing of its files,
    limited in time and memory. Its process gets the inputs of the tests and answers; what is right is decided
    outside it. A submission earns by how much its share of passed tests exceeds the best one before, so that
    a solved problem earns 1 in all. The episode ends when it is solved, or with the last submission.

    Args:
        problem: its name; None: one is drawn.
        difficulty: of the one that is drawn: `easy`, `medium` or `hard`; None: any.
        source: `built-in`, or `human-eval`, whose problems have no difficulty.
        path: of HumanEval's data file; None: that of the installed package `human-eval`.
        submissions: how many there may be.
        seconds: that a run may take, with all its inputs.
        memory_mb: that it may use, in millions of bytes.
        max_steps: None: four for each submission.

    Raises:
        InvalidInput: a parameter is wrong, or HumanEval is not there.
    """

    name = "coding_challenge"

    def __init__(
        self,
        problem: str | None = None,
        difficulty: Difficulty | None = None,
        source: Source = "built-in",
        path: str | None = None,
        *,
        submissions: int = 5,
        seconds: float = 10.0,
        memory_mb: int = 256,
        max_steps: int | None = None,
    ) -> None:
        for what, number in (("submissions", submissions), ("seconds", seconds), ("memory_mb", memory_mb)):
            if isinstance(number, bool) or not 0 < number <= 10_000:
                raise InvalidInput(f"{what} is {number!r}; give a number above 0 and up to 10000")
        self.problems = _Problems(_chosen(problem, difficulty, source, path))
        super().__init__(
            self.name,
            "Write a function in Python that passes hidden tests.",
            max_steps=4 * submissions if max_steps is None else max_steps,
        )
        self.allowance = Allowance(seconds, memory_mb)
        self.submissions = submissions
        self.task: Task | None = None
        self.verdicts: tuple[Verdict, ...] = ()
        self.said = ""

    async def initialize(self) -> bool:
        """Find a sandbox; raises `SandboxTooWeak` where none is strong enough."""
        await asyncio.to_thread(find_sandbox)
        return True

    async def reset(self, seed: int | None = None) -> Observation:  # noqa: ARG002 - `self.random` has it
        """Choose a problem, and draw its hidden tests."""
        problem = self.random.choice(self.problems)
        self.task = await prepare(problem, self.allowance, self.random)
        self.verdicts, self.said = (), ""
        return await self.get_observation()

    async def step(self, action: str, **parameters: Any) -> ActionResult:
        """Run the examples, or submit."""
        task, code = self._task, parameters["code"]
        if action == "run_examples":
            outcomes, printed = await try_examples(task, code, self.allowance)
            self.said = _examples_told(task.problem, outcomes, printed)
            return ActionResult(observation=await self.get_observation(), reward=0.0)
        best = self._best
        verdict = await judge(task, code, self.allowance)
        self.verdicts = (*self.verdicts, verdict)
        self.said = _verdict_told(verdict)
        return ActionResult(observation=await self.get_observation(), reward=max(self._best - best, 0.0))

    def get_action_space(self) -> list[ActionDefinition]:
        """Two actions."""
        function = "the function" if self.task is None else f"the function {self.task.problem.function!r}"
        code = {
            "type": "string",
            "minLength": 1,
            "maxLength": _MOST_CODE,
            "description": f"Python code that defines {function}; only the standard library is there",
        }
        return [
            ActionDefinition(
                name="run_examples",
                description="Run code against the public examples, and see what it returns and prints",
                parameters={"code": dict(code)},
            ),
            ActionDefinition(
                name="submit", description="Submit code to the hidden tests", parameters={"code": code}
            ),
        ]

    async def get_observation(self) -> Observation:
        """The problem, its examples, and what came of the last action."""
        if self.task is None:
            return Observation(available_actions=self.get_action_space())
        problem, over = self.task.problem, self._over
        actions = [] if over else self.get_action_space()
        return Observation(
            content=f"{_problem_told(problem)}\n\n{self._news}",
            available_actions=actions if problem.examples else actions[1:],
            metadata={
                "problem": problem.name,
                "difficulty": problem.difficulty,
                "function": problem.function,
                "hidden_tests": len(self.task.cases),
                "best_passed": max((verdict.passed for verdict in self.verdicts), default=0),
                "submissions_left": self.submissions - len(self.verdicts),
            },
            terminated=over,
        )

    def is_success(self) -> bool:
        """Whether a submission passed all hidden tests."""
        return any(verdict.solved for verdict in self.verdicts)

    @property
    def _task(self) -> Task:
        if self.task is None:
            raise InvalidInput(f"no episode of {self.name!r} was begun; call reset first")
        return self.task

    @property
    def _best(self) -> float:
        return max((verdict.passed / verdict.total for verdict in self.verdicts), default=0.0)

    @property
    def _over(self) -> bool:
        return self.is_success() or len(self.verdicts) >= self.submissions

    @property
    def _news(self) -> str:
        left = "" if self.is_success() else f"\nSubmissions left: {self.submissions - len(self.verdicts)}."
        return f"{self.said or 'Nothing was submitted yet.'}{left}"


class _Problems(NeverChanges, tuple[Problem, ...]):
    """Problems, which never change."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Problems":
        return self


def _chosen(
    problem: str | None, difficulty: str | None, source: str, path: str | None
) -> tuple[Problem, ...]:
    if source not in ("built-in", "human-eval"):
        raise InvalidInput(f"source is {source!r}; give 'built-in' or 'human-eval'")
    if path is not None and source != "human-eval":
        raise InvalidInput("path is of HumanEval's data file; give source 'human-eval' with it")
    known = PROBLEMS if source == "built-in" else human_eval_problems(path)
    found = tuple(each for each in known if problem in (None, each.name))
    if not found:
        raise InvalidInput(
            f"there is no problem {truncate(repr(problem), 100)}; give one of "
            + truncate(", ".join(each.name for each in known), _MOST_NAMED)
        )
    found = tuple(each for each in found if difficulty in (None, each.difficulty))
    if not found:
        raise InvalidInput(f"no such problem has the difficulty {difficulty!r}; give another one, or None")
    return found


def _problem_told(problem: Problem) -> str:
    named = f"# {problem.name}" + (f" ({problem.difficulty})" if problem.difficulty else "")
    shown = "".join(f"\n{_call(problem, case)} -> {_shown(case.expected)}" for case in problem.examples)
    return f"{named}\nWrite a Python function `{problem.function}`. {problem.text}\n{shown}".rstrip()


def _examples_told(problem: Problem, outcomes: list[Outcome], printed: str) -> str:
    lines = [f"{sum(one.passed for one in outcomes)} of {len(outcomes)} examples pass."]
    for one in outcomes:
        got = f"returned {_shown(one.answer)}" if one.error is None else printable(one.error)
        lines.append(f"- {_call(problem, one.case)}: {'ok' if one.passed else got}")
    if printed:
        lines.append(f"It printed:\n{printed}")
    return "\n".join(lines)


def _verdict_told(verdict: Verdict) -> str:
    if verdict.solved:
        return f"Solved: all {verdict.total} hidden tests pass."
    return f"{verdict.passed} of {verdict.total} hidden tests pass; what went wrong first: {verdict.why}."


def _call(problem: Problem, case: Case) -> str:
    return f"{problem.function}({', '.join(map(_shown, case.arguments))})"


def _shown(value: Any) -> str:
    return truncate(printable(repr(value)), _MOST_SHOWN)
