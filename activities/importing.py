"""People's commits on their way into main."""

import asyncio

from temporalio import activity

from activities.people import feed
from activities.services import Services
from activities.verifying import make_verifier, passing_features
from shiftwork.contracts.bookkeeping import ImportRequest, ImportResult
from shiftwork.contracts.feature import FeatureStatus
from shiftwork.errors import EnvironmentFailed, MergeConflict, RepositoryError
from shiftwork.repository import ImportPlan
from shiftwork.repository.files import remove_tree
from shiftwork.store.rows import FeatureRow, ProjectRow
from shiftwork.text import one_line, truncate
from shiftwork.verification.landing import explain, first_failure
from shiftwork.verification.setup import SetupFailed


class Import:
    """One import: merge, verify what passes, swap. People are the authority: nothing of theirs is refused."""

    def __init__(self, services: Services, request: ImportRequest) -> None:
        self._services = services
        self._request = request
        self._folder = services.folder(request.project_id)

    async def execute(self) -> ImportResult:
        """Import the commit; raises `RepositoryError` when main moved meanwhile, to be tried again."""
        repository = self._folder.repository
        base = await repository.tip()
        try:
            plan = await repository.import_base(self._request.commit)
        except MergeConflict as conflict:
            return ImportResult(conflict=True, paths=len(conflict.paths))
        if plan is None:
            return ImportResult()
        async with self._services.store.transaction() as tx:
            project = await tx.projects.get(self._request.project_id)
        broken = await self._verify(project, plan)
        if not await repository.swap(base, plan.commit):
            raise RepositoryError(
                "main moved while commits of people were verified; they are verified again."
            )
        await self._record(plan, broken)
        await feed(self._services, project.id)
        return ImportResult(landed=plan.commit, broken=tuple(feature.id for feature, _ in broken))

    async def _verify(self, project: ProjectRow, plan: ImportPlan) -> list[tuple[FeatureRow, str]]:
        """The passing features that fail on the merged tree, each with what its step printed."""
        name = f"p{self._request.commit[:12]}-{activity.info().attempt}"
        await self._folder.take_back(name)
        workspace = await self._folder.workspaces.acquire(name, to_judge=True)
        verifier = make_verifier(self._services, project, workspace)
        broken: list[tuple[FeatureRow, str]] = []
        try:
            for feature in await passing_features(self._services, project.id):
                try:
                    failed = first_failure(await verifier.check(feature, plan.commit))
                except EnvironmentFailed as error:  # whether it still passes, nobody can say
                    await self._warn(project.id, plan, f"{feature.name}: {error}", str(feature.id))
                    continue
                if failed is not None:
                    broken.append((feature, explain(feature, failed)))
        except SetupFailed as error:
            await self._warn(project.id, plan, str(error))
        finally:
            await self._services.setup_cache(project).forget(plan.commit)
            await workspace.release()
            await asyncio.to_thread(remove_tree, self._folder.runs / name, ignore_errors=True)
        return broken

    async def _record(self, plan: ImportPlan, broken: list[tuple[FeatureRow, str]]) -> None:
        request = self._request
        subject = truncate(one_line(await self._folder.repository.subject(request.commit)), 120)
        async with self._services.store.transaction() as tx:
            for feature, detail in broken:
                error = f"Broken by commit {request.commit[:12]} of a person ({subject}).\n{detail}"
                await tx.features.save(
                    feature.id, request.revision, status=FeatureStatus.FAILING, last_error=error
                )
            passing = await tx.features.list(request.project_id, status=FeatureStatus.PASSING)
            await tx.checkpoints.add(request.project_id, plan.commit, None, [f.id for f in passing])
            await tx.events.append(
                request.project_id,
                "people_imported",
                key=f"people:{request.commit}",
                reference=f"commit:{plan.commit}",
                data={
                    "commit": request.commit,
                    "subject": subject,
                    "broken": [feature.name for feature, _ in broken],
                },
            )

    async def _warn(self, project_id: str, plan: ImportPlan, text: str, about: str = "setup") -> None:
        async with self._services.store.transaction() as tx:
            await tx.events.append(
                project_id,
                "warning",
                key=f"warning:import:{plan.commit}:{about}",
                reference=f"commit:{plan.commit}",
                data={"text": truncate(text, 4000)},
            )
