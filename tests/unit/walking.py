"""A small environment of which tests change one thing each, and parts that others hold."""

import weakref

from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation


class Walk(BaseHarness):
    """Walks on; each test changes one thing."""

    def __init__(self, **limits):
        super().__init__("walk", "Walk on.", **limits)
        self.place = 0

    async def reset(self, seed=None):
        self.place = 0
        return self.seen()

    async def step(self, action, by=1):
        self.place += by
        return ActionResult(observation=self.seen(), reward=1.0)

    def get_action_space(self):
        return [ActionDefinition(name="go", parameters={"by": {"type": "integer", "default": 1}})]

    async def get_observation(self):
        return self.seen()

    def seen(self):
        return Observation(content=f"at {self.place}")


class Part:
    """Of an environment; it may know of another one."""

    def __init__(self, of=None):
        self.of = of and weakref.ref(of)
        self.count = 0


class History(dict):
    """It tells the order in which it was written."""

    def __init__(self):
        super().__init__()
        self.order = []

    def __setitem__(self, key, value):
        self.order.append(key)
        super().__setitem__(key, value)


class Awake:
    word = "awake"
