"""What people are told where no provider takes work until somebody acts: whose it is, and what mends it."""

import re
from collections.abc import Iterator, Mapping

from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.project import AgentOptions, AgentPlace, ProjectOptions
from shiftwork.contracts.session import InterruptionReason, Role
from shiftwork.contracts.state import FeatureState, ProjectState
from shiftwork.planning.casting import cast, key, role_of
from shiftwork.text import truncate

_WHOSE = "the agent's provider"
_REJECTS = "rejects its requests (an unknown model, a setting that does not fit)"
_REFUSES = "refuses its credentials"
_MEND = "see the logs, mend them, then resume"

REJECTED = (
    f"{_WHOSE} {_REJECTS}; see the logs, then give it other settings: shiftwork resume --model NAME or "
    "--agent-setting KEY=VALUE"
)
"""Why a project pauses whose own agent's provider accepts no request."""

REFUSED = f"{_WHOSE} {_REFUSES}; {_MEND}"
"""Why one pauses whose own agent's provider refuses its credentials."""

_KINDS = (
    (
        re.compile(
            r"\b402\b|insufficient.?(quota|funds|balance|credit)|current quota|credit balance|billing"
            r"|payment|out of credit|no (money|credit)",
            re.IGNORECASE,
        ),
        "refuses it for want of money",
        "see the logs, pay there or choose another model or key, then resume",
    ),
    (
        re.compile(r"\b403\b|countr(y|ies)|territor(y|ies)|your (region|location)", re.IGNORECASE),
        "does not permit it (from this country, or with this key)",
        "see the logs, choose what it permits, then resume",
    ),
)
"""What a refusal is about, by the provider's words; what none of these fits is about credentials."""

_QUOTES = str.maketrans(dict.fromkeys('"“”„‟«»″＂', "'"))
_QUOTED = re.compile(r': "[^"]*"')


def refused(state: ProjectState, feature: FeatureState | None, reason: InterruptionReason) -> str:
    """Why the project pauses: none of those who could do the next session of this feature may.

    Args:
        feature: None: planning.
        reason: of the one who was refused last.
    """
    role, category = _wanted(state.options, feature)
    told: dict[str, tuple[AgentPlace, InterruptionReason]] = {}
    for place, agent in _seats(state.options, _seat(state.options, role, category)):
        rest = state.resting.get(key(agent))
        told.setdefault(key(agent), (place, rest.reason if rest and rest.reason else reason))
    return _sentence(list(told.values()))


def quoted(options: ProjectOptions, reason: str, said: Mapping[str, str], characters: int) -> str:
    """The reason with what the providers said, of whose agents it tells.

    Args:
        said: the words, by the agent's key; none of them closes its quotation.
        characters: that are left of each.
    """
    words = {_whose(place): said.get(key(agent), "") for place, agent in _everywhere(options)}
    whose = "|".join(re.escape(each) for each, told in words.items() if told)
    clauses = re.compile(rf"(?:^|(?<=; ))({whose}) ({re.escape(_REJECTS)}|{_REFUSES})(?=; )")
    advice = _MEND

    def quote(clause: re.Match[str]) -> str:
        nonlocal advice
        told, what = words[clause[1]].translate(_QUOTES), clause[2]
        if what == _REFUSES:
            what, advice = _kind(told)
        return f'{clause[1]} {what}: "{truncate(told, characters)}"'

    # In one go: what was said of one may read like what is told of another.
    new = clauses.sub(quote, reason) if whose else reason
    alone = reason.count("; ") == 1
    return new.removesuffix(_MEND) + advice if alone and new.endswith(_MEND) else new


def unquoted(reason: str) -> str:
    """What the workflow said, of a reason that `quoted` made; any other as it is."""
    if not re.match(r"the (agent's provider|provider of )", reason):
        return reason
    plain = _QUOTED.sub("", reason)
    for _, what, advice in _KINDS:
        plain = plain.replace(what, _REFUSES).replace(advice, _MEND)
    return plain


def tells_of_refusal(reason: str) -> bool:
    """Whether a workflow's reason is one of `refused`."""
    return _REJECTS in reason or _REFUSES in reason


def _kind(words: str) -> tuple[str, str]:
    found = ((what, advice) for look, what, advice in _KINDS if look.search(words))
    return next(found, (_REFUSES, _MEND))


def _sentence(told: list[tuple[AgentPlace, InterruptionReason]]) -> str:
    rejected = [place for place, reason in told if reason is InterruptionReason.REJECTED]
    clauses = [f"{_whose(place)} {_REJECTS if place in rejected else _REFUSES}" for place, _ in told]
    if not rejected:
        return "; ".join([*clauses, _MEND])
    settings = " or ".join(f"shiftwork resume{_options(place)} --model NAME" for place in rejected)
    mend = "give it other settings" if len(told) == 1 else "mend one of them"
    return "; ".join([*clauses, f"see the logs, then {mend}: {settings} or --agent-setting KEY=VALUE"])


def _whose(place: AgentPlace) -> str:
    agent = "the agent"
    if place.role is not None:
        agent = f"the agent of the role {place.role.value}"
    elif place.category is not None:
        agent = f"the agent of the category {place.category.value}"
    elif place.fallback is None:
        return _WHOSE
    number = f"fallback {place.fallback} of " if place.fallback is not None else ""
    return f"the provider of {number}{agent}"


def _options(place: AgentPlace) -> str:
    """Those of the command line that name an agent of a project."""
    given = {"role": place.role, "category": place.category, "fallback": place.fallback}
    return "".join(f" --{name} {value}" for name, value in given.items() if value is not None)


# Where agents stand ---------------------------------------------------------------------------------------


def _wanted(options: ProjectOptions, feature: FeatureState | None) -> tuple[Role, FeatureCategory | None]:
    """Which role the next session of this feature asks for, see `casting.needed`."""
    if feature is not None and feature.candidate is not None:
        return Role.VERIFIER, None
    category = feature.category if feature else None
    return role_of(options, category), category


def _seat(options: ProjectOptions, role: Role, category: FeatureCategory | None) -> AgentPlace:
    """Where the agent stands whom `casting.cast` finds."""
    chosen = options.categories.get(category) if category is not None else None
    if chosen is not None and chosen.agent is not None:
        return AgentPlace(category=category)
    return AgentPlace(role=role) if role in options.roles else AgentPlace()


def _seats(options: ProjectOptions, seat: AgentPlace) -> Iterator[tuple[AgentPlace, AgentOptions]]:
    """The agent there and its fallbacks, with the place of each."""
    agents = cast(options, seat.role or Role.SESSION, seat.category).agents
    if seat.role is None and seat.category is None:
        own = options.model_copy(update={"roles": {}, "categories": {}})
        agents = cast(own, Role.SESSION).agents
    for number, agent in enumerate(agents):
        yield seat.model_copy(update={"fallback": number or None}), agent


def _everywhere(options: ProjectOptions) -> Iterator[tuple[AgentPlace, AgentOptions]]:
    own = [name for name, chosen in options.categories.items() if chosen.agent is not None]
    for seat in (
        AgentPlace(),
        *(AgentPlace(role=role) for role in options.roles),
        *(AgentPlace(category=name) for name in own),
    ):
        yield from _seats(options, seat)
