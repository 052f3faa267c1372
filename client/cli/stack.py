"""`dev` and `worker`: what runs until it is stopped."""

import asyncio
import logging
import os
import sys
from argparse import Namespace

from client.cli.exits import DONE
from client.cli.output import pairs, print_json_line
from shiftwork.settings import Settings
from shiftwork.stack.dev import run_dev
from shiftwork.stack.file import StackFile
from shiftwork.stack.private import deny_others_writing

_WORKER = (sys.executable, "-P", "-m", "worker")
_API = (sys.executable, "-P", "-m", "client", "api")


def dev(args: Namespace) -> int:
    """Run the stack until it is told to end."""
    deny_others_writing()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = Settings.from_environment(above=False)  # it begins something, and where it is typed
    with_worker = not args.no_worker

    def ready(stack: StackFile) -> None:
        told = _facts(settings, stack, with_worker=with_worker)
        if args.json:
            print_json_line(told)
        else:
            print(f"Shiftwork is up; Ctrl-C stops it.\n{pairs(told.items())}", flush=True)

    worker_argv, api_argv = (_WORKER, _API) if with_worker else ((), ())
    asyncio.run(run_dev(settings, worker_argv, ready, api_argv=api_argv))
    return DONE


def _facts(settings: Settings, stack: StackFile, *, with_worker: bool) -> dict[str, object]:
    """What people may know of the stack: its addresses, and no password."""
    log = str(settings.state / "logs" / "worker.log") if with_worker else None
    return {
        "state": str(settings.state),
        "temporal_ui": stack.temporal_ui,
        "temporal_address": stack.temporal_address,
        "api": stack.api_url,
        "worker_log": log,
        "pid": stack.pid,
    }


def worker(_: Namespace) -> int:
    """Run a worker until it is told to end."""
    # The composition root is above us, so it is a program of its own that takes this one's place.
    os.execv(sys.executable, _WORKER)
