"""What tools answer about features."""

from typing import TYPE_CHECKING

from pydantic import BaseModel

from client.tools.results import ITEMS, LINE, Done, Page, line, passage

if TYPE_CHECKING:
    from shiftwork.store.rows import FeatureRow


class FeatureLine(BaseModel):
    """A feature in a list; `remark`: its open question, why it is blocked, or what failed last."""

    feature_id: int
    name: str
    description: str
    category: str
    priority: int
    status: str
    attempts: int
    depends_on: list[str]
    remark: str

    @classmethod
    def of(cls, row: "FeatureRow", limit: int = LINE) -> "FeatureLine":
        """The row, with texts of so many characters."""
        waiting = row.question if row.waiting else None
        return cls(
            feature_id=row.id,
            name=line(row.name),
            description=passage(row.description, limit),
            category=row.category,
            priority=row.priority,
            status=row.status,
            attempts=row.attempts,
            depends_on=[line(name) for name in row.depends_on[:ITEMS]],
            remark=passage(waiting or row.blocked_reason or row.last_error or row.problem, limit),
        )


class Features(Page):
    """Features, in the order in which they were added."""

    agents_wrote = ("features",)

    features: list[FeatureLine]


class Feature(Done):
    """One feature."""

    agents_wrote = ("feature",)

    feature: FeatureLine


class StepLine(BaseModel):
    """A verification step; `environment`: what its command plays, and must earn there."""

    description: str
    command: str | None
    expect_status: int = 0
    expect_output: str | None = None
    environment: str | None = None


class NextFeature(Done):
    """The feature that is next, and how it will be verified; none if none is ready."""

    agents_wrote = ("feature", "verification_steps")

    feature: FeatureLine | None
    verification_steps: list[StepLine] = []

    @staticmethod
    def steps(row: "FeatureRow") -> list[StepLine]:
        """How the feature is verified; the first steps, if there are many."""
        return [
            StepLine(
                description=line(step.description, 1000),
                command=None if step.command is None else passage(step.command, 1000),
                expect_status=step.expect_status,
                expect_output=None if step.expect_output is None else passage(step.expect_output, 1000),
                environment=None if step.environment is None else line(step.environment.told, 1000),
            )
            for step in row.verification_steps[:ITEMS]
        ]
