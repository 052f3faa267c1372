"""One of our environments, driven by code that is not asynchronous."""

from collections.abc import Mapping
from typing import Any

from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.bridges.driving import LoopThread
from shiftwork.environments.bridges.numbered import NotAChoice, Numbered
from shiftwork.environments.protocol import ActionResult, Observation
from shiftwork.environments.registry import make_environment


class DrivenHarness:
    """An environment whose calls wait, and whose actions are those of a space.

    Args:
        harness: an environment, or the name of one.
        parameters: with which one of that name is made.

    Attributes:
        harness: the environment.
        actions: its actions as a space.
    """

    def __init__(self, harness: BaseHarness | str, parameters: Mapping[str, Any] | None) -> None:
        self.harness = make_environment(harness, parameters) if isinstance(harness, str) else harness
        self.actions = Numbered(self.harness)
        self._loop: LoopThread | None = None
        self._closed = False
        self._seen: Observation | None = None

    @property
    def seen(self) -> Observation:
        """The newest observation.

        Raises:
            ResetNeeded: no episode was begun.
        """
        if self._seen is None:
            raise ResetNeeded("no episode was begun; call reset first")
        return self._seen

    def reset(self, seed: int, options: Mapping[str, Any] | None) -> Observation:
        """Begin an episode.

        Raises:
            ShiftworkError: it could not begin.
        """
        given: dict[str, Any] = {**(options or {}), "seed": seed}
        self._seen = self._driver.call(self.harness.reset(**given))
        return self._seen

    def take(self, action: Any) -> ActionResult:
        """Take an action of the space; one that means nothing is refused.

        Raises:
            ResetNeeded: no episode was begun.
        """
        seen = self.seen
        try:
            choice = self.actions.choice(action)
        except NotAChoice as refusal:
            return ActionResult(success=False, observation=seen, error=str(refusal))
        result = self._driver.call(self.harness.step(choice.action, **choice.parameters))
        self._seen = result.observation
        return result

    def close(self) -> None:
        """Shut the environment down; once is enough."""
        if self._closed:
            return
        driver = self._driver
        self._closed = True
        try:
            driver.call(self.harness.shutdown())
        finally:
            driver.close()

    @property
    def _driver(self) -> LoopThread:
        if self._closed:
            raise ClosedEnvironmentError("the environment was closed; make another one")
        if self._loop is None:
            self._loop = LoopThread()
        return self._loop
