"""Rules on what an environment tells: observations, rewards, and what its methods say of them."""

import base64
import binascii
import functools
import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from shiftwork.environments.conformance.subject import Subject, frozen
from shiftwork.environments.conformance.watched import READING, Moment, episodes_of, moments_of
from shiftwork.environments.conformance.wording import CallFailed
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation

_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


async def answers(subject: Subject) -> list[str]:
    """Each call of an episode answers in time, and raises nothing.

    Whoever plays waits for it; and all that is said of an environment rests on episodes that can be played.
    """
    try:
        await episodes_of(subject)
    except CallFailed as failure:
        if failure.hung:
            return [f"{failure}; let what it waits for have an end, or give it step_timeout_seconds"]
        return [f"{failure}; mend what raises that"]
    return []


async def observations(subject: Subject) -> list[str]:
    """What is handed out is JSON, and an image is a PNG or a JPEG.

    Observations, results and their metadata are sent to agents in other processes and written into rows; what
    is not JSON gets lost there, in the middle of an episode.
    """
    return _first(await moments_of(subject), _ill_formed)


def _ill_formed(moment: Moment) -> str | None:
    for what, said in (("observation", moment.observation), ("result", moment.result)):
        if said is None:
            continue
        for name, value in _texts(said).items():
            try:
                json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
            except (TypeError, ValueError, RecursionError) as error:
                return (
                    f"the {name} of the {what} at {moment.label} is no JSON ({error}); give text, numbers, "
                    "lists"
                )
    if moment.observation.content_type == "image" and not _is_image(moment.observation.content):
        return f"the content at {moment.label} is no image; give a PNG or a JPEG, as bytes or in base64"
    return None


def _texts(said: Observation | ActionResult) -> dict[str, Any]:
    """What of it others read, by name."""
    told = {name: getattr(said, name, "") for name in ("content", "metadata", "agent", "error")}
    offered: list[ActionDefinition] = getattr(said, "available_actions", [])
    return {**told, "available_actions": [each.model_dump(warnings=False) for each in offered]}


def _is_image(content: Any) -> bool:
    try:
        data = base64.b64decode(str(content).partition("base64,")[2] or str(content), validate=True)
    except (binascii.Error, ValueError):
        return False
    return data.startswith(_IMAGES)


async def rewards(subject: Subject) -> list[str]:
    """Rewards are finite numbers.

    They are added up and averaged: one that is infinite or no number takes the whole evaluation with it.
    """
    return _first(await moments_of(subject), _not_finite)


def _not_finite(moment: Moment) -> str | None:
    if moment.result is None:
        return None
    for reward in (moment.result.reward, *moment.result.rewards.values(), moment.observation.reward or 0.0):
        good = isinstance(reward, int | float) and math.isfinite(reward)
        if not good:
            return f"the reward of {moment.label} is {reward!r}; give a finite number"
    return None


async def available_actions(subject: Subject) -> list[str]:
    """What is available now is one of the actions that there are, and these stay the same.

    Who knows the action space alone, such as a policy that was trained on it, would be offered what it has
    never heard of. What can't be done now is left out of `available_actions`.
    """
    for episode in await episodes_of(subject):
        since = functools.partial(_changed_since, episode[0])
        found = _first(episode, _unknown_actions) or _first(episode, since)
        if found:
            return found
    return []


def _changed_since(first: Moment, moment: Moment) -> str | None:
    before, now = ({each.name for each in at.answers.get("get_action_space", [])} for at in (first, moment))
    for name in sorted(before ^ now):
        how = "no longer in" if name in before else "new in"
        return (
            f"action {name!r} is {how} get_action_space() after {moment.label}; name every action there at "
            "any time, and what can be done now in available_actions"
        )
    return None


def _unknown_actions(moment: Moment) -> str | None:
    there = [each.name for each in moment.answers.get("get_action_space", [])]
    offered = [each.name for each in moment.observation.available_actions]
    unknown = [name for name in offered if name not in there]
    if unknown:
        return (
            f"action {unknown[0]!r} is available at {moment.label}, and not in get_action_space(); add it "
            "there"
        )
    twice = [name for name in offered if offered.count(name) > 1]
    return f"action {twice[0]!r} is available twice at {moment.label}; name it once" if twice else None


async def reading(subject: Subject) -> list[str]:
    """What only tells something works at any time in an episode, and changes nothing.

    Dashboards, agents and people look whenever they like; an environment that goes on by being looked at
    plays differently for each of them, and no recorded episode can be played again.
    """
    return _first(await moments_of(subject), _disturbed)


def _disturbed(moment: Moment) -> str | None:
    for name in READING:
        if name in moment.raised:
            return f"{name}() {moment.raised[name]} after {moment.label}; let it tell what is so now"
        if name in moment.changes:
            where = moment.changes[name]
            return f"{name}() changed {where!r} of the environment after {moment.label}; let it only tell"
    return None


