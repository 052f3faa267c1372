"""What a workspace costs, beside what git's own ways to get one cost in the same run.

    python benchmarks/bench_workspace.py [--files 2000] [--rounds 7] [--json]

Ratios are to `git worktree add`, the cheapest of git's ways. Milliseconds depend on the machine and on what
else it does; ratios of one run hold.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from shiftwork.repository import PrivateRepository, Workspace, WorkspacePool

REFERENCE = "git worktree add"
Step = Callable[[int], Awaitable[None]]


class Bench:
    """One repository of so many files, and everything that is measured on it."""

    def __init__(self, folder: Path, files: int) -> None:
        self.folder = folder
        self.files = files
        self.repo = PrivateRepository(folder / "repository.git")
        self.pool = WorkspacePool(folder / "workspaces")
        self.commits: list[str] = []

    async def set_up(self) -> Workspace:
        """Make two commits that differ in ten files."""
        await self.repo.create()
        base = await self.repo.tip()
        workspace = await self.pool.acquire("setup")
        await workspace.prepare(self.repo, base, with_git=False)
        for number in range(self.files):
            path = workspace.path / f"package{number // 50}" / f"module{number}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"VALUE = {number}\n" * 250)
        first = await self.repo.snapshot(workspace, base, "first")
        for number in range(10):
            (workspace.path / "package0" / f"module{number}.py").write_text("CHANGED = True\n")
        second = await self.repo.snapshot(workspace, first.commit, "second")
        self.commits = [first.commit, second.commit]
        await self.repo.swap(base, second.commit)
        return workspace

    def git(self, *arguments: str | Path) -> None:
        """Run git as a person would, without their hooks."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        subprocess.run(["git", *map(str, arguments)], check=True, capture_output=True, env=environment)

    async def worktree(self, number: int) -> None:
        self.git(
            "--git-dir", self.repo.path, "worktree", "add", "--detach", self.folder / f"w{number}", "main"
        )

    async def clone(self, number: int) -> None:
        self.git("clone", "--quiet", self.repo.path, self.folder / f"c{number}")

    async def fresh(self, number: int) -> None:
        workspace = await self.pool.acquire(f"fresh-{number}")
        await workspace.prepare(self.repo, self.commits[1], with_git=True)

    def steps(self, workspace: Workspace, judge: Workspace) -> dict[str, Step]:
        """What is measured, by its name in the table."""

        async def judged(_: int) -> None:
            await judge.prepare(self.repo, self.commits[1], with_git=False)

        async def same(_: int) -> None:
            await workspace.prepare(self.repo, self.commits[1], with_git=True)

        async def moved(number: int) -> None:
            await workspace.prepare(self.repo, self.commits[number % 2], with_git=True)

        async def unchanged(_: int) -> None:
            await self.repo.snapshot(workspace, self.commits[1], "bench")

        async def one_file(number: int) -> None:
            (workspace.path / "package1/module60.py").write_text(f"ROUND = {number}\n")
            await self.repo.snapshot(workspace, self.commits[1], "bench")

        return {
            REFERENCE: self.worktree,
            "git clone": self.clone,
            "workspace, new": self.fresh,
            "workspace, to judge in": judged,
            "workspace, ten files differ": moved,
            "workspace, same commit": same,
            "snapshot, nothing changed": unchanged,
            "snapshot, one file changed": one_file,
        }

    def clear(self) -> None:
        """Remove what a round left."""
        left = ("w[0-9]*", "c[0-9]*", "workspaces/fresh-*")
        for path in [path for pattern in left for path in self.folder.glob(pattern)]:
            shutil.rmtree(path)
        self.git("--git-dir", self.repo.path, "worktree", "prune")


async def measure(files: int, rounds: int) -> dict[str, float]:
    """Median seconds of each step; the first round of each warms up and does not count."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), files)
        workspace = await bench.set_up()
        judge = await bench.pool.acquire("judge", to_judge=True)
        steps = bench.steps(workspace, judge)
        taken: dict[str, list[float]] = {name: [] for name in steps}
        # Round by round, so that a busy moment of the machine meets every step alike.
        for number in range(rounds + 1):
            for name, step in steps.items():
                started = time.perf_counter()
                await step(number)
                taken[name].append(time.perf_counter() - started)
            bench.clear()
        return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000, help="files of the project")
    parser.add_argument("--rounds", type=int, default=7, help="measured repetitions of each step")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    medians = asyncio.run(measure(options.files, options.rounds))
    if options.json:
        print(json.dumps({"files": options.files, "seconds": medians}))
        return
    print(f"{options.files} files, median of {options.rounds}")
    for name, seconds in medians.items():
        print(f"{name:30} {seconds * 1000:9.1f} ms   {seconds / medians[REFERENCE]:6.2f} ×")


if __name__ == "__main__":
    main()
