"""The demo: a real specification becomes a finished, tested program, session by session.

It starts a stack of its own (PostgreSQL, Temporal, a worker), lets the scripted agent build the example
program, shows what happens, and then runs the finished program's own tests on a fresh clone. No account, no
key, no network. The exit status is 0 only if every feature passes and those tests do.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shiftwork.errors import ShiftworkError
from shiftwork.runner.environment import child_environment
from shiftwork.settings import Settings
from shiftwork.stack.dev import run_dev
from shiftwork.stack.file import StackFile

_EXAMPLE = Path(__file__).resolve().parent / "bookmarks"
_CLIENT = (sys.executable, "-P", "-m", "client")
_WORKER = (sys.executable, "-P", "-m", "worker")
_TESTS = ("python3", "-m", "unittest")
_INTERRUPTED = 130


class DemoFailed(Exception):  # noqa: N818 - it says what happened
    """A step of the demo did not do what it is there to show."""


class Demo:
    """One run of the demo in a folder of its own; what it starts ends with it."""

    def __init__(self, example: Path, folder: Path) -> None:
        self._example = example
        self._folder = folder
        self._settings = replace(Settings.from_environment({}), state=folder / "state")
        self._started = time.monotonic()
        self.repository = folder / "repository"
        self.log = self._settings.state / "logs" / "worker.log"

    async def run(self, *, keep: bool) -> int:
        """Play the demo; returns the exit status."""
        ready: asyncio.Future[StackFile] = asyncio.get_running_loop().create_future()
        # Until it is ready Ctrl-C ends the stack; after that it ends the play first.
        stack = asyncio.create_task(run_dev(self._settings, _WORKER, ready.set_result))
        play = asyncio.create_task(self._play(ready))
        ready.add_done_callback(lambda _: on_signals(play.cancel))
        try:
            await asyncio.wait((stack, play), return_when=asyncio.FIRST_COMPLETED)
            if not play.done():
                stack.result()  # raises what kept it from starting
                return _INTERRUPTED
            if play.cancelled():
                return _INTERRUPTED
            play.result()
            if keep:
                await stay()
        finally:
            for task in (play, stack):
                task.cancel()
            await asyncio.gather(play, stack, return_exceptions=True)
        return 0

    async def _play(self, ready: asyncio.Future[StackFile]) -> None:
        say("Starting PostgreSQL, Temporal and a worker …")
        stack = await ready
        project = await self._start()
        say(f"Temporal Web UI: {stack.temporal_ui}", f"This project:    {project['temporal_ui']}", "")
        resting = await self._shiftwork("watch", project["project_id"])
        status = json.loads(await self._shiftwork("status", project["project_id"], "--json", read=True))
        await self._show_commits()
        if resting != 0 or status["passing_features"] != status["total_features"]:
            reason = status["reason"] or "see the events above"
            raise DemoFailed(f"the project is {status['status']}: {reason}")
        tests = await self._test(project["branch"])
        self._sum_up(status, tests)

    async def _start(self) -> dict[str, Any]:
        argv = (
            *("start", str(self._example / "spec.md"), "--cassette", str(self._example / "cassette.yml")),
            *("--repo", str(self.repository), "--agent", "scripted"),
        )
        say(f"$ shiftwork {' '.join(argv)}")
        started: dict[str, Any] = json.loads(await self._shiftwork(*argv, "--json", read=True))
        return started

    async def _show_commits(self) -> None:
        say("", "$ git log --oneline")
        if await self._call("git", "-C", str(self.repository), "--no-pager", "log", "--oneline") != 0:
            raise DemoFailed("the repository can't be read")

    async def _test(self, branch: str) -> str:
        """Run the finished program's own tests on a fresh clone, with nothing but the base Python."""
        clone = self._folder / "clone"
        say("", f"$ git clone {self.repository} && {' '.join(_TESTS)}")
        if (
            await self._call("git", "clone", "--quiet", "--branch", branch, str(self.repository), str(clone))
            != 0
        ):
            raise DemoFailed("the repository can't be cloned")
        env = child_environment(os.environ, {})
        found = await self._call(*_TESTS, cwd=clone, env=env, read=True)
        text = str(found).strip()
        print(text, flush=True)
        counted = re.search(r"^Ran [1-9].*$", text, re.MULTILINE)
        if counted is None:
            raise DemoFailed("the finished program has no tests")
        return f"{counted.group()}: OK"

    def _sum_up(self, status: dict[str, Any], tests: str) -> None:
        took = time.monotonic() - self._started
        say(
            "",
            f"{status['passing_features']} of {status['total_features']} features pass, "
            f"after {status['sessions']} sessions in {took:.0f} seconds.",
            f"The program's own tests on a fresh clone: {tests}",
            f"The program: {self.repository}; remove {self._folder} when you have seen enough.",
        )

    async def _shiftwork(self, *argv: str, read: bool = False) -> Any:
        env = {**os.environ, "SHIFTWORK_STATE": str(self._settings.state)}
        return await self._call(*_CLIENT, *argv, env=env, read=read)

    async def _call(
        self, *argv: str, cwd: Path | None = None, env: dict[str, str] | None = None, read: bool = False
    ) -> Any:
        """Run a program: its exit status, or with `read` its output if it succeeded."""
        pipe = asyncio.subprocess.PIPE if read else None
        errors = asyncio.subprocess.STDOUT if read else None
        process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=errors, cwd=cwd, env=env)
        try:
            out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        if not read:
            return process.returncode
        text = out.decode(errors="replace")
        if process.returncode != 0:
            raise DemoFailed(
                f"`{' '.join(map(str, argv[-4:]))}` ended with status {process.returncode}:\n{text}"
            )
        return text


def on_signals(call: Callable[[], object]) -> None:
    """Call this, and nothing else, when somebody asks the demo to end."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(sign, call)


async def stay() -> None:
    """Wait until somebody asks the demo to end."""
    asked = asyncio.Event()
    on_signals(asked.set)
    say("", "The stack stays up for you to look around; Ctrl-C ends it.")
    await asked.wait()


def say(*lines: str) -> None:
    """Tell the person who watches."""
    print("\n".join(lines), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="demo", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave the stack up afterwards, until Ctrl-C")
    args = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="shiftwork-demo-"))
    demo = Demo(_EXAMPLE, folder)
    try:
        code = asyncio.run(demo.run(keep=args.keep))
    except (DemoFailed, ShiftworkError) as error:
        sys.stderr.write(f"error: {error}\nEverything is kept in {folder}; the worker's log is {demo.log}.\n")
        return 1
    # What was built stays; what only the stack needed goes.
    shutil.rmtree(folder if code == _INTERRUPTED else folder / "state", ignore_errors=True)
    return code


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # As in the command line: a Temporal client sometimes aborts the interpreter at its exit.
    os._exit(status)
