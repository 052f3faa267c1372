"""The examples hold what they promise, played here directly: folders instead of git, and no harness."""

import os
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from shiftwork.agents.cassette import load_cassette
from shiftwork.contracts.feature import FeatureCategory, FeatureSpec, VerificationStep
from shiftwork.contracts.plan import Plan

EXAMPLES = Path(__file__).parents[2] / "examples"
STORIES = {
    "http api": "crashes",
    "access token": "claims",
    "web page": "is rate-limited",
    "pagination": "fails",
    "bulk import": "breaks another",
    "end to end tests": "fails",
}
SUITE = "python3 -m unittest -q"
ENDINGS = ("exit", "rate_limit", "ask", "hang")


class Example:
    """One example: its plan, its sessions, and what has landed so far in the folder `main`."""

    def __init__(self, cassette: Path, folder: Path) -> None:
        content = yaml.safe_load(cassette.read_text())
        self.plan = Plan.model_validate(content["plan"])
        self.features = {feature.name: feature for feature in self.plan.features}
        self.sessions: dict[str, list[list[dict[str, Any]]]] = content["sessions"]
        self.folder = folder
        self.main = folder / "main"
        self.main.mkdir(parents=True)
        self.env = environment(folder / "bin")
        self.checkouts = 0

    def play(self, name: str, attempt: int) -> tuple[Path, str]:
        """Play one entry on a copy of main: the workspace it left, and how it ended (`end`: by itself)."""
        workspace = self._copy(self.main)
        for step in self.sessions[name][attempt]:
            ((kind, value),) = step.items()
            if kind in ENDINGS:
                return workspace, kind
            self._do(workspace, kind, value)
        return workspace, "end"

    def verify(self, tree: Path, name: str) -> list[str]:
        """Run a feature's steps in a fresh checkout; what went wrong, an empty text for each that passed."""
        checkout = self._copy(tree)
        lay(checkout, self.features[name])
        problems = [self._problem(checkout, step) for step in self.features[name].verification_steps]
        shutil.rmtree(checkout)
        return problems

    def passes(self, tree: Path, name: str) -> bool:
        return not any(self.verify(tree, name))

    def land(self, workspace: Path, name: str) -> None:
        """Make a workspace main, with the files that the feature's steps carry."""
        lay(workspace, self.features[name])
        shutil.rmtree(self.main)
        workspace.rename(self.main)

    def shell(self, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
        argv = ["/bin/sh", "-c", command]
        return subprocess.run(
            argv, cwd=folder, env=self.env, capture_output=True, text=True, timeout=100, check=False
        )

    def _do(self, workspace: Path, kind: str, value: Any) -> None:
        if kind == "run":
            done = self.shell(workspace, value)
            assert done.returncode == 0, f"{value}: {done.stdout}{done.stderr}"
        elif kind == "replace":
            path = workspace / value["path"]
            text = path.read_text()
            assert text.count(value["old"]) == 1, f"{value['path']} holds {value['old']!r} not once"
            path.write_text(text.replace(value["old"], value["new"]))
        elif kind == "write":
            put(workspace, value["path"], value["content"])
        elif kind == "append":
            put(workspace, value["path"], (workspace / value["path"]).read_text() + value["content"])
        elif kind == "delete":
            (workspace / value).unlink()

    def _problem(self, checkout: Path, step: VerificationStep) -> str:
        assert step.command
        done = self.shell(checkout, step.command)
        met = done.returncode == step.expect_status and (step.expect_output or "") in done.stdout
        return "" if met else f"{step.description}: status {done.returncode}\n{done.stdout}{done.stderr}"

    def _copy(self, tree: Path) -> Path:
        self.checkouts += 1
        target = self.folder / f"copy-{self.checkouts}"
        return Path(shutil.copytree(tree, target, ignore=shutil.ignore_patterns("__pycache__")))


def put(folder: Path, path: str, content: str) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)


def lay(checkout: Path, feature: FeatureSpec) -> None:
    for step in feature.verification_steps:
        for path, content in step.files.items():
            put(checkout, path, content)


def environment(folder: Path) -> dict[str, str]:
    """What a step sees: the base interpreter as `python3`, no home, nothing of ours."""
    folder.mkdir()
    (folder / "python3").symlink_to(os.path.realpath(sys.executable))
    return {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder / "no-home"), "LANG": "C.UTF-8"}