async def get_observation(subject: Subject) -> list[str]:
    """`get_observation` agrees with what the last step showed.

    An agent that lost its context asks again what it perceives, and goes on with that: whose turn it is,
    what it may do, what its score is. The wording may differ, the facts may not.
    """
    for episode in await episodes_of(subject):
        found = _first(episode, _disagrees)
        if found:
            return found
        shown = {each.shown_facts for each in map(_Facts, episode)}
        observed = {each.observed_facts for each in map(_Facts, episode)}
        if len(shown) > 3 and len(observed) == 1:
            return [
                (
                    f"get_observation() said the same after each of {len(episode) - 1} steps, while they "
                    "showed something else each time; let it show what is so now, not what was at reset"
                )
            ]
    return []


class _Facts:
    def __init__(self, moment: Moment) -> None:
        self.shown_facts = self._of(moment.observation)
        self.observed_facts = self._of(moment.observed)

    def _of(self, seen: Observation | None) -> str:
        return "" if seen is None else frozen([repr(seen.content), repr(seen.metadata)])


def _disagrees(moment: Moment) -> str | None:
    shown, observed = moment.observation, moment.observed
    if observed is None:
        said = type(moment.answers.get("get_observation")).__name__
        return f"get_observation() after {moment.label} is a {said}; return an Observation"
    names = [[each.name for each in seen.available_actions] for seen in (shown, observed)]
    if all(names) and sorted(names[0]) != sorted(names[1]):
        return _unequal(moment, "available_actions", *names)
    for what in ("agent", "terminated", "truncated"):
        if getattr(shown, what) != getattr(observed, what):
            return _unequal(moment, what, getattr(shown, what), getattr(observed, what))
    for key in shown.metadata.keys() & observed.metadata.keys():
        if shown.metadata[key] != observed.metadata[key]:
            return _unequal(moment, f"metadata[{key!r}]", shown.metadata[key], observed.metadata[key])
    return None


def _unequal(moment: Moment, what: str, shown: Any, observed: Any) -> str:
    return (
        f"after {moment.label} get_observation() has {what} {observed!r}, and what was shown had {shown!r}; "
        "let both come from the same state"
    )


async def is_done(subject: Subject) -> list[str]:
    """`is_done` and the status say what the observation says, and `is_success` says yes or no.

    A player stops by one of them, and a score is kept by another; if they differ, an episode is played on
    after its end, or won before it.
    """
    return _first(await moments_of(subject), _done_otherwise)


def _done_otherwise(moment: Moment) -> str | None:
    done, said = moment.observation.done, moment.answers.get("is_done")
    if said is not done:
        return (
            f"is_done() is {said!r} after {moment.label}, and the observation says {done}; leave it to the "
            "base"
        )
    if moment.observation.terminated and moment.observation.truncated:
        return (
            f"terminated and truncated are both set after {moment.label}; an episode that ended of its own "
            "is terminated alone"
        )
    won = moment.answers.get("is_success")
    if not isinstance(won, bool):
        return f"is_success() is {won!r} after {moment.label}; return True or False"
    expected = "completed" if done else "active"
    if moment.status != expected:
        return (
            f"the status is {moment.status!r} after {moment.label}, not {expected!r}; leave it to the base "
            "class"
        )
    return None


async def stats(subject: Subject) -> list[str]:
    """`get_stats` counts what was seen.

    Results tables are made of it, and people compare agents by them.
    """
    return _first(await moments_of(subject), _miscounted)


def _miscounted(moment: Moment) -> str | None:
    told = moment.stats
    if told is None:
        said = type(moment.answers.get("get_stats")).__name__
        return f"get_stats() after {moment.label} is a {said}; return EpisodeStats"
    expected = {
        "total_steps": (told.total_steps, moment.steps),
        "total_reward": (round(told.total_reward, 6), round(moment.reward, 6)),
        "success": (told.success, moment.answers.get("is_success")),
        "terminated": (told.terminated, moment.observation.terminated),
        "truncated": (told.truncated, moment.observation.truncated),
    }
    for what, (told_so, seen) in expected.items():
        if told_so != seen:
            return (
                f"get_stats() says {what} {told_so!r} after {moment.label}, and {seen!r} was seen; leave it "
                "to the base class"
            )
    return None


async def agents(subject: Subject) -> list[str]:
    """Whose turn it is, and who earned what, are agents that the environment names.

    Each player waits for its own name; a turn of somebody unknown is a turn of nobody, and the game stands.
    """
    known = subject.fresh().agents
    return _first(await moments_of(subject), lambda moment: _unknown_agents(moment, known))


def _unknown_agents(moment: Moment, known: Iterable[str]) -> str | None:
    there = list(known)
    turn = moment.observation.agent
    if turn is None and there and not moment.observation.done:
        return f"nobody's turn it is at {moment.label}, and there play {there}; name one in Observation.agent"
    if turn is not None and turn not in there:
        return (
            f"it is the turn of {turn!r} at {moment.label}, and the agents are {there}; name it in `agents`"
        )
    earned = moment.result.rewards if moment.result is not None else {}
    strange = [name for name in earned if name not in there]
    if strange:
        return (
            f"{strange[0]!r} earned a reward at {moment.label}, and the agents are {there}; name it in "
            "`agents`"
        )
    return None


def _first(moments: Iterable[Moment], judge: Callable[[Moment], str | None]) -> list[str]:
    """The first fault; those after it mostly say the same."""
    return next(([found] for found in map(judge, moments) if found is not None), [])
