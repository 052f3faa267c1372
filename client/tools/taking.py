"""How tools take what they are asked: as it is meant, or not at all."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from shiftwork.storable import unfit


class Arguments(BaseModel):
    """Base of all; what is not known is refused: whoever misspells a name means something by it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_meant(cls, given: object, told: ValidationInfo) -> object:
        """Pydantic makes 1 and 0 of true and false, and true of "on"; and columns keep no NUL."""
        annotation = cls.model_fields[told.field_name or ""].annotation
        if isinstance(given, bool) and _is_number(annotation):
            raise ValueError("must be a number, not true or false")
        if annotation is bool and not isinstance(given, bool):
            raise ValueError("must be true or false")
        for each in given if isinstance(given, list) else [given]:
            if isinstance(each, str) and (problem := unfit(each)):
                raise ValueError(problem)
        return given


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(_is_number, get_args(annotation)))
