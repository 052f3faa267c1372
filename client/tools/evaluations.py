"""Tools that have episodes of environments played, and tell what they come to."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from client.evaluating import Result as Standing
from client.evaluating import player_name
from client.tools.arguments import Arguments
from client.tools.definition import Call
from client.tools.projects import options_for
from client.tools.results import Evaluation, line
from shiftwork.contracts.environment_check import is_path
from shiftwork.contracts.episode import (
    MOST_EPISODES,
    MOST_SEED,
    EpisodeStatus,
    EvaluationSpec,
    Player,
    PlayerKind,
)
from shiftwork.errors import InvalidInput
from shiftwork.store.episodes import EpisodeRow

_MOST_ERRORS = 5


def _installed(name: str) -> str:
    """A path of a class would have whatever it names imported and called; that is for people to do."""
    if is_path(name):
        raise ValueError("must be the name of an installed environment, not the path of a class or of a game")
    return name


EnvironmentName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="The name of an installed environment, such as number_guess, maze or text_adventure.",
    ),
    AfterValidator(_installed),
]


class RunEvaluation(Arguments):
    """Episodes to be played."""

    environment: EnvironmentName
    player: Annotated[
        Literal["agent", "random"],
        Field(
            description="Who plays: an agent, or chance as something to compare it with, which costs nothing."
        ),
    ]
    episodes: Annotated[int, Field(ge=1, le=1_000, description="How many episodes are played.")] = 10
    seed: Annotated[
        int,
        Field(
            ge=0,
            le=MOST_SEED - MOST_EPISODES,
            description="Of the first episode; each further one has the next number. The same seeds make the "
            "same episodes, whoever plays.",
        ),
    ] = 0
    parameters: Annotated[
        dict[str, JsonValue] | None, Field(description="What the environment is made with, by name.")
    ] = None
    max_steps: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="After so many actions a player is stopped; leave it out for never.",
        ),
    ] = None
    agent: Annotated[
        str | None,
        Field(
            max_length=60,
            description="Which agent plays, such as claude or codex. Leave it out for the one that these "
            "tools were set up with, and for a random player.",
        ),
    ] = None
    model: Annotated[
        str | None,
        Field(max_length=200, description="The model, as that agent names it. Leave it out for its default."),
    ] = None
    budget_usd: Annotated[
        float | None,
        Field(gt=0, le=1_000_000, description="The most that all episodes may cost, in US dollars."),
    ] = None


class GetEvaluation(Arguments):
    """Which evaluation."""

    evaluation_id: Annotated[int, Field(description="The id that run_evaluation answered.")]
    wait_seconds: Annotated[
        int,
        Field(ge=0, le=3_600, description="Wait so long for its end, in seconds; 0 tells at once."),
    ] = 0


async def run_evaluation(call: Call, asked: RunEvaluation) -> Evaluation:
    """Have episodes played; does not wait for their end."""
    spec = EvaluationSpec(
        environment=asked.environment,
        parameters=asked.parameters or {},
        player=_player(call, asked),
        episodes=asked.episodes,
        seed=asked.seed,
        max_steps=asked.max_steps,
        sandbox=call.options.sandbox,
    )
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
