"""What an agent that plays says, and what it is answered: JSON, over its gateway."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from shiftwork.environments.protocol import Observation
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.errors import InvalidInput
from shiftwork.storable import check_mapping, check_text
from shiftwork.text import one_line

_MOST_ERROR: Final = 300


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(_Frozen):
    """What an agent says.

    Attributes:
        do: look at the environment again, act, or hear how the episode goes.
        action: what `step` does.
        parameters: of the action.
    """

    do: Literal["observe", "step", "stats"]
    action: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    parameters: dict[str, JsonValue] = {}

    @property
    def choice(self) -> Choice:
        """What is chosen by a `step`."""
        return Choice(action=self.action or "", parameters=self.parameters)


class Reply(_Frozen):
    """What an agent is answered.

    Attributes:
        ok: whether what it wanted was done.
        error: one sentence on why it was not.
        over: whether the episode is over.
        why: one sentence on why it is.
        steps: actions by now, those included that were refused.
        refused: how many were refused.
        reward: what the action earned, if one was taken.
        rewards: what it earned each agent, where several play.
        total_reward: the sum of all rewards.
        observation: what is perceived now; None for `stats`, and for what can't be understood.
    """

    ok: bool = True
    error: str | None = None
    over: bool = False
    why: str = ""
    steps: int = 0
    refused: int = 0
    reward: float | None = None
    rewards: dict[str, float] = {}
    total_reward: float = 0.0
    observation: Observation | None = None


def read_question(data: bytes) -> Question:
    """What an agent said.

    Raises:
        InvalidInput: it can't be understood, or can't be kept as it is.
    """
    try:
        question = Question.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, problem["loc"]))
        said = one_line(f"{where}: {problem['msg']}" if where else problem["msg"])[:_MOST_ERROR]
        raise InvalidInput(
            f"{said}; say a JSON object with 'do' (observe, step or stats), and for a step 'action' and "
            "'parameters'"
        ) from None
    if question.do != "step":
        return question
    if question.action is None:
        raise InvalidInput("a step needs 'action', the name of one of the available actions")
    check_text("The action", question.action)
    check_mapping("The parameters", question.parameters)
    return question


def outcome(step: Step) -> dict[str, object]:
    """What a reply says of the step that it answers."""
    if not step.success:
        return {"ok": False, "error": step.error}
    return {"reward": step.reward, "rewards": step.rewards}
