"""How schedules of agents are called, and which an agent's configuration has."""

import re

from shiftwork.contracts.agent import SCHEDULE_ID
from shiftwork.errors import Conflict, InvalidInput, NotFound
from shiftwork.store.agents import AgentRow
from shiftwork.store.store import Transaction

OWN = re.compile(r"agent_([0-9]+)")
"""The ids of agents' own schedules, also of agents that are still to come."""


def schedule_id(agent_id: int) -> str:
    """The id of an agent's schedule, of those that have no other."""
    return f"agent_{agent_id}"


def check_schedule_id(job_id: object) -> None:
    """Raise `InvalidInput` for what can't be the id of a schedule; None is none, and may be."""
    if job_id is not None and not (isinstance(job_id, str) and re.fullmatch(SCHEDULE_ID, job_id)):
        raise InvalidInput(
            f"{job_id!r:.120} can't be the id of a schedule: it must be 1 to 100 letters (of ASCII), digits, "
            "'_', '.' and '-', the first a letter or digit; leave it out for the agent's own schedule."
        )


def configured(agent: AgentRow) -> dict[str, str]:
    """The expressions of an agent's schedules, by their ids, also while it is not to run by them."""
    config = agent.config
    own = {} if config.schedule is None else {schedule_id(agent.id): config.schedule}
    return {**config.schedules, **own}


def schedules_of(agent: AgentRow) -> dict[str, str]:
    """The same; none of an agent that is not to run by itself."""
    return configured(agent) if agent.deleted_at is None and agent.config.enabled else {}


async def owner_of(tx: Transaction, named: str) -> AgentRow:
    """The agent that has the schedule of this id; raises `NotFound`."""
    if own := OWN.fullmatch(named):
        return await tx.agents.get(int(own[1]))
    if (agent := await tx.agents.owner(named)) is not None:
        return agent
    raise NotFound(
        f"There is no agent {named!r:.120}, nor a schedule of that id; `shiftwork agents list` and "
        "`shiftwork schedules list` show those there are."
    )


def foreign(named: str, name: str) -> Conflict:
    """What is raised of a schedule that is not this agent's."""
    return Conflict(f"The schedule {named!r} is not of agent {name!r}; choose another id.")
