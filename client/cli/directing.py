"""The commands by which people direct a project."""

import asyncio
import sys
from argparse import Namespace
from collections.abc import Awaitable
from typing import Any, TypeVar

from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.exits import DONE, NOT_PASSED, USAGE, of_status
from client.cli.opening import named_or_only
from client.cli.options import agent_settings
from client.cli.output import counted, excerpt, money, print_json
from client.cli.watching import show
from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.project import PauseMode, ProjectStatus
from shiftwork.contracts.session import Role
from shiftwork.errors import Conflict, InvalidInput, NotFound
from shiftwork.store.rows import ProjectRow

Result = TypeVar("Result")

_PATIENCE_SECONDS = 5.0


def pause(args: Namespace) -> int:
    """Ask for a pause; with `--wait`, wait until nothing runs."""

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, args.project)
        if project.status is ProjectStatus.PAUSED and not (args.reason or args.now):
            return await _paused_already(shiftwork, project, args)
        mode: PauseMode = "at_once" if args.now else "after_session"
        await shiftwork.pause(project.id, mode=mode, reason=args.reason)
        taken = await shiftwork.acknowledged(project, "paused")
        if args.wait:
            return await _wait(shiftwork, project, args, rest_after=project.event_sequence)
        return _sent(args, project, _pauses(await shiftwork.status(project.id), now=args.now), taken=taken)

    return connected(command)


async def _paused_already(shiftwork: Shiftwork, project: ProjectRow, args: Namespace) -> int:
    """Nothing to do but, with `--wait`, to wait for a session that was asked for."""
    if args.wait:
        return await _wait(shiftwork, project, args, rest_after=0)
    text = f"{excerpt(project.name)} is paused already: {excerpt(project.status_reason)}"
    return _say(args, project, text, acknowledged=True)


def _pauses(status: dict[str, Any], *, now: bool) -> str:
    """What becomes of a project that was told to pause."""
    name = excerpt(status["name"])
    if not status["current_sessions"]:
        return f"{name} is paused." if status["status"] == "paused" else f"{name} pauses."
    return f"{name} pauses {'at once' if now else 'after the running sessions'}."


def resume(args: Namespace) -> int:
    """Go on; with `--wait`, until the project is at rest again."""
    settings = agent_settings(args)
    role = None if args.role is None else Role(args.role)
    category = None if args.category is None else FeatureCategory(args.category)

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, args.project)
        await shiftwork.resume(
            project.id,
            max_sessions=args.max_sessions,
            autorun=args.autorun,
            agent_settings=settings,
            role=role,
            category=category,
            fallback=args.fallback,
        )
        taken = await shiftwork.acknowledged(project, "resumed")
        if args.wait:
            # A rest that was on its way before the project went on is not the one to wait for.
            return await _wait(shiftwork, project, args, rest_after=taken or project.event_sequence)
        return _sent(args, project, _goes_on(project, autorun=args.autorun), taken=taken)

    return connected(command)


def _goes_on(project: ProjectRow, *, autorun: bool | None) -> str:
    """What a project does that was told to go on."""
    name = excerpt(project.name)
    if spent := _spent_already(project, project.budget_usd):
        return f"{name} is told to go on.{spent}"
    if autorun is False or (autorun is None and not project.options.autorun):
        return f"{name} takes one session at a time; ask for the next with `shiftwork run-session`."
    return f"{name} goes on."


def _spent_already(project: ProjectRow, budget_usd: float | None) -> str:
    """The sentence for a budget that is spent; empty if it is not."""
    if budget_usd is None or project.total_cost_usd < budget_usd:
        return ""
    spent = f"{money(project.total_cost_usd)} of {money(budget_usd)} is spent"
    return f" No session starts, since {spent}; raise it with `shiftwork budget`."


def abandon(args: Namespace) -> int:
    """End a project for good."""
    if args.text is not None and args.reason is not None:
        raise InvalidInput("The reason is given twice; leave out one of REASON and --reason.")

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, args.project)
        if args.project is None and not args.yes:
            await _consent(project, f"Abandon {excerpt(project.name)!r} for good?", "abandoned")
        await shiftwork.abandon(project.id, args.text or args.reason or "")
        taken = await shiftwork.acknowledged(project, "abandoned")
        return _sent(args, project, f"{excerpt(project.name)} is abandoned.", taken=taken)

    return connected(command)


def steer(args: Namespace) -> int:
    """Give guidance to the sessions to come."""

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, args.project)
        if args.project is None and await _names_a_project(shiftwork, args.text):
            # Guidance can't be taken back, so what is no text at all must not become one.
            return _usage(f"TEXT is missing: {args.text!r} is a project; what shall its sessions be told?")
        await shiftwork.steer(project.id, args.text, feature=args.feature)
        taken = await shiftwork.acknowledged(project, "steer")
        whose = f"{args.feature!r} in {project.name}" if args.feature else project.name
        text = f"The sessions to come of {excerpt(whose)} will read: {excerpt(args.text)}"
        return _sent(args, project, text, taken=taken)

    return connected(command)


def answer(args: Namespace) -> int:
    """Answer a feature's question."""

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, args.project)
        feature = await patiently(shiftwork.answer(project.id, args.feature, args.text))
        return _say(args, project, "Answered; the feature goes on.", feature_id=feature)

    return connected(command)


