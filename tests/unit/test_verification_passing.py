"""Who must still pass: the features of the rows, and landings that no row tells of yet."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from activities.orphans import WorkerRecord
from activities.services import Services
from activities.verifying import passing_features
from shiftwork.contracts.feature import FeatureSpec, FeatureStatus
from shiftwork.contracts.session import Role
from shiftwork.gateway import Gateway
from shiftwork.repository import LandingInfo
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
async def services(database_url, tmp_path):
    await migrate(database_url)
    settings = replace(Settings(state=tmp_path), database_url=database_url)
    async with Store(database_url) as store:
        yield Services(
            settings, store, cheap_sandbox(), {}, WorkerRecord(tmp_path), Gateway(), LazyRedactor({})
        )


async def test_a_landing_counts_before_its_row(services) -> None:
    """Of two parallel landings the later is recorded first; a third session may then break the other."""
    async with services.store.transaction() as tx:
        project = await tx.projects.create("p")
        rows = await tx.features.adopt(project.id, [FeatureSpec(name=n) for n in ("a", "b", "c")], 1)
        for number, row in enumerate(rows):
            await tx.sessions.begin(project.id, number, row.id, Role.SESSION, AT)
    repository = services.folder(project.id).repository
    await repository.create()
    for number, row in enumerate(rows[:2]):
        base = await repository.tip()
        info = LandingInfo(project.id, number, row.name, row.name, "", AT)
        landing = await repository.make_landing(await repository.tree_of(base), base, info)
        assert await repository.integrate(base, landing, project.id, number) == landing
    async with services.store.transaction() as tx:  # b, which landed last, is recorded first
        await tx.features.save(rows[1].id, 2, status=FeatureStatus.PASSING)
        await tx.checkpoints.add(project.id, await repository.tip(), None, [rows[1].id])
        await tx.sessions.end(project.id, 1, outcome="passed")
    found = await passing_features(services, project.id, besides=rows[2].id)
    assert [f.name for f in found] == ["a", "b"]

    async with services.store.transaction() as tx:  # recorded, and broken by people since: it passes no more
        await tx.features.save(rows[0].id, 2, status=FeatureStatus.FAILING)
        await tx.sessions.end(project.id, 0, outcome="passed")
    assert [f.name for f in await passing_features(services, project.id)] == ["b"]
