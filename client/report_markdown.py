"""A report as Markdown; what agents wrote is escaped, so that none of it becomes markup."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from client.cli.output import estimates, money
from client.deciding import decided_in, judged, whose
from shiftwork.text import one_line, printable, truncate

# What makes markup or a link anywhere in a line; no text of others ever begins one.
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|!~&$@]|(?<=:)/(?=/)|(?<=www)\.)", re.IGNORECASE)
_TICKS = re.compile("`+")
_CELL = 300
_TAIL = 4000


def render_markdown(report: dict[str, Any]) -> str:
    """The report of `project_report`, for people."""
    parts = [
        _head(report),
        _features(report["features"]),
        _sessions(report["sessions"]),
        _decisions(report["decisions"]),
        _checkpoints(report["checkpoints"]),
        _events(report["events"]),
        *(_evidence(feature) for feature in report["features"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: object, limit: int = _CELL) -> str:
    """Text of any origin on one line, as plain text."""
    return _SPECIAL.sub(r"\\\1", truncate(one_line(str(text)), limit))


def fence(text: str) -> str:
    """Text of any origin as a code block, with a fence longer than any in it."""
    body = printable(text).strip("\n")
    ticks = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(body)), default=0))
    return f"{ticks}text\n{body}\n{ticks}"


def _head(report: dict[str, Any]) -> str:
    project, status = report["project"], report["status"]
    reason = f": {escape(status['reason'])}" if status["reason"] else ""
    budget = f" of {money(status['budget_usd'])}" if status["budget_usd"] is not None else ""
    facts = (
        ("About", escape(project["description"], 2000)),
        ("Status", f"**{status['status']}**{reason}"),
        ("Features", f"{status['passing_features']} of {status['total_features']} pass"),
        ("Sessions", status["sessions"]),
        ("Spent", f"{money(status['cost_usd'])}{budget}, {status['tokens']:,} tokens{estimates(status)}"),
        ("Agent", escape(project["agent"])),
        ("Repository", escape(project["repository"]) if project["repository"] else _private(project["id"])),
        ("Started", _at(project["created_at"])),
        ("Id", f"`{project['id']}`"),
    )
    lines = "\n".join(f"- {name}: {value}" for name, value in facts if value != "")
    return f"# {escape(project['name'])}\n\n{lines}"


def _private(project_id: str) -> str:
    return f"the private one; `git clone` it from `projects/{project_id}/repository.git` in the state folder"


def _features(features: Sequence[dict[str, Any]]) -> str:
    rows = (
        (
            escape(each["name"]),
            each["status"].replace("_", " "),
            each["category"],
            each["priority"],
            each["attempts"],
            _commit(each["passed_commit"]),
            escape(
                each["question"] if each["waiting"] else each["blocked_reason"] or each["last_error"] or ""
            ),
        )
        for each in features
    )
    head = ("feature", "status", "category", "priority", "failed", "landed", "remark")
    return _section("Features", head, rows)


def _sessions(sessions: Sequence[dict[str, Any]]) -> str:
    rows = (
        (
            each["number"],
            escape(each["feature"] or "planning"),
            ", ".join(map(_agent, each["agents"])),
            each["outcome"] or "running",
            "" if each["seconds"] is None else f"{each['seconds']:.1f} s",
            f"{each['total_tokens']:,}",
            f"{money(each['total_cost_usd'])}{estimates(each)}",
            escape(each["sandbox"]),
            _commit(each["landed_commit"]),
            escape(each["error"] or ""),
        )
        for each in sessions
    )
    head = (
        "session",
        "feature",
        "done by",
        "outcome",
        "took",
        "tokens",
        "cost",
        "sandbox",
        "landed",
        "error",
    )
    return _section("Sessions", head, rows)


def _agent(agent: dict[str, Any]) -> str:
    """An agent by its backend and model, with the role that it played."""
    who = " ".join(filter(None, (agent["agent"], agent["model"])))
    return escape(f"{agent['role']}: {who}" if agent["role"] else who)


def _decisions(decisions: Sequence[dict[str, Any]]) -> str:
    if not decisions:
        return ""
    return "\n".join(["## Decisions", "", *(_decision(each) for each in decisions)])


def _decision(each: dict[str, Any]) -> str:
    tags = f" ({escape(', '.join(each['tags']))})" if each["tags"] else ""
    told = (
        ("Session", decided_in(each["session"], escape(each["feature"] or ""))),
        ("Context", escape(each["context"], 1000)),
        ("Because", escape(each["reasoning"], 1000)),
        ("Outcome", judged(each["outcome"], each["score"], each["judged_by"])),
        (f"Lesson{whose(each['lesson_by'])}", escape(each["lesson"] or "", 1000)),
    )
    lines = [f"   - {name}: {text}" for name, text in told if text]
    return "\n".join([f"- {each['id']}: **{escape(each['decision'], 1000)}**{tags}", *lines])


def _checkpoints(checkpoints: Sequence[dict[str, Any]]) -> str:
    rows = (
        (
            _commit(each["commit"]),
            "" if each["session"] is None else each["session"],
            len(each["passing"]),
            _at(each["created_at"]),
        )
        for each in checkpoints
    )
    return _section("Checkpoints", ("commit", "session", "features passing", "at"), rows)


def _events(events: Sequence[dict[str, Any]]) -> str:
    rows = ((_at(each["at"]), escape(each["text"])) for each in events)
    return _section("Events of note", ("at", "what"), rows)


def _evidence(feature: dict[str, Any]) -> str:
    steps = "\n\n".join(_step(step) for step in feature["verification"])
    return f"## Evidence: {escape(feature['name'])}\n\n{steps}" if steps else ""


def _step(step: dict[str, Any]) -> str:
    found = step["evidence"]
    verdict = "never executed"
    if found is not None:
        status = "" if found["exit_status"] is None else f", exit status {found['exit_status']}"
        took = f"{found['duration_seconds']:.2f} s on {_commit(found['commit'])}"
        verdict = f"{found['verdict'].replace('_', ' ')}{status}, {took}"
    lines = [
        f"Step {step['step'] + 1}: {escape(step['description'], 1000)}".rstrip(": ") + f" — **{verdict}**"
    ]
    if step["verdict"] is not None:
        said = step["verdict"]
        met = "met" if said["met"] else "not met"
        lines.append(
            f"The verifier of session {said['session']}: {met}. {escape(said['reason'], 2000)}".rstrip()
        )
    # What was run for a step that a verifier judged is the verifier's own command.
    command = step["command"] or (found or {}).get("command") or (step["verdict"] or {}).get("command")
    if command:
        lines.append(fence(truncate(command, _TAIL)))
    if step["environment"]:
        lines.append(f"It has to earn {escape(step['environment'], 1000)}.")
    if found is not None and found["output_tail"].strip():
        lines.append(fence(found["output_tail"][-_TAIL:]))
    return "\n\n".join(lines)


def _section(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    if not lines:
        return ""
    rule = "|" + "---|" * len(head)
    return "\n".join([f"## {title}", "", f"| {' | '.join(head)} |", rule, *lines])


def _at(moment: str) -> str:
    """In UTC, whoever reads it and wherever it is written: the same rows give the same report."""
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _commit(commit: str | None) -> str:
    return f"`{commit[:10]}`" if commit else ""