def run_session(args: Namespace) -> int:
    """Ask for one session; with `--wait`, wait for its end."""

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, args.project)
        number = await patiently(shiftwork.run_session(project.id, args.feature))
        if not args.wait:
            return _say(args, project, f"Session {number} will run.", session=number)
        row = await shiftwork.wait_session(project.id, number)
        error = f": {excerpt(row['error'])}" if row["error"] else ""
        commit = f" [{row['landed_commit'][:10]}]" if row["landed_commit"] else ""
        text = f"Session {number} {row['outcome']}{commit}{error}."
        facts = {name: row[name] for name in ("outcome", "error", "landed_commit", "total_cost_usd")}
        _say(args, project, text, session=number, **facts)
        return DONE if row["outcome"] == "passed" else NOT_PASSED

    return connected(command)


def revert(args: Namespace) -> int:
    """Take main back to a checkpoint."""

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, args.project)
        try:
            done = await patiently(shiftwork.revert(project.id, args.commit, consent=args.yes))
        except Conflict as error:
            hint = (
                " Nothing was changed; repeat the command with --yes to go on."
                if "consent" in str(error)
                else ""
            )
            raise Conflict(f"{error}{hint}") from error
        commit = done.commit or ""
        passing = counted(len(done.passing), "passing feature")
        text = f"Back at {excerpt(args.commit, 40)} by {commit[:10]}, with {passing}."
        return _say(args, project, text, commit=commit, passing=list(done.passing))

    return connected(command)


def budget(args: Namespace) -> int:
    """Change what a project may cost."""

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, args.project)
        await patiently(shiftwork.set_budget(project.id, args.usd))
        limit = "anything" if args.usd is None else money(args.usd)
        text = f"{excerpt(project.name)} may cost {limit}.{_spent_already(project, args.usd)}"
        return _say(args, project, text, budget_usd=args.usd)

    return connected(command)


def feedback(args: Namespace) -> int:
    """Say what became of a decision."""

    async def command(shiftwork: Shiftwork) -> int:
        async with shiftwork.store.transaction() as tx:
            decision = await tx.decisions.get(args.decision)
            project = await tx.projects.get(decision.project_id)
        score = args.score
        await patiently(shiftwork.feedback(args.decision, args.outcome, score=score, lesson=args.lesson))
        facts = {"decision_id": args.decision, "outcome": args.outcome, "score": score, "lesson": args.lesson}
        return _say(args, project, "Later sessions will read it.", **facts)

    return connected(command)


def delete(args: Namespace) -> int:
    """Delete a project, after consent."""

    async def command(shiftwork: Shiftwork) -> int:
        project = await shiftwork.find(args.project)
        if not args.yes:
            question = f"Delete {excerpt(project.name)!r}, its rows and its private repository?"
            await _consent(project, question, "deleted")
        await shiftwork.delete(project.id)
        return _say(args, project, f"{excerpt(project.name)} is deleted.", deleted=True)

    return connected(command)


async def _names_a_project(shiftwork: Shiftwork, text: str) -> bool:
    try:
        await shiftwork.find(text)
    except (NotFound, InvalidInput):
        return False
    return True


def _usage(text: str) -> int:
    """An error of the command line that only the rows could show."""
    sys.stderr.write(f"error: {text}\n")
    return USAGE


async def _consent(project: ProjectRow, question: str, done: str) -> None:
    """Ask a person on a terminal; raises `Conflict` without a yes, which nobody can give elsewhere."""
    if sys.stdin.isatty():
        answered = await asyncio.to_thread(input, f"{question} [y/N] ")
        if answered.strip().lower() in {"y", "yes"}:
            return
    raise Conflict(f"project {project.name!r} was not {done}; repeat the command with --yes.")


async def patiently(work: Awaitable[Result]) -> Result:
    """Wait for an answer of the project's workflow; says so if none comes soon."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait((task,), timeout=_PATIENCE_SECONDS)
    if not done:
        sys.stderr.write("Waiting for a worker; `shiftwork dev` or `shiftwork worker` runs one.\n")
        sys.stderr.flush()
    return await task


async def _wait(shiftwork: Shiftwork, project: ProjectRow, args: Namespace, *, rest_after: int) -> int:
    if args.json:
        status = await shiftwork.wait(project.id, rest_after)
        print_json(status)
    else:
        after = project.event_sequence
        status = await show(shiftwork.store, project, after=after, rest_after=rest_after)
    return of_status(status["status"])


def _sent(args: Namespace, project: ProjectRow, text: str, *, taken: int | None) -> int:
    """Tell of a signal; `taken`: the event by which a worker took it, if one did already."""
    note = "" if taken or args.json else " No worker has taken it yet; it is kept until one does."
    return _say(args, project, f"{text}{note}", acknowledged=taken is not None)


def _say(args: Namespace, project: ProjectRow, text: str, **facts: Any) -> int:
    """Tell people in words, and programs in facts, what was done."""
    if args.json:
        print_json({"project_id": project.id, "name": project.name, **facts})
    else:
        print(text)
    return DONE
