"""Features and their verification steps."""

import unicodedata
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Final, Self

from pydantic import Field, field_validator, model_validator

from shiftwork.contracts.base import Document, Message, Name, Text
from shiftwork.contracts.environment_check import EnvironmentCheck

LAST_STATUS: Final = 255
"""Commands end with an exit status from 0 to this one; after signal n it is 128 + n."""


class FeatureCategory(StrEnum):
    """What kind of work a feature is; decides which role does it."""

    FUNCTIONAL = "functional"
    UI = "ui"
    INTEGRATION = "integration"
    TESTING = "testing"
    DOCUMENTATION = "documentation"
    PERFORMANCE = "performance"
    SECURITY = "security"


class FeatureStatus(StrEnum):
    """Where a feature stands; `passing` only ever follows executed verification."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    PASSING = "passing"
    FAILING = "failing"
    BLOCKED = "blocked"


class VerificationStep(Document):
    """What must be observed for a feature to pass.

    Attributes:
        description: what is observed, for people and agents.
        command: run by bash (by sh where there is none) in a fresh checkout; None means the step can't
            pass by itself.
        expect_status: the exit status the command must yield.
        expect_output: text that standard output must contain, or None.
        timeout: seconds the command may take; None means the project's verification timeout.
        files: files that belong to the harness, by path relative to the repository root; laid over the
            checkout before the step runs, whatever the session did to its own copy.
        environment: what the command has to play well, or None. It then reads and writes lines of JSON (see
            `shiftwork.environments.commanded`), and the rewards that the environment counts decide, whatever
            it prints or exits with.
    """

    description: Text = ""
    command: Annotated[str, Field(max_length=20_000)] | None = None
    expect_status: int = 0
    expect_output: Annotated[str, Field(max_length=20_000)] | None = None
    timeout: Annotated[float, Field(gt=0, le=86_400)] | None = None
    files: dict[str, str] = {}
    environment: EnvironmentCheck | None = None

    @field_validator("command")
    @classmethod
    def _command_is_not_blank(cls, command: str | None) -> str | None:
        if command is not None and not command.strip():
            raise ValueError("command is blank; leave it out, or say what to run")
        if command is not None and "\0" in command:
            raise ValueError("command holds a NUL character")
        return command

    @field_validator("files")
    @classmethod
    def _paths_stay_inside(cls, files: dict[str, str]) -> dict[str, str]:
        for path in files:
            check_path(path)
        return files

    @model_validator(mode="after")
    def _has_who_plays(self) -> Self:
        if self.environment is None:
            return self
        if self.command is None:
            raise ValueError("a step with 'environment' needs a 'command' that plays it")
        if self.expect_output is not None or self.expect_status != 0:
            raise ValueError(
                "a step with 'environment' is decided by its reward; leave out expect_status and "
                "expect_output"
            )
        return self


_LINE_BREAKERS = frozenset({"Cc", "Zl", "Zp"})


def check_path(path: str) -> str:
    """The path, if it names a place inside a repository and outside `.git`; else ValueError."""
    parts = PurePosixPath(path).parts
    inside = bool(parts) and not path.startswith("/") and ".." not in parts
    if any(unicodedata.category(character) in _LINE_BREAKERS for character in path):
        raise ValueError(f"path {path!r} must not hold control characters or line separators")
    if not inside or any(part.lower() == ".git" for part in parts):
        raise ValueError(f"path {path!r} must be relative, inside the repository and outside .git")
    return path


class FeatureSpec(Document):
    """A feature as a plan, a person or a program describes it."""

    name: Name
    description: Text = ""
    category: FeatureCategory = FeatureCategory.FUNCTIONAL
    priority: Annotated[int, Field(ge=1, le=10)] = 5
    depends_on: Annotated[tuple[Name, ...], Field(max_length=200)] = ()
    verification_steps: Annotated[tuple[VerificationStep, ...], Field(max_length=100)] = ()

    @field_validator("verification_steps", mode="before")
    @classmethod
    def _plain_strings_are_descriptions(cls, steps: object) -> object:
        if isinstance(steps, list | tuple):
            return [{"description": step} if isinstance(step, str) else step for step in steps]
        return steps

    @property
    def verifiable(self) -> bool:
        """Whether every step has a command: a step without one never passes by itself."""
        return bool(self.verification_steps) and all(s.command for s in self.verification_steps)


class FeatureEdit(Message):
    """A person's change of a feature; None leaves a field as it is. Any edit lifts `blocked`."""

    feature: str
    description: Text | None = None
    category: FeatureCategory | None = None
    priority: Annotated[int, Field(ge=1, le=10)] | None = None
    depends_on: tuple[Name, ...] | None = None
    verification_steps: tuple[VerificationStep, ...] | None = None
    actor: str = ""
