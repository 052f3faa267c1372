"""`list`, `features`, `decisions`, `report`: what the rows say."""

import json
from argparse import Namespace
from pathlib import Path

from client.cli.exits import DONE
from client.cli.folding import folded, terminal_width
from client.cli.layout import laid_out
from client.cli.opening import newest, reading, tell_unreadable
from client.cli.output import excerpt, money, print_json, table
from client.deciding import decided_in, judged, whose
from client.report import project_report, render_markdown
from shiftwork.contracts.project import ProjectStatus
from shiftwork.errors import InvalidInput
from shiftwork.store.rows import DecisionRow, FeatureRow, ProjectRow
from shiftwork.store.store import Store
from shiftwork.text import printable

_DECISIONS = 100


def projects(args: Namespace) -> int:
    """Print every project, newest first."""

    async def command(store: Store) -> int:
        async with store.transaction() as tx:
            status = ProjectStatus(args.status) if args.status else None
            found, unreadable = await tx.projects.readable(status)
            shown = [await tx.projects.status(each.id) for each in reversed(found)]
        if args.json:
            print_json([{**status, "created_at": _at(row)} for status, row in _with(shown, found)])
        elif shown:
            head = ("id", "name", "status", "features", "sessions", "spent", "reason")
            print(table(head, [_project(status) for status in shown], spare=(4, 5)))
        elif not unreadable:
            print("There is no such project." if args.status else "There is no project yet.")
        tell_unreadable(unreadable)
        return DONE

    return reading(command)


def _with(
    shown: list[dict[str, object]], found: list[ProjectRow]
) -> list[tuple[dict[str, object], ProjectRow]]:
    return list(zip(shown, reversed(found), strict=True))


def _at(row: ProjectRow) -> str:
    return row.created_at.isoformat()


def _project(status: dict[str, object]) -> tuple[object, ...]:
    return (
        str(status["project_id"])[:8],
        status["name"],
        status["status"],
        f"{status['passing_features']}/{status['total_features']}",
        status["sessions"],
        money(float(str(status["cost_usd"]))),
        status["reason"],
    )


def features(args: Namespace) -> int:
    """Print a project's features."""

    async def command(store: Store) -> int:
        project = await newest(store, args.project)
        async with store.transaction() as tx:
            found = await tx.features.list(project.id)
        if args.json:
            print_json([row.model_dump(mode="json") for row in found])
        elif found:
            head = ("id", "feature", "status", "category", "prio", "failed", "remark")
            print(table(head, [_feature(row) for row in found], spare=(3, 4, 5)))
        else:
            print(f"{excerpt(project.name)} has no features yet.")
        return DONE

    return reading(command)


def _feature(row: FeatureRow) -> tuple[object, ...]:
    return (row.id, row.name, row.status, row.category, row.priority, row.attempts, feature_remark(row))


def feature_remark(row: FeatureRow) -> str:
    """What a person should know of a feature: an open question, why it is blocked, its last error."""
    if row.waiting:
        return f"needs an answer: {excerpt(row.question or '')}"
    return excerpt(row.blocked_reason or row.last_error or row.problem or "")


def decisions(args: Namespace) -> int:
    """Print a project's decisions, newest first."""

    async def command(store: Store) -> int:
        project = await newest(store, args.project)
        async with store.transaction() as tx:
            found = await tx.decisions.history(project.id, limit=args.last or _DECISIONS)
        if args.json:
            print_json([row.model_dump(mode="json") for row in found])
        elif found:
            print("\n\n".join(_decision(row) for row in found))
        else:
            print(f"No decision of {excerpt(project.name)} is recorded yet.")
        return DONE

    return reading(command)


def _decision(row: DecisionRow) -> str:
    tags = f"  [{', '.join(excerpt(tag, 60) for tag in row.tags)}]" if row.tags else ""
    told = (
        ("session", decided_in(row.session, excerpt(row.feature or "", 120))),
        ("context", excerpt(row.context, 1000)),
        ("because", excerpt(row.reasoning, 1000)),
        ("outcome", judged(row.outcome, row.score, row.judged_by)),
        (f"lesson{whose(row.lesson_by)}", excerpt(row.lesson or "", 1000)),
    )
    number = f"{row.id}  "
    head = folded(f"{number}{excerpt(row.decision, 1000)}{tags}", hang=len(number))
    lines = [folded(f"    {name}: {text}") for name, text in told if text]
    return "\n".join([head, *lines])


def report(args: Namespace) -> int:
    """Print or write the report."""

    async def command(store: Store) -> int:
        project = await newest(store, args.project)
        found = await project_report(store, project.id)
        as_json = args.json or args.format == "json"
        text = json.dumps(found, indent=2, ensure_ascii=False) + "\n" if as_json else render_markdown(found)
        width = terminal_width()
        if args.output is not None:
            _write(Path(args.output), text)
        elif width is not None and args.format is None and not as_json:
            print(laid_out(printable(text), width))
        else:
            print(printable(text), end="")
        return DONE

    return reading(command)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"The report can't be written to {str(path)!r}: {error.strerror}.") from error
