"""What a model's tokens cost, as a project may say it."""

from typing import Annotated

from pydantic import Field

from shiftwork.contracts.base import Message


class Prices(Message):
    """US dollars per million tokens, for models that no table knows, or that cost something else."""

    input: Annotated[float, Field(ge=0)] = 0.0
    output: Annotated[float, Field(ge=0)] = 0.0
    cache_read: Annotated[float, Field(ge=0)] | None = None
    """None: as `input`."""
    cache_write: Annotated[float, Field(ge=0)] | None = None
    """None: as `input`."""