def order(features: dict[str, FeatureSpec], seed: int | None) -> list[str]:
    """An order that the dependencies allow: the harness's own by priority, or a seeded other one.

    Raises:
        graphlib.CycleError: the dependencies have a cycle.
    """
    sorter = TopologicalSorter({name: feature.depends_on for name, feature in features.items()})
    sorter.prepare()
    random = Random(seed)
    ready: list[str] = []
    result: list[str] = []
    while sorter.is_active():
        ready += sorter.get_ready()
        if seed is None:
            ready.sort(key=lambda name: (-features[name].priority, list(features).index(name)))
        else:
            random.shuffle(ready)
        result.append(ready.pop(0))
        sorter.done(result[-1])
    return result


def story(example: Example, name: str, attempt: int) -> str:
    """What happens when this entry is played on main: `lands`, or how it goes wrong."""
    workspace, end = example.play(name, attempt)
    if end != "end":
        return {"exit": "crashes", "rate_limit": "is rate-limited"}[end]
    entry = example.sessions[name][attempt]
    if not example.passes(workspace, name):
        return "claims" if {kind for step in entry for kind in step} == {"say"} else "fails"
    # What it edits is what it builds on; all the others are verified when everything has landed.
    edits = any("replace" in step for step in entry)
    if edits and not all(example.passes(workspace, other) for other in example.features[name].depends_on):
        return "breaks another"
    example.land(workspace, name)
    return "lands"


def play_through(example: Example, seed: int | None) -> dict[str, list[str]]:
    """Play a whole example in one order; for each feature, what became of its entries."""
    stories: dict[str, list[str]] = {}
    for name in order(example.features, seed):
        assert all(example.verify(example.main, name)), f"{name}: a step passes before the work is done"
        stories[name] = [story(example, name, index) for index in range(len(example.sessions[name]))]
    return stories


def test_the_plan_is_a_full_one(tmp_path: Path) -> None:
    """Otherwise the demo would not show what the product does: many features, of all kinds, in an order."""
    example = Example(EXAMPLES / "bookmarks" / "cassette.yml", tmp_path)
    names = set(example.features)
    assert len(names) >= 15
    assert names == set(example.sessions)
    assert {feature.category for feature in example.plan.features} == set(FeatureCategory)
    assert all(set(feature.depends_on) <= names for feature in example.plan.features)
    assert all(feature.verifiable for feature in example.plan.features)
    assert len(order(example.features, None)) == len(names)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_bookmarks_are_built_in_any_order(tmp_path: Path) -> None:
    """Otherwise the demo gets stuck, or lands a feature that breaks another, in some order of sessions."""
    # `make demo`, which is tested too, plays them in the order of their priorities.
    example = Example(EXAMPLES / "bookmarks" / "cassette.yml", tmp_path)
    stories = play_through(example, 7)
    assert stories == {name: [STORIES[name], "lands"] if name in STORIES else ["lands"] for name in stories}
    done = example.shell(example.main, SUITE)
    assert done.returncode == 0, done.stderr
    for name in example.features:
        assert not any(problems := example.verify(example.main, name)), (name, problems)


def test_the_minimal_example(tmp_path: Path) -> None:
    """Otherwise the quick start of the README would not end with a finished project."""
    example = Example(EXAMPLES / "minimal" / "cassette.yml", tmp_path)
    assert play_through(example, None) == {
        "count words": ["fails", "lands"],
        "command line": ["lands"],
        "readme": ["lands"],
    }


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/cassette.yml")), ids=lambda path: path.parent.name)
def test_the_scripted_agent_accepts_the_cassette(path: Path) -> None:
    """Otherwise `shiftwork start` refuses the example."""
    cassette = load_cassette(path)
    assert cassette.plan is not None
    assert set(cassette.sessions) == {feature.name for feature in cassette.plan.features}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/spec.md")), ids=lambda path: path.parent.name)
def test_a_specification_has_front_matter_and_prose(path: Path) -> None:
    """Otherwise `shiftwork start` has no name for the example's project, or nothing to plan from."""
    _, front, prose = path.read_text().split("---\n", 2)
    assert set(yaml.safe_load(front)) == {"name"}
    assert len(prose.strip()) > 100
