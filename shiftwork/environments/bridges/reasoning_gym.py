"""The tasks of Reasoning Gym as environments: a question, and an answer that a program scores."""

import asyncio
from typing import Any, Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.bridges.extras import MissingExtra
from shiftwork.environments.bridges.uncopied import Constant
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.errors import InvalidInput
from shiftwork.text import one_line, truncate

try:
    import reasoning_gym
    from reasoning_gym.factory import DATASETS
except ModuleNotFoundError as error:
    raise MissingExtra("reasoning-gym", error) from error

_MOST_ANSWER: Final = 20_000
_ENOUGH: Final = 0.999


class ReasoningGymHarness(BaseHarness):
    """A task of a data set of Reasoning Gym, made from the seed.

    What an answer earns is by how much it is better than the best before it: an episode earns its best score.
    The full score is 1, and a success.

    Args:
        dataset: the name of a data set, such as `leg_counting`.
        attempts: how many answers may be given; the score of each is told.
        config: of the data set.

    Raises:
        InvalidInput: there is no such data set, or not with this configuration.
    """

    def __init__(self, dataset: str, *, attempts: int = 1, **config: Any) -> None:
        if dataset not in DATASETS:
            known = ", ".join(sorted(DATASETS))
            raise InvalidInput(f"Reasoning Gym has no data set {truncate(dataset, 100)!r}; it has: {known}")
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise InvalidInput(f"{attempts!r} attempts were given; give a number of at least 1")
        super().__init__(dataset, f"Reasoning Gym's {dataset}", max_steps=attempts)
        self.dataset, self.attempts, self.config = dataset, attempts, config
        self._made(0)
        self._tasks: Constant[Any] = Constant(None)
        self._task: Constant[dict[str, Any]] = Constant({"question": ""})
        self.scores: tuple[float, ...] = ()

    async def reset(self, seed: int = 0) -> Observation:
        """Ask a question."""
        tasks = await asyncio.to_thread(self._made, seed)
        self._tasks, self._task = Constant(tasks), Constant(await asyncio.to_thread(tasks.__getitem__, 0))
        self.scores = ()
        return await self.get_observation()

    async def step(self, action: str, **parameters: Any) -> ActionResult:  # noqa: ARG002 - there is one
        """Score an answer."""
        best = max(self.scores, default=0.0)
        score, why = await asyncio.to_thread(self._score, parameters["answer"])
        self.scores = (*self.scores, score)
        return ActionResult(
            observation=await self.get_observation(),
            reward=max(score - best, 0.0),
            metadata={} if why is None else {"unread": why},
        )

    def get_action_space(self) -> list[ActionDefinition]:
        """One action."""
        answer = {"type": "string", "maxLength": _MOST_ANSWER, "description": "The answer, and nothing else"}
        return [ActionDefinition(name="answer", description="Answer it", parameters={"answer": answer})]

    async def get_observation(self) -> Observation:
        """The question, and how good the answers were."""
        over = len(self.scores) == self.attempts or self.is_success()
        return Observation(
            content=self._task.thing["question"],
            available_actions=[] if over else self.get_action_space(),
            metadata={"scores": list(self.scores), "attempts_left": self.attempts - len(self.scores)},
            terminated=over,
        )

    def is_success(self) -> bool:
        """Whether an answer was right."""
        return max(self.scores, default=0.0) >= _ENOUGH

    def _score(self, answer: str) -> tuple[float, str | None]:
        """The score of an answer, and why it could not be read if it could not."""
        try:
            return float(self._tasks.thing.score_answer(answer, self._task.thing)), None
        except Exception as error:  # noqa: BLE001 - whatever a scorer raises on what it can't read
            return 0.0, one_line(truncate(f"{type(error).__name__}: {error}", 200))

    def _made(self, seed: int) -> Any:
        try:
            return reasoning_gym.create_dataset(self.dataset, size=1, seed=seed, **self.config)
        except (TypeError, ValueError, AssertionError) as error:
            raise InvalidInput(
                f"Reasoning Gym can't make {self.dataset!r}: {one_line(truncate(str(error), 300))}"
            ) from error
