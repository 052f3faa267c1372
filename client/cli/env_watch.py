"""`env watch` and `env cancel`: how an evaluation goes, until it has ended."""

import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from temporalio.client import Client

from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.env_results import episode_line, results_table
from client.cli.exits import DONE, NOT_PASSED
from client.cli.folding import folded
from client.cli.opening import reading
from client.cli.output import bar, counted, print_json
from client.cli.task_pages import NO_WORKER
from client.evaluating import Look, Result, changes
from client.evaluation_workflows import settle
from client.patience import PatientStore
from shiftwork.contracts.episode import EpisodeStatus
from shiftwork.settings import Settings
from shiftwork.store.evaluations import EvaluationRow
from shiftwork.temporal import connect


def watch(args: Namespace) -> int:
    """Show how an evaluation goes until it has ended; the exit status says whether all could be played."""

    async def command(store: PatientStore) -> int:
        return await follow(args, store, args.evaluation, _settling(store))

    return reading(command)


def cancel(args: Namespace) -> int:
    """End an evaluation."""

    async def command(shiftwork: Shiftwork) -> int:
        await shiftwork.cancel_evaluation(args.evaluation)
        if not await shiftwork.has_worker():
            print(NO_WORKER, file=sys.stderr, flush=True)
        result = await shiftwork.wait_evaluation(args.evaluation)
        if args.json:
            print_json(result.facts())
        else:
            played = result.tally.get(EpisodeStatus.COMPLETED, 0)
            told = f"{played} of {counted(sum(result.tally.values()), 'episode')}"
            print(f"Evaluation {args.evaluation} has ended; {told} had been played.")
        return DONE

    return connected(command)


async def follow(
    args: Namespace,
    store: PatientStore,
    evaluation_id: int,
    look: Look,
    *,
    worker: Callable[[], Awaitable[bool]] | None = None,
) -> int:
    """Show an evaluation to its end, and what it came to."""
    if worker is not None and not await worker():
        print(NO_WORKER, file=sys.stderr, flush=True)
    display = _Display(args.json)
    async with aclosing(changes(store, evaluation_id, look)) as told:
        async for result in told:
            await display.show(store, result)
            if result.evaluation.status.ended:
                break
    if args.json:
        print_json(result.facts())
    else:
        display.clear()
        print(f"\n{results_table([result])}", flush=True)
        for reason in await _reasons(store, result):
            print(folded(reason, hang=2), file=sys.stderr)
    return DONE if result.all_played else NOT_PASSED


def _settling(store: PatientStore) -> Look:
    """Asks Temporal, which is connected at the first use, and again after it was away."""
    client: Client | None = None

    async def look(row: EvaluationRow) -> None:
        nonlocal client
        client, connected_before = None, client
        settings = Settings.from_environment()
        asked = connected_before or await connect(settings, tell=store.redactor.learn)
        await settle(asked, store, settings, row)
        client = asked

    return look


class _Display:
    """A bar on a terminal, a line for each ended episode elsewhere, and nothing where JSON is wanted."""

    def __init__(self, as_json: bool) -> None:  # noqa: FBT001 - private
        live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        self._kind = "none" if as_json else "bar" if live else "lines"
        self._told: set[int] = set()

    async def show(self, store: PatientStore, result: Result) -> None:
        """Show what is new."""
        if self._kind == "bar":
            whole = sum(result.tally.values())
            success = f", {result.score.success.value:.0%} successful" if result.score else ""
            line = f"{bar(result.ended, whole)} {result.ended}/{whole}{success}"
            self.clear()
            print(line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
        elif self._kind == "lines":
            episodes = await store.read(lambda tx: tx.episodes.of(result.evaluation.id))
            for each in episodes:
                if each.status.ended and each.number not in self._told:
                    self._told.add(each.number)
                    print(episode_line(each), flush=True)

    def clear(self) -> None:
        """Take the bar away."""
        if self._kind == "bar":
            print("\r\x1b[K", end="", flush=True)


async def _reasons(store: PatientStore, result: Result) -> list[str]:
    """Why episodes could not be played, each reason once."""
    failed: dict[str, int] = {}
    for each in await store.read(lambda tx: tx.episodes.of(result.evaluation.id)):
        if each.status is EpisodeStatus.FAILED:
            reason = each.error or "nobody says why"
            failed[reason] = failed.get(reason, 0) + 1
    most = sorted(failed.items(), key=lambda item: -item[1])[:5]
    return [f"{counted(number, 'episode')} could not be played: {reason}" for reason, number in most]
