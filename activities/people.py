"""The repository that people see: shown what landed, asked for what they committed."""

from activities.services import Services
from shiftwork.errors import ShiftworkError


async def feed(services: Services, project_id: str) -> None:
    """Show main to the user's repository; a failure is a warning among the events, never a lost landing."""
    async with services.store.transaction() as tx:
        project = await tx.projects.get(project_id)
    user = services.user_repository(project)
    if user is None:
        return
    repository = services.folder(project_id).repository
    fed = await user.feed(repository)
    if fed.warning:
        await warn(services, project_id, f"feed:{await repository.tip()}", fed.warning)


async def people_commit(services: Services, project_id: str) -> str | None:
    """The tip of the people's branch if main does not contain it; None also when it can't be asked."""
    async with services.store.transaction() as tx:
        project = await tx.projects.get(project_id)
    user = services.user_repository(project)
    if user is None:
        return None
    repository = services.folder(project_id).repository
    try:
        tip = await user.fetch_into(repository)
        if tip is None or await repository.contains(tip):
            return None
    except ShiftworkError as error:
        # The user's repository may be away, and the project goes on without it.
        await warn(services, project_id, f"fetch:{await repository.tip()}", str(error))
        return None
    return tip


async def warn(services: Services, project_id: str, key: str, text: str) -> None:
    """A warning about the user's repository, among the events; each `key` once."""
    async with services.store.transaction() as tx:
        await tx.events.append(
            project_id, "warning", key=f"warning:{key}", reference="repository", data={"text": text}
        )
