"""`status`: the answer people ask for most, with asyncpg and nothing else."""

import asyncio
import shlex
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from client.cli.exits import DONE
from client.cli.folding import folded
from client.cli.output import bar, clock, duration, estimates, excerpt, money, pairs, print_json
from client.delivery import undelivered
from shiftwork.settings import Settings
from shiftwork.stack.file import database_url
from shiftwork.store.status import project_status

OPEN = ("initializing", "active")
"""The statuses in which a project goes on by itself."""

_RECENT = 5


def status(args: Namespace) -> int:
    """Print where a project stands."""
    settings = Settings.from_environment()
    found = asyncio.run(project_status(database_url(settings), args.project))
    if args.json:
        print_json(found)
    else:
        print(render(found, datetime.now(UTC), product(settings, found["project_id"])))
    return DONE


def product(settings: Settings, project_id: str) -> str:
    """Where the product is of a project that has no repository of a person's."""
    return f"git clone {shlex.quote(str(settings.projects / project_id / 'repository.git'))}"


def render(status: dict[str, Any], now: datetime, product: str = "") -> str:
    """The status for people; `product`: how to get it where there is no repository to look into."""
    sections = [
        headline(status, now),
        pairs(
            [*_facts(status), ("product", "" if status["repository"] else product)],
            whole=("product", "repository"),
        ),
        folded(undelivered(status), hang=0),
        "\n".join(folded(f"  {current_session(each, now)}") for each in status["current_sessions"]),
        "\n".join(_question(status["project_id"], each) for each in status["questions"]),
        "\n".join(folded(f"  {_progress(entry)}") for entry in reversed(status["recent_progress"][:_RECENT])),
    ]
    return "\n\n".join(section for section in sections if section)


def headline(status: dict[str, Any], now: datetime) -> str:
    """Name, status and reason, and the bar."""
    passing, total = status["passing_features"], status["total_features"]
    told = folded(f"{excerpt(status['name'])} is {standing(status, now)}")
    return f"{told}\n{bar(passing, total)} {passing}/{total} features pass ({status['progress_percent']:g} %)"


def standing(status: dict[str, Any], now: datetime) -> str:
    """The status, and why; of a project that could go on also what it waits for."""
    why = excerpt(status["reason"]) or waits(status, now)
    return f"{status['status']}: {why}" if why else str(status["status"])


def waits(status: dict[str, Any], now: datetime) -> str:
    """Until when the project leaves its model's provider alone; empty if it does not."""
    if status["not_before"] is None or status["status"] not in OPEN:
        return ""
    return f"waits for the provider until {clock(datetime.fromisoformat(status['not_before']), now)}"


def _facts(status: dict[str, Any]) -> list[tuple[str, object]]:
    counts = status["feature_breakdown"]
    breakdown = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n)
    budget = f" of {money(status['budget_usd'])}" if status["budget_usd"] is not None else ""
    return [
        ("project", status["project_id"]),
        ("features", breakdown),
        ("sessions", status["sessions"]),
        ("spent", f"{money(status['cost_usd'])}{budget}, {status['tokens']:,} tokens{estimates(status)}"),
        ("repository", status["repository"]),
    ]


def current_session(session: dict[str, Any], now: datetime) -> str:
    """A running session in one line."""
    since = (now - datetime.fromisoformat(session["started_at"])).total_seconds()
    what = excerpt(session["feature"] or "planning", 60)
    return f"session {session['number']}: {what} ({session['phase']}, {duration(since)})"


def _question(project_id: str, asked: dict[str, Any]) -> str:
    told = folded(f"  question of {excerpt(asked['feature'], 60)!r}: {excerpt(asked['question'] or '', 600)}")
    return f"{told}\n  answer it with: shiftwork answer {project_id[:8]} {asked['feature_id']} TEXT"


def _progress(entry: dict[str, Any]) -> str:
    outcome = f": {excerpt(entry['outcome'], 120)}" if entry["outcome"] else ""
    commit = f" [{entry['commit'][:10]}]" if entry["commit"] else ""
    session = f"session {entry['session']}: "
    # What older versions recorded begins with its session already.
    begins = entry["session"] is None or entry["action"].startswith(session)
    return f"{'' if begins else session}{excerpt(entry['action'], 120)}{outcome}{commit}"
