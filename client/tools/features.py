"""Tools about the features of a project."""

import asyncio

from client.tools import arguments as asks
from client.tools.call import Call
from client.tools.feature_results import Feature, FeatureLine, Features, NextFeature
from client.tools.results import TEXT
from shiftwork.contracts.feature import FeatureSpec, FeatureStatus
from shiftwork.errors import InvalidInput
from shiftwork.management.records import valid
from shiftwork.verification.flaws import flaw


async def list_project_features(call: Call, asked: asks.ListFeatures) -> Features:
    """The features, in the order in which they were added."""
    project = await call.shiftwork.find(asked.project_id)
    rows = await call.manager.get_project_features(project.id, asked.status_filter)
    page = rows[asked.offset : asked.offset + asked.limit]
    shown = [FeatureLine.of(row) for row in page]
    return Features(features=shown, **Features.rest(asked.offset, len(shown), len(rows)))


async def add_project_feature(call: Call, asked: asks.AddFeature) -> Feature:
    """Add a feature; a completed project is opened again."""
    project = await call.shiftwork.find(asked.project_id)
    steps = [step.model_dump() for step in asked.verification_steps or ()]
    spec = valid(
        FeatureSpec,
        name=asked.name,
        description=asked.description,
        category=asked.category,
        priority=asked.priority,
        verification_steps=tuple(steps),
        depends_on=tuple(asked.depends_on or ()),
    )
    if found := await asyncio.to_thread(flaw, spec):
        raise InvalidInput(f"{found}; give a command that fails while the feature is missing.")
    [row] = await call.manager.add_features_bulk(project.id, [spec])
    said = row.problem or "It is begun when those it depends on pass, by priority."
    return Feature(message=f"Feature {row.id} is added. {said}", feature=FeatureLine.of(row))


async def update_feature_status(call: Call, asked: asks.UpdateFeatureStatus) -> Feature:
    """Give a feature a status; `passing` only asks for verification."""
    row = await call.manager.update_feature_status(asked.feature_id, asked.status, asked.error or "")
    said = f"The feature is {row.status}."
    if asked.status is FeatureStatus.PASSING:
        said = (
            "`passing` is not set: nobody marks their own homework, so a feature passes only when the "
            "harness has executed its verification steps on what was committed. That is asked for now, and "
            f"costs no attempt; until it is done the feature is {row.status}."
        )
    return Feature(message=said, feature=FeatureLine.of(row))


async def get_next_feature_to_work_on(call: Call, asked: asks.OfProject) -> NextFeature:
    """The feature that is next."""
    project = await call.shiftwork.find(asked.project_id)
    row = await call.manager.get_next_feature_to_work_on(project.id)
    if row is None:
        return NextFeature(
            message="No feature is ready: all pass, are blocked, wait, or the project is not planned.",
            feature=None,
        )
    return NextFeature(
        message="The harness begins this one next.",
        feature=FeatureLine.of(row, TEXT),
        verification_steps=NextFeature.steps(row),
    )
