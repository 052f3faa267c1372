"""`env stats`, `env episodes` and `env steps`: what was played, and what came of it."""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from client.cli.exits import DONE
from client.cli.opening import reading
from client.cli.output import counted, excerpt, money, part_of, print_json, table
from client.cli.task_pages import moment
from client.evaluating import Result, one_result, player_name
from client.patience import PatientStore
from shiftwork.contracts.episode import EpisodeStatus
from shiftwork.environments.learning_curve import learning_curve
from shiftwork.errors import InvalidInput
from shiftwork.store.episodes import EpisodeRow
from shiftwork.store.store import Transaction

_LAST = 20


def stats(args: Namespace) -> int:
    """Print what evaluations came to."""
    if args.evaluation and args.environment:
        raise InvalidInput("Which evaluations? Name them, or give --environment; not both.")

    async def command(store: PatientStore) -> int:
        async with store.transaction() as tx:
            ids = args.evaluation or await _newest(tx, args)
            results = [await one_result(tx, each) for each in ids]
            total = await tx.evaluations.count(args.environment)
        if args.curve is not None:
            await _draw(store, results, args.curve)
        if args.json:
            print_json([each.facts() for each in results])
        elif results:
            print(results_table(results))
            if not args.evaluation:
                print(part_of(len(results), total, "`--last N` shows more"), end="")
            print("\n[low, high]: where it lies for all episodes, with 95 % confidence.")
        else:
            print("Nothing was played yet; `shiftwork env run` has an environment played.")
        return DONE

    return reading(command)


async def _newest(tx: Transaction, args: Namespace) -> list[int]:
    rows = await tx.evaluations.list(environment=args.environment, limit=args.last or _LAST)
    return [row.id for row in rows]


async def _draw(store: PatientStore, results: Sequence[Result], file: Path) -> None:
    if len(results) != 1:
        raise InvalidInput("--curve shows one evaluation; name it by its number.")
    row = results[0].evaluation
    episodes = await store.read(lambda tx: tx.episodes.of(row.id))
    rewards = [
        each.total_reward
        for each in episodes
        if each.status is EpisodeStatus.COMPLETED and each.total_reward is not None
    ]
    title = f"{row.environment}, played by {excerpt(player_name(row), 80)}"
    file.write_text(learning_curve(rewards, title=title), encoding="utf-8")


def results_table(results: Sequence[Result]) -> str:
    """Evaluations side by side."""
    rows = [_row(each) for each in results]
    head = ["id", "environment", "player", "played", "success", "reward", "steps", "cost"]
    kept = [index for index in range(len(head)) if head[index] != "cost" or any(row[index] for row in rows)]
    return table([head[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _row(result: Result) -> tuple[object, ...]:
    whole = sum(result.tally.values())
    got = result.score.row() if result.score else {}
    status = result.evaluation.status
    played = f"{result.tally.get(EpisodeStatus.COMPLETED, 0)}/{whole}"
    return (
        result.evaluation.id,
        excerpt(result.evaluation.environment, 100),
        excerpt(player_name(result.evaluation), 60),
        played if status is EpisodeStatus.COMPLETED else f"{played} {status}",
        got.get("success", ""),
        got.get("reward", ""),
        got.get("steps", ""),
        money(result.usage.cost_usd) if result.usage else "",
    )


def episodes(args: Namespace) -> int:
    """Print the episodes of an evaluation."""

    async def command(store: PatientStore) -> int:
        async with store.transaction() as tx:
            await tx.evaluations.get(args.evaluation)
            rows = await tx.episodes.of(args.evaluation)
        if args.json:
            print_json([facts(row) for row in rows])
        else:
            head = ("id", "no.", "seed", "status", "success", "reward", "steps", "took", "why")
            print(table(head, [_line(row) for row in rows], spare=(1, 7)))
        return DONE

    return reading(command)


def facts(row: EpisodeRow) -> dict[str, object]:
    """An episode as JSON."""
    return row.model_dump(mode="json", exclude={"token"})


def _line(row: EpisodeRow) -> tuple[object, ...]:
    played = row.status is EpisodeStatus.COMPLETED
    return (
        row.id,
        row.number,
        row.seed,
        row.status.value,
        ("yes" if row.success else "no") if played else "",
        f"{row.total_reward:.4g}" if row.total_reward is not None else "",
        row.total_steps if row.total_reward is not None else "",
        "" if row.seconds is None else f"{row.seconds:.1f} s",
        excerpt(row.error or "", 200) or (row.ending.value if row.ending else ""),
    )


def episode_line(row: EpisodeRow) -> str:
    """How an episode ended, in one line."""
    if row.status is not EpisodeStatus.COMPLETED:
        return f"episode {row.number} (seed {row.seed}): not played: {excerpt(row.error or '', 300)}"
    how = "success" if row.success else "no success"
    reward = f"reward {row.total_reward or 0.0:.4g}"
    ending = row.ending.value if row.ending else ""
    steps = counted(row.total_steps, "step")
    return f"episode {row.number} (seed {row.seed}): {how}, {reward}, {steps}, {ending}"


def steps(args: Namespace) -> int:
    """Print the steps of an episode."""

    async def command(store: PatientStore) -> int:
        async with store.transaction() as tx:
            row = await tx.episodes.get(args.episode)
            taken = await tx.episodes.steps(row.id, after=args.after or 0, limit=args.limit)
            total = await tx.episodes.count_steps(row.id)
        if args.json:
            print_json([each.model_dump(mode="json") for each in taken])
            return DONE
        print(f"Episode {row.id}, number {row.number} of evaluation {row.evaluation_id}, seed {row.seed}:")
        print(f"{row.status}{f', begun {moment(row.started_at)}' if row.started_at else ''}\n")
        if taken:
            several = any(each.agent for each in taken)
            lines = [
                (
                    each.number,
                    *((excerpt(each.agent or "", 60),) if several else ()),
                    excerpt(f"{each.action} {json.dumps(each.parameters) if each.parameters else ''}", 300),
                    f"{each.reward:.4g}",
                    excerpt(each.error or "", 300),
                )
                for each in taken
            ]
            names = ("agent",) if several else ()
            print(table(("no.", *names, "action", "reward", "refused"), lines))
            begun = args.after or 0
            print(part_of(begun + len(taken), total, f"`--after {taken[-1].number}` shows more"), end="")
        else:
            print("No step of it is kept.")
        return DONE

    return reading(command)
