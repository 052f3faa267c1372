"""`env list`, `show` and `check`: environments as they are installed here; no stack is needed."""

import asyncio
import json
import sys
from argparse import Namespace
from collections.abc import Set as AbstractSet
from pathlib import Path

from pydantic import JsonValue

from client.cli.exits import DONE, NOT_PASSED
from client.cli.folding import folded
from client.cli.output import excerpt, pairs, print_json, table
from client.environments import Environment, environment_page, installed_environments
from shiftwork.environments.conformance import RULES, ConformanceReport, check_by_name
from shiftwork.environments.protocol import ActionDefinition


def list_environments(args: Namespace) -> int:
    """Print the environments that are installed."""
    found = installed_environments()
    if args.json:
        print_json(found.model_dump(mode="json"))
        return DONE
    rows = [(each.name, max(1, len(each.players)), each.description) for each in found.environments]
    print(table(("name", "players", "what it is"), rows))
    if found.bridges:
        names = ", ".join(f"{each}/NAME" for each in found.bridges)
        print(folded(f"\nAnd those of other packages by their names: {names}."))
    for problem in found.problems:
        print(folded(f"problem: {excerpt(problem, 1_000)}"), file=sys.stderr)
    return DONE


def show(args: Namespace) -> int:
    """Print what is known of an environment."""
    find_paths(args.environment)
    given = parameters_of(args)
    page = environment_page(args.environment, given or None)
    if args.json:
        print_json(page.model_dump(mode="json"))
    else:
        print(_page(page))
    return DONE


def check(args: Namespace) -> int:
    """Hold an environment against the rules; the exit status says whether it keeps them."""
    find_paths(args.environment)
    given = parameters_of(args)
    checking = check_by_name(args.environment, given, seed=args.seed or 0, episodes=args.episodes or 3)
    report = asyncio.run(checking)
    if args.json:
        print_json(
            {
                "environment": report.environment,
                "ok": report.ok,
                "faults": [{"rule": each.rule, "message": each.message} for each in report.faults],
                "checked": list(report.checked),
                "skipped": list(report.skipped),
            }
        )
    else:
        print(_report(report))
    return DONE if report.ok else NOT_PASSED


def find_paths(environment: str) -> None:
    """Have `module:Class` be found in the folder where the command is typed, behind all that is installed."""
    here = str(Path.cwd())
    if ":" in environment and here not in sys.path:
        sys.path.append(here)


def parameters_of(args: Namespace) -> dict[str, JsonValue]:
    """What the environment is made with."""
    return {**(args.parameters or {}), **dict(args.parameter or ())}


def described_action(action: ActionDefinition) -> str:
    """An action on one line: its name, and what it takes."""
    takes = ", ".join(_takes(action))
    return f"{action.name} {takes}" if takes else action.name


def _takes(action: ActionDefinition) -> list[str]:
    written = action.parameters
    properties = written["properties"] if isinstance(written.get("properties"), dict) else written
    return [f"{name} ({_kind(schema)})" for name, schema in properties.items() if isinstance(schema, dict)]


def _kind(schema: dict[str, JsonValue]) -> str:
    """What a parameter may be."""
    if isinstance(options := schema.get("enum"), list):
        return ", ".join(each if isinstance(each, str) else json.dumps(each) for each in options)
    kind = schema.get("type", "any")
    kind = "/".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    if "minimum" in schema and "maximum" in schema:
        return f"{kind} from {schema['minimum']} to {schema['maximum']}"
    return kind


def _page(page: Environment) -> str:
    parts = [
        pairs(
            (
                ("environment", page.name),
                ("what it is", page.description),
                ("players", ", ".join(page.players)),
                ("most steps", page.max_steps),
                ("seconds", page.timeout_seconds),
            )
        )
    ]
    if page.parameters:
        rows = [
            (each.name, each.type, "required" if each.required else json.dumps(each.default))
            for each in page.parameters
        ]
        parts.append(table(("parameter", "type", "default"), rows))
    if page.actions:
        rows = [(each.name, "; ".join(_takes(each)), each.description) for each in page.actions]
        parts.append(table(("action", "takes", "what it does"), rows))
    return "\n\n".join(parts)


def _report(report: ConformanceReport) -> str:
    lines = [folded(f"{each.rule}: {excerpt(each.message, 1_000)}", hang=2) for each in report.faults]
    partly = set()
    for each in report.skipped:
        named = {*each.partition(":")[0].split(", ")} & {*report.checked}
        partly |= named
        how = "checked in part" if named else "not checked"
        lines.append(folded(f"{how}: {excerpt(each, 1_000)}", hang=2))
    return "\n".join([*lines, folded(f"{excerpt(report.environment, 100)} {_verdict(report, partly)}.")])


def _verdict(report: ConformanceReport, partly: AbstractSet[str]) -> str:
    """How many rules are kept, and how many not.

    Args:
        partly: rules that were looked at in part alone.
    """
    broken = {each.rule for each in report.faults}
    some = partly - broken
    kept, total = len({*report.checked} - broken - some), len(RULES)
    left = total - len(report.checked)
    if kept == total:
        return f"keeps the {total} rules it was held against"
    told = f"keeps {kept} of {total} rules"
    if broken:
        told = f"breaks {len(broken)} of {total} rules, and keeps {kept}"
    open_ones = [f"{left} {'was' if left == 1 else 'were'} not checked"] if left else []
    open_ones += [f"{len(some)} {'was' if len(some) == 1 else 'were'} checked in part"] if some else []
    return "; ".join([told, *([", ".join(open_ones)] if open_ones else [])])
