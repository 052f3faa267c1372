"""`tasks run`: one task, or whatever is pending, once or again and again."""

import asyncio
import logging
import os
import signal
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.exits import DONE, INTERRUPTED
from client.cli.output import counted, print_json
from client.cli.task_pages import NO_WORKER, end
from client.task_refs import find_task
from client.task_runner import DISABLED, INTERVAL, TaskRunner
from shiftwork.errors import InvalidInput
from shiftwork.secrets import protect_handler
from shiftwork.settings import Settings, log_level

log = logging.getLogger("shiftwork.runner")


def run(args: Namespace) -> int:
    """Run one task, or what is pending."""
    if [bool(args.task), args.once, args.loop].count(True) != 1:
        raise InvalidInput("What is to run? Give one of TASK, --once and --loop.")
    if args.interval is not None and not args.loop:
        raise InvalidInput("--interval has a meaning with --loop alone; leave it out.")
    settings = _settings(args.state)
    if args.task:
        return connected(lambda shiftwork: _one(args, shiftwork), settings)
    if not settings.agent_runner_enabled:
        raise InvalidInput(f"{DISABLED}: set SHIFTWORK_AGENT_RUNNER_ENABLED=true to have it run tasks.")
    level = log_level(os.environ)
    return connected(lambda shiftwork: _pending(args, shiftwork, level), settings)


def _settings(state: str | None) -> Settings:
    settings = Settings.from_environment()
    if state is None:
        return settings
    folder = Path(state).expanduser().absolute()
    if not folder.is_dir():
        raise InvalidInput(f"There is no state folder {state!r}; `shiftwork dev` makes one.")
    return replace(settings, state=folder, database_url=None)


async def _one(args: Namespace, shiftwork: Shiftwork) -> int:
    task = await find_task(shiftwork.store, args.task)
    await shiftwork.start_task(task.id)
    return await end(args, shiftwork, task.id)


async def _pending(args: Namespace, shiftwork: Shiftwork, level: int) -> int:
    _log_to_people(shiftwork, level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    log.info("Connected to the stack in %s", shiftwork.settings.state)
    if not await shiftwork.has_worker():
        log.warning("%s", NO_WORKER)
    runner = TaskRunner(shiftwork)
    if args.loop:
        summary = await runner.run_loop(args.interval or INTERVAL, stop)
    else:
        log.info("Running agent runner once...")
        summary = await runner.run_once(stop)
        log.info("Run completed: %s", summary)
    if args.json:
        print_json(summary)
    else:
        facts = [f"{summary[f'tasks_{name}']} {name}" for name in ("completed", "failed", "skipped")]
        print(f"{counted(summary['tasks_started'], 'task')} started: {', '.join(facts)}.", flush=True)
    return INTERRUPTED if stop.is_set() and not args.loop else DONE


def _log_to_people(shiftwork: Shiftwork, level: int) -> None:
    """Lines on standard error, without secrets."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    protect_handler(handler, shiftwork.store.redactor)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
