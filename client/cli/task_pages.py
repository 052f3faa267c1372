"""How tasks are shown, and what a command that waited for one says of its end."""

import json
import sys
from argparse import Namespace
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from client.api import Shiftwork
from client.cli.exits import DONE, NOT_PASSED
from client.cli.output import excerpt, money, pairs, print_json
from shiftwork.contracts.task import TaskStatus
from shiftwork.store.task_rows import TaskRow
from shiftwork.text import printable

NO_WORKER = "No worker seems to run: start one with `shiftwork worker`, or `shiftwork dev`."


def facts(task: TaskRow) -> dict[str, Any]:
    """A task as JSON."""
    return task.model_dump(mode="json", exclude={"token"})


def moment(at: datetime | None) -> str:
    """A moment on the clock here; empty if there is none."""
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def as_text(value: JsonValue) -> str:
    """What a trace holds, for people: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shown(args: Namespace, task: TaskRow) -> int:
    """Print a task; DONE."""
    if args.json:
        print_json(facts(task))
    else:
        print(page(task))
    return DONE


def page(task: TaskRow) -> str:
    """All that people want to know of a task."""
    return pairs(
        (
            ("task", task.id),
            ("uuid", task.uuid),
            ("status", task.status.value),
            ("provider", task.provider),
            ("agent", _agent(task)),
            ("for", task.user_id),
            ("instruction", excerpt(task.instruction)),
            ("created", moment(task.created_at)),
            ("started", moment(task.started_at)),
            ("ended", moment(task.ended_at)),
            ("took", "" if task.duration is None else f"{task.duration:.2f} s"),
            ("worker", task.worker),
            ("attempts", task.attempt or ""),
            ("progress", excerpt(as_text(task.trace.get("progress", "")), 1_000)),
            ("spent", _spent(task)),
            ("failed by", task.error_kind.value if task.error_kind else ""),
            ("error", excerpt(task.error or "", 1_000)),
            ("result", excerpt(task.result or "", 1_000)),
        ),
        whole=("uuid",),
    )


async def end(args: Namespace, shiftwork: Shiftwork, task_id: int) -> int:
    """Wait for the end of a task, and print what came of it; the exit status says whether it completed."""
    if not await shiftwork.has_worker():
        print(NO_WORKER, file=sys.stderr, flush=True)
    task = await shiftwork.wait_task(task_id)
    if args.json:
        print_json(facts(task))
    else:
        text = printable(task.result or "")
        print(text, end="" if not text or text.endswith("\n") else "\n")
        if task.error:
            print(f"Task {task.id} failed: {excerpt(task.error, 1_000)}", file=sys.stderr)
    return DONE if task.status is TaskStatus.COMPLETED else NOT_PASSED


def _spent(task: TaskRow) -> str:
    usage = task.usage
    if usage is None:
        return ""
    guessed = ", partly estimated" if usage.estimated else ""
    return f"{money(usage.cost_usd)}, {usage.tokens:,} tokens{guessed}"


def _agent(task: TaskRow) -> str:
    return "" if task.agent_id is None else f"{task.agent_id}, version {task.agent_version}"
