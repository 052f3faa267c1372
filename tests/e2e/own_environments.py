"""Packages of somebody's own that bring environments, installed where a worker finds them."""

import subprocess
import tomllib
from pathlib import Path

from tests.unit.docs_support import scripts

FRAGILE = '''
import os

from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation


class Fragile(BaseHarness):
    """Pays 1 for each of three steps, unless it is broken on purpose."""

    def __init__(self, breaks="", switch=""):
        super().__init__("fragile", "Go three steps.", max_steps=50)
        self.breaks = breaks
        self.switch = switch

    async def reset(self):
        self.gone = self.random.randrange(1)
        return self.seen()

    async def step(self, action):
        if self.breaks and not (self.switch and os.path.exists(self.switch)):
            if self.breaks == "once":
                open(self.switch, "x").close()
            if self.breaks != "raise":
                os._exit(3)
            raise RuntimeError("the lamp fell down")
        self.gone += 1
        return ActionResult(observation=self.seen(), reward=1.0)

    def seen(self):
        done = self.gone == 3
        return Observation(content=f"at {self.gone}", available_actions=self.get_action_space(), done=done)

    def get_action_space(self):
        return [ActionDefinition(name="go")]


class Torn(Fragile):
    """No seed makes it again, and what it holds can't be put back."""

    async def reset(self):
        self.gone, self.words = 0, iter("abc")
        return self.seen()

    async def step(self, action):
        next(self.words)
        return await super().step(action)
'''

WALKER = """import json, sys
for line in sys.stdin:
    if not json.loads(line).get("over"):
        print('{"action": "go"}', flush=True)
"""
"""Plays it well."""


def documented(folder: Path) -> Path:
    """Where what the documents have a reader write is written: a package, a program and a feature."""
    for script in scripts("docs/environments.md"):
        if script.name in {"own", "own-bot"}:
            writing = script.code.partition("\n(cd ")[0]
            subprocess.run(["bash", "-eu", "-c", writing], cwd=folder, check=True, timeout=150)
    return folder


def install_documented(written: Path, packages: Path) -> None:
    """Their package, as `pip` leaves it."""
    project = tomllib.loads((written / "high-low" / "pyproject.toml").read_text())
    about = packages / "high_low-1.0.dist-info"
    about.mkdir(parents=True)
    (packages / "high_low.py").write_text((written / "high-low" / "high_low.py").read_text())
    facts = project["project"]
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {facts['name']}\nVersion: {facts['version']}\n"
    )
    [(group, names)] = facts["entry-points"].items()
    lines = (f"{name} = {value}\n" for name, value in names.items())
    (about / "entry_points.txt").write_text(f"[{group}]\n{''.join(lines)}")


def install(folder: Path) -> Path:
    """The package, as `pip` leaves it, in a folder that belongs on PYTHONPATH."""
    about = folder / "fragile_game-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "fragile_game.py").write_text(FRAGILE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fragile-game\nVersion: 1.0\n")
    names = "fragile = fragile_game:Fragile\nunloadable = nowhere_at_all:Game\n"
    (about / "entry_points.txt").write_text(f"[shiftwork.environments]\n{names}")
    return folder
