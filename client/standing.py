"""Parts of where a project stands, as programs and models are told of it."""

from datetime import datetime

from pydantic import BaseModel


class CurrentSession(BaseModel):
    """A session that runs."""

    number: int
    role: str
    phase: str
    feature: str | None
    started_at: datetime


class OpenQuestion(BaseModel):
    """What an agent wants to know; somebody has to answer it."""

    feature_id: int
    feature: str
    question: str
