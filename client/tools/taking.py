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
        """Pydantic makes 1 of true, true of "on" and numbers of texts; and columns keep no NUL."""
        annotation = cls.model_fields[told.field_name or ""].annotation
        if isinstance(given, bool | str) and _is_number(annotation):
            raise ValueError(f"must be a number, not {'text' if isinstance(given, str) else 'true or false'}")
        if annotation is bool and not isinstance(given, bool):
            raise ValueError("must be true or false")
        for each in given if isinstance(given, list) else [given]:
            if isinstance(each, str) and (problem := unfit(each)):
                raise ValueError(problem)
        return given


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(_is_number, get_args(annotation)))
