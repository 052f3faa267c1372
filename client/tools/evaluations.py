"""Tools that have episodes of environments played, and tell what they come to."""

import asyncio
from collections.abc import Sequence

from pydantic import ValidationError

from client.evaluating import Result as Standing
from client.evaluating import player_name
from client.tools.call import Call
from client.tools.evaluation_arguments import GetEvaluation, RunEvaluation
from client.tools.projects import options_for
from client.tools.results import Evaluation, line
from client.wording import first_problem
from shiftwork.contracts.episode import EpisodeStatus, EvaluationSpec, Player, PlayerKind
from shiftwork.environments.registry import check_name
from shiftwork.errors import InvalidInput
from shiftwork.store.episodes import EpisodeRow

_MOST_ERRORS = 5


async def run_evaluation(call: Call, asked: RunEvaluation) -> Evaluation:
    """Have episodes played; does not wait for their end."""
    await asyncio.to_thread(check_name, asked.environment, by_path=False)
    player = _player(call, asked)
    try:
        spec = EvaluationSpec(
            environment=asked.environment,
            parameters=asked.parameters or {},
            player=player,
            episodes=asked.episodes,
            seed=asked.seed,
            max_steps=asked.max_steps,
            sandbox=call.options.sandbox,
        )
    except ValidationError as error:
        raise InvalidInput(f"{first_problem(error)}.") from error
    row = await call.shiftwork.evaluate(spec)
    return await _told(
        call,
        await call.shiftwork.evaluation_result(row.id),
        f"The episodes are played from now on; get_evaluation with evaluation_id={row.id} tells what they "
        "come to, and can wait for their end.",
    )


def _player(call: Call, asked: RunEvaluation) -> Player:
    if asked.player == "random":
        if asked.agent is not None or asked.model is not None:
            raise InvalidInput(
                "agent and model are for player 'agent', and this is 'random'; leave them out."
            )
        return Player(kind=PlayerKind.RANDOM)
    options = options_for(call.options, asked)
    budget = options.budget_usd
    return Player(
        kind=PlayerKind.AGENT,
        agent=options.agent,
        max_cost_usd=None if budget is None else budget / asked.episodes,
    )


async def get_evaluation(call: Call, asked: GetEvaluation) -> Evaluation:
    """What an evaluation comes to, now or at its end."""
    standing = await call.shiftwork.evaluation_result(asked.evaluation_id)
    if asked.wait_seconds and not standing.evaluation.status.ended:
        standing = await _waited(call, asked) or await call.shiftwork.evaluation_result(asked.evaluation_id)
    ended = standing.evaluation.status.ended
    return await _told(call, standing, "It has ended." if ended else "It goes on; wait for its end.")


async def _waited(call: Call, asked: GetEvaluation) -> Standing | None:
    """What it came to; None if that took too long."""
    try:
        async with asyncio.timeout(asked.wait_seconds):
            async for standing in call.shiftwork.evaluation_changes(asked.evaluation_id):
                await call.report(f"{standing.ended} of {sum(standing.tally.values())} episodes have ended")
                if standing.evaluation.status.ended:
                    return standing
    except TimeoutError:
        return None
    return None


async def _told(call: Call, standing: Standing, message: str) -> Evaluation:
    row, facts = standing.evaluation, standing.facts()
    failed = standing.tally.get(EpisodeStatus.FAILED, 0)
    episodes = await call.shiftwork.episodes(row.id) if failed else ()
    return Evaluation(
        message=message,
        evaluation_id=row.id,
        environment=row.environment,
        player=line(player_name(row)),
        status=row.status.value,
        episodes=facts["episodes"],
        success=facts["success"],
        reward=facts["reward"],
        steps=facts["steps"],
        cost_usd=standing.usage.cost_usd if standing.usage else None,
        errors=_errors(episodes),
    )


def _errors(episodes: Sequence[EpisodeRow]) -> list[str]:
    """Each of the first few once."""
    told = dict.fromkeys(line(each.error) for each in episodes if each.error)
    return list(told)[:_MOST_ERRORS]
