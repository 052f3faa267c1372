"""What an initializer agent leaves in `plan.json`, and the set-up commands of a project."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from shiftwork.contracts.base import VERSION, Document
from shiftwork.contracts.feature import FeatureSpec, check_path

FEW_FEATURES = 20
MANY_FEATURES = 200
"""Plans have so many features; of fewer, and of more, somebody is told or asked."""

SHORT_SPECIFICATION = 2_000
"""Of one with fewer characters a plan may be small, and leave out edge cases, without a word."""


class SetupCommand(Document):
    """A command that prepares workspaces and checkouts alike.

    Attributes:
        run: the command, run by bash (by sh where there is none) at the root of a checkout; the
            network is allowed.
        inputs: the files it depends on; its result is kept under the digest of their contents.
        outputs: the paths it makes; they are copied into later checkouts and never committed.
    """

    run: Annotated[str, Field(min_length=1, max_length=20_000)]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    timeout: Annotated[float, Field(gt=0, le=86_400)] = 600

    @field_validator("inputs", "outputs")
    @classmethod
    def _paths_stay_inside(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_path(path) for path in paths)


def setup_commands(value: object) -> object:
    """Accept plain strings where set-up commands are asked for."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list | tuple):
        return [{"run": item} if isinstance(item, str) else item for item in value]
    return value


def is_small(features: int, specification: str) -> bool:
    """Whether so many features are few for this specification."""
    return features < FEW_FEATURES and len(specification) >= SHORT_SPECIFICATION


def without_edge_cases(features: Mapping[str, int], specification: str) -> list[str]:
    """The features, by name with how many steps verify them, that have one alone where two are expected."""
    if len(specification) < SHORT_SPECIFICATION:
        return []
    return [name for name, steps in features.items() if steps == 1]


class Plan(Document):
    """The features of a project, as an initializer agent proposes them."""

    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    features: Annotated[tuple[FeatureSpec, ...], Field(min_length=1, max_length=1000)]
    setup: tuple[SetupCommand, ...] = ()

    _strings = field_validator("setup", mode="before")(setup_commands)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen: set[str] = set()
        for feature in self.features:
            if feature.name in seen:
                raise ValueError(f"two features are named {feature.name!r}; give each its own name")
            seen.add(feature.name)
        return self
