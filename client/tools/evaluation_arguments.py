"""What tools of evaluations are asked with; the descriptions are written for the model that calls them."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from client.tools.taking import Arguments
from shiftwork.contracts.environment_check import check_no_file, is_path
from shiftwork.contracts.episode import MOST_SEED


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
            le=MOST_SEED,
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

    @model_validator(mode="after")
    def _reads_no_file(self) -> Self:
        check_no_file(self.environment, self.parameters or {})
        return self


class GetEvaluation(Arguments):
    """Which evaluation."""

    evaluation_id: Annotated[int, Field(description="The id that run_evaluation answered.")]
    wait_seconds: Annotated[
        int,
        Field(ge=0, le=3_600, description="Wait so long for its end, in seconds; 0 tells at once."),
    ] = 0
