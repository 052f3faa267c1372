"""The options of a new project: the command line's over the front matter's over the defaults."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from client.cli.values import WALL_TIME
from client.specification import Specification, read_prompt
from client.wording import first_problem
from shiftwork.agents.settings import is_address
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput


def project_options(specification: Specification, args: Namespace) -> ProjectOptions:
    """The options of a project: those of the command line, else the front matter's, else the defaults.

    Raises:
        InvalidInput: an option does not fit.
    """
    head = specification.head.model_dump(exclude={"name", "agent", "roles", "categories"}, exclude_unset=True)
    given = {
        "max_sessions": args.max_sessions,
        "max_attempts": args.max_attempts,
        "max_parallel": args.max_parallel,
        "budget_usd": args.budget,
        "verification_timeout": args.verification_timeout,
        "session_timeout": _wall_time(args),
        "setup": args.setup,
        "autorun": False if args.no_autorun else None,
    }
    fields: dict[str, Any] = {**head, **{name: value for name, value in given.items() if value is not None}}
    fields["sandbox"] = sandbox_options(specification.head.sandbox, args)
    fields["limits"] = agent_limits(specification.head.limits, args)
    fields["roles"] = roles(specification.head.roles, args)
    fields["categories"] = specification.head.categories
    own = {Role(role): read_prompt(path) for role, path in args.prompt or ()}
    fields["prompts"] = {**specification.head.prompts, **own}
    try:
        return ProjectOptions(agent=agent_options(specification.head.agent, args), **fields)
    except ValidationError as error:
        raise InvalidInput(f"{first_problem(error)}.") from error


def sandbox_options(head: SandboxOptions | None, args: Namespace) -> SandboxOptions:
    """What agents and commands may touch; hosts of the command line take the place of the front matter's.

    A profile of the command line that reaches no hosts takes the front matter's away.

    Raises:
        InvalidInput: hosts are allowed that the profile does not let anybody reach.
    """
    base = head or SandboxOptions()
    profile = Profile(args.profile) if args.profile is not None else base.profile
    hosts = tuple(args.allow_host or base.hosts)
    if profile is not Profile.NETWORKED:
        if args.allow_host:
            raise InvalidInput(
                f"--allow-host {hosts[0]!r} has no effect in the profile {profile.value!r}; "
                "give --profile networked too."
            )
        if hosts and base.profile is not Profile.NETWORKED:
            raise InvalidInput(
                f"sandbox.hosts: {hosts[0]!r} has no effect in the profile {profile.value!r}; write "
                "'profile: networked' beside it, or give --profile networked."
            )
        hosts = ()
    return base.model_copy(update={"profile": profile, "hosts": hosts})


def agent_limits(head: AgentLimits | None, args: Namespace) -> AgentLimits:
    """What an agent may use; a limit of the command line takes the place of the front matter's same one."""
    given = {name: value for name, value in args.limit or () if name != WALL_TIME}
    return (head or AgentLimits()).model_copy(update=given)


def _wall_time(args: Namespace) -> float | None:
    """Seconds an agent may run, which has an option of its own, too."""
    given: float | None = dict(args.limit or ()).get(WALL_TIME)
    if given is not None and args.session_timeout is not None:
        raise InvalidInput(f"--limit {WALL_TIME} and --session-timeout say the same; give one of them.")
    return args.session_timeout if given is None else given


def agent_options(head: AgentOptions | None, args: Namespace) -> AgentOptions:
    """Who does the work: what the command line says, over what the front matter says.

    Settings of another backend than the front matter's are not mixed with its own.

    Raises:
        InvalidInput: a setting that it needs is missing, or can't be what it is.
    """
    base = head or AgentOptions()
    if args.agent is not None and args.agent != base.backend:
        base = AgentOptions(backend=args.agent, prices=base.prices)
    settings = {**base.settings, **agent_settings(args)}
    if args.cassette:
        settings["cassette"] = str(Path(args.cassette).absolute())
    _check_agent(base.backend, settings)
    return base.model_copy(update={"settings": settings})


def agent_settings(args: Namespace) -> dict[str, Any]:
    """The settings of an agent that the command line gives; raises `InvalidInput` for no address."""
    given = {"model": args.model, "base_url": args.base_url}
    settings = {name: value for name, value in given.items() if value is not None}
    settings |= dict(args.agent_setting or ())
    _check_address(settings)
    return settings


def roles(head: Mapping[Role, AgentOptions], args: Namespace) -> dict[Role, AgentOptions]:
    """Who plays which role; one that the command line gives away takes the place of the front matter's."""
    given = {}
    for role, backend, model in args.role or ():
        settings: dict[str, Any] = {"model": model} if model else {}
        given[Role(role)] = AgentOptions(backend=backend, settings=settings)
    return {**head, **given}


def _check_agent(backend: str, settings: Mapping[str, Any]) -> None:
    """What the backends can't say in the words of the command line."""
    if backend == "scripted" and "cassette" not in settings:
        raise InvalidInput(
            "The scripted agent needs a cassette: give --cassette FILE, or another agent with --agent."
        )
    _check_address(settings)


def _check_address(settings: Mapping[str, Any]) -> None:
    url = settings.get("base_url")
    if url is not None and not is_address(str(url)):
        raise InvalidInput(f"base_url: {url!r} is no address; write it as https://HOST/PATH.")
