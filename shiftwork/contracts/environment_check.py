"""What an environment asks of a program that has to play it well."""

import json
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from shiftwork.contracts.base import Document

_PLAYING = (
    'For each turn it reads a line of JSON, `{"number", "seed", "last", "observation"}`, and writes one, '
    '`{"action": "…", "parameters": {…}}` or `{"stop": true}`; at the end it reads `{"over": true, …}`. The '
    "observation has `content`, `metadata`, and `available_actions` with schemas of their parameters; `last` "
    "is the step before, with its `reward`, or why it was refused. What it prints beside that goes to "
    "standard error. It has no access to the environment; the rewards are counted outside of it."
)

_FILES = MappingProxyType({"coding_challenge": frozenset({"path"}), "gymnasium": frozenset({"xml_file"})})
"""Parameters that name files, by environment, or by the package of some."""


class Reaching(StrEnum):
    """What has to reach the reward that is asked for."""

    EVERY = "every"
    """Each episode: what a program does well on average only, it does not do."""
    MEAN = "mean"
    """The mean of all, where luck is part of the game."""


def is_path(name: str) -> bool:
    """Whether an environment's name leads to code or a file of any kind, and not to what is installed.

    That is for people at this machine to name: it is imported, or run, outside of any sandbox.
    """
    bridge, _, rest = name.partition("/")
    return ":" in name or (bridge == "textworld" and ("/" in rest or "." in rest))


def check_no_file(name: str, parameters: Mapping[str, object]) -> None:
    """Raise `ValueError` where a parameter names a file: the worker would read it outside of any sandbox."""
    environment = "gymnasium" if name.startswith("gymnasium/") else name
    for each in sorted(_FILES.get(environment, frozenset()) & parameters.keys()):
        raise ValueError(
            f"the parameter {each!r} of {name!r} names a file of the worker's machine; leave it out, as only "
            "people at that machine may give it"
        )


class EnvironmentCheck(Document):
    """An environment that the command of a verification step has to play.

    Attributes:
        name: of an environment that is installed where it is verified.
        parameters: what it is made with.
        min_reward: what has to be earned in an episode in all.
        reached_by: see `Reaching`.
        seed: of the first episode; each further one has the next number.
        episodes: how many are played, one after the other.
        max_steps: after so many actions, refused ones included, the program is stopped; None: as the
            environment says.
    """

    name: Annotated[str, Field(min_length=1, max_length=300)]
    parameters: dict[str, JsonValue] = {}
    min_reward: Annotated[float, Field(allow_inf_nan=False)]
    reached_by: Reaching = Reaching.EVERY
    seed: Annotated[int, Field(ge=0, le=2**31 - 1_001)] = 0
    episodes: Annotated[int, Field(ge=1, le=1_000)] = 1
    max_steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @field_validator("name")
    @classmethod
    def _is_installed_by_people(cls, name: str) -> str:
        # Agents write plans: by the path of a class, or of a game, the worker would run what they like.
        if is_path(name) or ("/" in name and "." in name):
            raise ValueError(
                f"{name!r} is a path; name an environment that is installed, as `shiftwork env list` "
                "shows them: what a path leads to would be run by the worker, outside of any sandbox"
            )
        return name

    @model_validator(mode="after")
    def _reads_no_file(self) -> Self:
        check_no_file(self.name, self.parameters)
        return self

    @property
    def seeds(self) -> range:
        """Of the episodes, in order."""
        return range(self.seed, self.seed + self.episodes)

    @property
    def words(self) -> str:
        """What is asked, in one line."""
        if self.episodes == 1:
            return f"a reward of at least {self.min_reward:g} in {self.name} (seed {self.seed})"
        which = "each" if self.reached_by is Reaching.EVERY else "the mean"
        seeds = f"seeds {self.seeds[0]} to {self.seeds[-1]}"
        return (
            f"a reward of at least {self.min_reward:g} in {self.name}, in {which} of {self.episodes} "
            f"episodes ({seeds})"
        )

    @property
    def told(self) -> str:
        """What is asked, for who has to write the program."""
        given = f" It is made with {json.dumps(self.parameters, sort_keys=True)}." if self.parameters else ""
        most = f" It is stopped after {self.max_steps} steps." if self.max_steps else ""
        return f"The command has to earn {self.words}.{given}{most} {_PLAYING}"
