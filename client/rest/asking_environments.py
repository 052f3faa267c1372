"""What requests about evaluations hold."""

import json
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from client.rest.asking import Asked, example
from client.wording import first_problem
from shiftwork.contracts.agent import RunLimits
from shiftwork.contracts.environment_check import check_no_file, is_path
from shiftwork.contracts.episode import MOST_EPISODES, MOST_SEED, Player
from shiftwork.contracts.sandbox import SandboxOptions


def _known(model: type[BaseModel]) -> BeforeValidator:
    """What of a part is not known, or of another type, is refused at every depth, though read from rows."""

    def check(value: object) -> object:
        if isinstance(value, dict):
            try:
                # As JSON, in which texts are enumerations and lists are tuples, though all is strict.
                model.model_validate_json(json.dumps(value), extra="forbid", strict=True)
            except ValidationError as error:
                said = first_problem(error, model)
                raise PydanticCustomError("part", "{said}", {"said": said}) from None
        return value

    return BeforeValidator(check)


def _no_path(name: str) -> str:
    if is_path(name):
        raise ValueError("must be the name of an installed environment, not a path")
    return name


class CreateEvaluation(Asked):
    """What is played, by whom, from which seeds."""

    model_config = example(
        environment="maze", parameters={"rows": 12}, episodes=20, seed=5, player={"kind": "random"}
    )

    environment: Annotated[
        str,
        Field(
            min_length=1,
            max_length=300,
            pattern=r"^[^:]+$",
            description="The name of one that is installed; no path, which could lead to anything.",
        ),
        AfterValidator(_no_path),
    ]
    parameters: Annotated[
        dict[Annotated[str, Field(max_length=200)], JsonValue],
        Field(description="What the environment is made with."),
    ] = {}
    player: Annotated[Player, _known(Player), Field(description="Who plays.")] = Player()
    episodes: Annotated[int, Field(ge=1, le=MOST_EPISODES, strict=True, description="How many.")] = 1
    seed: Annotated[
        int,
        Field(ge=0, le=MOST_SEED, strict=True, description="Of the first; each further one has the next."),
    ] = 0
    parallel: Annotated[int, Field(ge=1, le=64, strict=True, description="How many are played at once.")] = 1
    max_steps: Annotated[
        int | None,
        Field(ge=1, le=1_000_000, strict=True, description="Then the player is stopped; null: never."),
    ] = None
    timeout: Annotated[
        float, Field(gt=0, le=7 * 86_400, strict=True, description="Seconds of play of an episode.")
    ] = 3_600.0
    limits: Annotated[
        RunLimits, _known(RunLimits), Field(description="What the processes of a player may use.")
    ] = RunLimits()
    sandbox: Annotated[SandboxOptions, _known(SandboxOptions), Field(description="What they may touch.")] = (
        SandboxOptions()
    )

    environment_limits: Annotated[
        RunLimits,
        _known(RunLimits),
        Field(description="What the environment's own process may use; 4,000 MB of memory if not told."),
    ] = RunLimits()

    @model_validator(mode="after")
    def _reads_no_file(self) -> Self:
        check_no_file(self.environment, self.parameters)
        return self

    def fields(self) -> dict[str, Any]:
        """What a specification is made of."""
        return {name: getattr(self, name) for name in type(self).model_fields}
