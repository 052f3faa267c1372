"""The initializer's tools: a plan in parts, each checked when it comes, and as a whole at the end."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from langchain_core.tools import BaseTool
from langchain_core.utils.json_schema import dereference_refs
from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from shiftwork.agents.langchain.program.leaving import Leaving
from shiftwork.agents.langchain.program.tools import make_tool, sentences
from shiftwork.agents.outbox import FILE_LIMIT
from shiftwork.contracts.feature import FeatureCategory, FeatureSpec
from shiftwork.contracts.plan import (
    MANY_FEATURES,
    Plan,
    SetupCommand,
    is_small,
    without_edge_cases,
)
from shiftwork.errors import InvalidInput
from shiftwork.planning.graph import check_dependencies
from shiftwork.verification.flaws import flaw, unreadable

PLAN_FILE: Final = "plan.json"

_MOST_FEATURES = 1000
_TOLD_PROBLEMS = 40


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = dict(dereference_refs(model.model_json_schema()))
    schema.pop("$defs", None)
    return schema


class PlannedFeature(FeatureSpec):
    """A feature of a plan: its kind, which decides who builds it, and its place in the order are given."""

    category: FeatureCategory
    priority: Annotated[int, Field(ge=1, le=10)]


class PlanPart(BaseModel):
    """Shows the model what is wanted, and takes anything: what is wrong is told in our own sentences."""

    features: Annotated[
        list[Any],
        WithJsonSchema({"type": "array", "items": _schema(PlannedFeature)}),
        Field(description="Features, each with its verification steps."),
    ]
    setup: Annotated[
        list[Any],
        WithJsonSchema({"type": "array", "items": _schema(SetupCommand)}),
        Field(description="Commands that prepare a checkout, if any are needed."),
    ] = []


class _Names(BaseModel):
    names: Annotated[list[str], Field(description="Names of features to take out of the plan.")]


class _Nothing(BaseModel):
    pass


class PlanDesk:
    """The plan so far; `judged`: whether a verifier judges steps without a command."""

    def __init__(self, leaving: Leaving, *, judged: bool, spec: str) -> None:
        self._leaving = leaving
        self._judged = judged
        self._spec = spec

    def tools(self) -> list[BaseTool]:
        """What the initializer plans with."""
        return [
            make_tool(
                self.add_features,
                PlanPart,
                "Add features to the plan, some ten at a time. One with a name that is there replaces that "
                "one. What is wrong is told, and not added.",
            ),
            make_tool(self.remove_features, _Names, "Take features out of the plan."),
            make_tool(
                self.finish_plan,
                _Nothing,
                "Check the plan as a whole and leave it. If something is wrong, mend that and call again.",
            ),
            make_tool(
                self.submit_plan,
                PlanPart,
                "Leave a whole plan at once, in the place of all that was added; only for small ones.",
            ),
        ]

    # Tools -------------------------------------------------------------------------------------------

    def add_features(self, features: list[Any], setup: Sequence[Any] = ()) -> str:
        """Take in the good ones; tell what is wrong with the others."""
        draft = self._draft()
        problems = list(self._take(draft, features, setup))
        self._keep(draft)
        total = len(draft["features"])
        return _report(problems) or f"{len(features)} features taken in; the plan has {total}."

    def remove_features(self, names: list[str]) -> str:
        """Take some out."""
        draft = self._draft()
        unknown = [name for name in names if draft["features"].pop(name, None) is None]
        self._keep(draft)
        problems = [f"there is no feature {name!r}" for name in unknown]
        return _report(problems) or f"Done; the plan has {len(draft['features'])} features."

    def finish_plan(self) -> str:
        """Leave the plan, if it is right."""
        draft = self._draft()
        if problems := list(self._problems(draft)):
            return _report(problems)
        if warning := self._warning(draft):
            return warning
        self._leaving.leave(PLAN_FILE, _document(draft))
        return "The plan is right, and left. Hand over."

    def submit_plan(self, features: list[Any], setup: Sequence[Any] = ()) -> str:
        """Leave a whole plan, if it is right."""
        draft = self._draft() | {"features": {}, "setup": []}
        problems = list(self._take(draft, features, setup))
        self._keep(draft)
        return _report(problems) or self.finish_plan()

    def take_words(self, said: str) -> str:
        """Take in what an answer in prose has of a plan; what is said of that, '' if it has none."""
        if self._leaving.left(PLAN_FILE) or (part := _part_in(said)) is None:
            return ""
        draft = self._draft()
        problems = list(self._take(draft, part.features, part.setup))
        self._keep(draft)
        return _report(problems) or self.finish_plan()

    # Within ------------------------------------------------------------------------------------------

    def _draft(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"features": {}, "setup": [], "questioned": []}
        return {**empty, **self._leaving.memory.drafts.get("plan", {})}

    def _keep(self, draft: dict[str, Any]) -> None:
        self._leaving.memory.drafts["plan"] = draft
        self._leaving.memory.save()

    def _take(self, draft: dict[str, Any], features: Sequence[Any], setup: Sequence[Any]) -> Iterator[str]:
        named: set[str] = set()
        for number, given in enumerate(features, start=1):
            try:
                feature = PlannedFeature.model_validate(given)
            except ValidationError as error:
                yield from (f"{_called(given, number)}: {sentence}" for sentence in sentences(error))
                continue
            if feature.name in named:
                yield f"two features are named {feature.name!r}; give each its own name"
                continue
            named.add(feature.name)
            if problem := self._unverifiable(feature):
                yield problem
                continue
            draft["features"][feature.name] = feature.model_dump(mode="json", exclude_unset=True)
        yield from _take_setup(draft, setup)

    def _unverifiable(self, feature: FeatureSpec) -> str | None:
        if not feature.verification_steps:
            return f"feature {feature.name!r} has no verification steps; say how it is checked"
        for number, step in enumerate(feature.verification_steps, start=1):
            if step.command is None and not self._judged:
                return (
                    f"feature {feature.name!r}, step {number} has no command, and nobody is there to judge "
                    "it; give a command that fails while the feature is missing"
                )
        return flaw(feature)

    def _problems(self, draft: dict[str, Any]) -> Iterator[str]:
        features: dict[str, Any] = draft["features"]
        if not features:
            yield "the plan has no features; add them with `add_features`"
            return
        if len(features) > _MOST_FEATURES:
            yield f"the plan has {len(features)} features; {_MOST_FEATURES} are the most: join small ones"
            return
        unknown = [
            f"feature {name!r} depends on {other!r}, which is not in the plan"
            for name, feature in features.items()
            for other in feature.get("depends_on", ())
            if other not in features
        ]
        yield from unknown
        if not unknown:
            yield from _circle(features)
        size = len(json.dumps(_document(draft), indent=2).encode())
        if size > FILE_LIMIT:
            yield f"the plan has {size:,} bytes; at most {FILE_LIMIT:,} are read: shorten its texts and files"

    def _warning(self, draft: dict[str, Any]) -> str | None:
        """What is asked of a plan that is not as plans are: once of each."""
        doubts = {kind: text for kind, text in self._doubts(draft) if kind not in draft["questioned"]}
        if not doubts:
            return None
        self._keep(draft | {"questioned": [*draft["questioned"], *doubts]})
        return "\n".join([*doubts.values(), "If it is as it should be, call `finish_plan` again."])

    def _doubts(self, draft: dict[str, Any]) -> Iterator[tuple[str, str]]:
        features: dict[str, Any] = draft["features"]
        count, length = len(features), len(self._spec)
        if is_small(count, self._spec):
            some = "1 feature is" if count == 1 else f"{count} features are"
            few = f"{some} few for a specification of {length:,} characters. Read it again,"
            yield "few", f"{few} sentence by sentence, and add what is missing."
        if count > MANY_FEATURES:
            many = f"{count} features are many; plans have {MANY_FEATURES} at most. Join those that are built"
            yield "many", f"{many} in one sitting: `remove_features` takes some out."
        steps = {name: len(feature.get("verification_steps", ())) for name, feature in features.items()}
        if plain := without_edge_cases(steps, self._spec):
            named = ", ".join(map(repr, plain[:_TOLD_PROBLEMS]))
            once = f"{len(plain)} features have a single verification step: {named}. Give each an edge case"
            yield "plain", f"{once} or a wrong input, as a step of its own."


_FENCED = re.compile(r"^```\w*[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _part_in(said: str) -> PlanPart | None:
    """The first JSON in a text, or in a fenced block of it, that has the form of a plan."""
    for text in (said, *_FENCED.findall(said)):
        try:
            return PlanPart.model_validate_json(text)
        except ValidationError:
            continue
    return None


def _take_setup(draft: dict[str, Any], setup: Sequence[Any]) -> Iterator[str]:
    for number, given in enumerate(setup, start=1):
        try:
            command = SetupCommand.model_validate({"run": given} if isinstance(given, str) else given)
        except ValidationError as error:
            yield from (f"setup {number}: {sentence}" for sentence in sentences(error))
            continue
        if problem := unreadable(command.run):
            yield f"setup {number}: {problem}"
            continue
        plain = command.model_dump(mode="json", exclude_unset=True)
        if plain not in draft["setup"]:
            draft["setup"].append(plain)


def _circle(features: dict[str, Any]) -> Iterator[str]:
    try:
        check_dependencies({name: feature.get("depends_on", ()) for name, feature in features.items()})
    except InvalidInput as error:
        yield str(error)


def _document(draft: dict[str, Any]) -> dict[str, Any]:
    plan = Plan.model_validate({"features": list(draft["features"].values()), "setup": draft["setup"]})
    return plan.model_dump(mode="json", exclude_unset=True)


def _called(given: Any, number: int) -> str:
    name = given.get("name") if isinstance(given, dict) else None
    return f"feature {name!r}" if isinstance(name, str) and name else f"feature {number} of this call"


def _report(problems: Sequence[str]) -> str:
    if not problems:
        return ""
    lines = [f"- {problem}" for problem in problems[:_TOLD_PROBLEMS]]
    more = [f"- and {len(problems) - _TOLD_PROBLEMS} more"] if len(problems) > _TOLD_PROBLEMS else []
    return "\n".join(["Not right yet. What follows was not taken in:", *lines, *more])
