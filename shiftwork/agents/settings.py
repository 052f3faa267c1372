"""What a project may say about its agent program, whichever it is."""

from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, ValidationError

from shiftwork.agents.protocol import Settings
from shiftwork.contracts.base import Document
from shiftwork.errors import InvalidInput


class BackendSettings(Document):
    """Settings that every agent program shares; unknown ones are refused by name.

    Attributes:
        program: its name on `PATH`, or its path; None: the backend's usual name.
        model: as the program names it; None: the program's default.
        base_url: where the model's API is; None: the provider's own.
        arguments: further arguments for the program.
        permission_mode: what the program may do without asking, in its own words; None: everything that
            a session needs.
        tools: the program's tools that may be used; empty: all.
        environment: variables the program gets, by value. Secrets belong into `pass_environment`.
        pass_environment: names of the worker's own variables that the program gets too.
    """

    program: str | None = None
    model: str | None = None
    base_url: str | None = None
    arguments: tuple[str, ...] = ()
    permission_mode: str | None = None
    tools: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    pass_environment: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], ...] = ()

    @classmethod
    def read(cls, backend: str, settings: Settings) -> Self:
        """These settings, validated; raises `InvalidInput` naming the backend and the field."""
        return read_settings(cls, backend, settings)


Model = TypeVar("Model", bound=BackendSettings)


def read_settings(model: type[Model], backend: str, settings: Settings) -> Model:
    """Validate the settings of a backend; raises `InvalidInput` naming the backend and the field."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        problem: Any = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the settings"
        if problem["type"] == "extra_forbidden":
            known = ", ".join(sorted(model.model_fields))
            raise InvalidInput(f"Backend {backend!r} has no setting {where!r}; it has: {known}.") from error
        said = problem["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"Backend {backend!r}, setting {where!r}: {said}.") from error
