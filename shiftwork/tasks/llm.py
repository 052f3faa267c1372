"""The provider `llm`: a model answers the task's instruction, asked through the worker's gateway."""

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import Field, JsonValue, ValidationError

from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.langchain.backend import LangchainBackend
from shiftwork.agents.langchain.settings import LangchainSettings
from shiftwork.agents.prices import cost, told_model
from shiftwork.agents.protocol import Provider
from shiftwork.contracts.agent import MOST_DOLLARS, MOST_TOKENS
from shiftwork.contracts.base import Document
from shiftwork.contracts.task import TaskErrorKind, TaskUsage
from shiftwork.errors import InvalidInput, ShiftworkError
from shiftwork.gateway import Call, GatewaySession, Policy, Upstream, Wire
from shiftwork.secrets import Secret
from shiftwork.tasks.budget import RunBudget
from shiftwork.tasks.llm_wires import Asking, Question, asking
from shiftwork.tasks.processing import Assignment, Equipment, Processed
from shiftwork.text import one_line, truncate

if TYPE_CHECKING:
    import aiohttp

_TRIES: Final = 5
_FIRST_PAUSE: Final = 1.0
_MOST_BYTES: Final = 16 * 1024 * 1024
_PASSING: Final = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Statuses after which the same question may be answered a little later."""

_CLASSES: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")

_WHERE: Final = ("model", "provider", "base_url", "credential", "api_key")
"""What says where the model is: the settings of these names of the backend `langchain`."""


class LlmJob(Document):
    """The parameters of a task.

    Attributes:
        model: `provider:model`; None: the worker's `SHIFTWORK_LLM_MODEL`.
        provider, base_url, credential, api_key: as the settings of these names of the backend `langchain`.
        system: what the model is told before the instruction.
        max_tokens: how long its answer may be.
        temperature: how much it varies.
        budget_usd, budget_tokens: what the task may spend, all its attempts together.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    provider: str | None = None
    base_url: str | None = None
    credential: str | None = None
    api_key: str | None = None
    system: str = ""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    budget_usd: Annotated[float, Field(ge=0, le=MOST_DOLLARS)] | None = None
    budget_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)] | None = None

    @classmethod
    def read(cls, parameters: Mapping[str, JsonValue]) -> Self:
        """What a task says; raises `InvalidInput` naming the parameter."""
        try:
            return cls.model_validate(dict(parameters))
        except ValidationError as error:
            problem: Any = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            said = str(problem["msg"])
            if problem["type"] == "extra_forbidden":
                said = f"is not known; known are {', '.join(sorted(cls.model_fields))}"
            raise InvalidInput(f"A task of 'llm': parameter {where!r}: {said}.") from error


class _Usage:
    """What was spent on a task, by all its attempts.

    Args:
        earlier: what those before spent.
        budget: what all may spend.
        model: as it was told (see `told_model`): it says whose prices are looked at first.
    """

    def __init__(self, earlier: TaskUsage, budget: RunBudget, model: str) -> None:
        self._spent = earlier
        self._budget = budget
        self._model = model

    def count(self, call: Call) -> None:
        """Take in what the gateway saw."""
        told = call.tokens
        tokens = dict(
            zip(_CLASSES, (told.input, told.output, told.cache_read, told.cache_write), strict=True)
        )
        event = AgentEvent(kind=AgentEventKind.USAGE, model=call.model, **tokens)
        dollars = cost(event, model=self._model, asked=call.requested) or 0.0
        self._spent += TaskUsage(**tokens, calls=1, cost_usd=dollars, estimated=call.estimated)

    def spent_up(self) -> str | None:
        """A sentence if nothing more may be spent."""
        return self._budget.spent_up(self._spent)

    @property
    def overdrawn(self) -> str | None:
        """A sentence if more was spent than may be."""
        return self._budget.overdrawn(self._spent)

    def facts(self) -> dict[str, JsonValue]:
        """For the trace."""
        return self._spent.model_dump(mode="json")


class LlmError(ShiftworkError):
    """The model did not answer; the sentence says why."""


class LlmProcessor:
    """Asks a model. The key stays in the worker's gateway; what was spent is the task's usage."""

    name = "llm"
    outward = False
    """It changes nothing anywhere; which hosts it may ask, `SHIFTWORK_MODEL_HOSTS` says."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment

    async def process(self, assignment: Assignment) -> Processed:
        """Have the instruction answered.

        Raises:
            InvalidInput: there is no instruction, no model, or no key for it.
        """
        job = LlmJob.read(assignment.parameters)
        if not assignment.task.instruction.strip():
            raise InvalidInput("A task of 'llm' needs an instruction: it is what the model is asked.")
        provider, model, told = await self._model(job)
        budget = RunBudget(job.budget_usd, job.budget_tokens)
        usage = _Usage(assignment.task.usage or TaskUsage(), budget, told)
        policy = Policy(
            upstream=Upstream(
                Wire(provider.wire), provider.base_url, provider.credential or None, header=provider.header
            ),
            model_hosts=self._equipment.settings.model_hosts or (),
            check_budget=usage.spent_up,
            on_call=usage.count,
            label=f"task {assignment.task.id}",
        )
        question = Question(model, assignment.task.instruction, job.system, job.max_tokens, job.temperature)
        async with self._equipment.gateway.open(policy) as session:
            work = _Asked(session, asking(provider.wire), question, usage, assignment)
            try:
                text = await work.answer()
            except LlmError as error:
                refused = usage.spent_up() if session.budget_refusals else None
                return Processed(
                    success=False,
                    trace={"usage": usage.facts()},
                    error=refused or str(error),
                    error_kind=TaskErrorKind.BUDGET if refused else TaskErrorKind.FAILED,
                )
        over = usage.overdrawn
        return Processed(
            success=over is None,
            trace={"model": model, "usage": usage.facts()},
            error=over,
            error_kind=TaskErrorKind.BUDGET if over else None,
            result=text.encode()[: assignment.max_output_bytes].decode(errors="ignore"),
        )

    async def _model(self, job: LlmJob) -> tuple[Provider, str, str]:
        """Who answers, the model as it is called there, and as it was told."""
        given = {name: getattr(job, name) for name in _WHERE if getattr(job, name) is not None}
        given.setdefault("model", self._equipment.settings.llm_model)
        if not given["model"]:
            raise InvalidInput(
                "A task of 'llm' needs a model: give the parameter 'model' as provider:model, or set "
                "SHIFTWORK_LLM_MODEL where the worker runs."
            )
        backend = LangchainBackend()
        try:
            _, name = LangchainSettings.read(backend.name, given).chosen()
            provider = await asyncio.to_thread(backend.provider, given)
        except InvalidInput as error:
            raise InvalidInput(str(error).replace("Backend 'langchain'", "A task of 'llm'")) from error
        assert provider is not None, "there is a model, and so its provider"
        if provider.credential:
            self._equipment.redactor.learn(Secret("credential", provider.credential))
        return provider, name, told_model(given)


class _Asked:
    """One question, asked until it is answered; this alone asks again."""

    def __init__(
        self,
        session: GatewaySession,
        speaking: Asking,
        question: Question,
        usage: _Usage,
        assignment: Assignment,
    ) -> None:
        self._session = session
        self._speaking = speaking
        self._question = question
        self._usage = usage
        self._assignment = assignment
        self._deadline = time.monotonic() + assignment.timeout

    async def answer(self) -> str:
        """What the model said; raises `LlmError`."""
        import aiohttp  # noqa: PLC0415 - takes long, and the gateway's session has it loaded by now

        pause = _FIRST_PAUSE
        timeout = aiohttp.ClientTimeout(total=self._assignment.timeout)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as http:
            for number in range(1, _TRIES + 1):
                status, data = await self._once(http)
                # As it is spent: an attempt that is lost later has cost it all the same.
                await self._assignment.tell({"usage": self._usage.facts()})
                if status == 200:
                    return self._text(data)
                if status not in _PASSING or number == _TRIES:
                    raise LlmError(
                        f"The model {self._question.model!r} did not answer: {_said(status, data)}."
                    )
                await self._wait(pause, status, data)
                pause *= 2
        raise AssertionError("the last try raises")

    async def _once(self, http: "aiohttp.ClientSession") -> tuple[int, bytes]:
        import aiohttp  # noqa: PLC0415 - as above

        question, speaking = self._question, self._speaking
        headers = {**speaking.headers, "authorization": f"Bearer {self._session.token}"}
        where = f"{self._session.url}{speaking.path(question)}"
        try:
            async with http.post(where, json=speaking.body(question), headers=headers) as response:
                data = bytearray()
                async for piece in response.content.iter_chunked(65_536):
                    data += piece
                    if len(data) > _MOST_BYTES:
                        raise LlmError(f"The model's answer is larger than {_MOST_BYTES:,} bytes.")
                return response.status, bytes(data)
        except aiohttp.ClientError as error:
            return 502, json.dumps({"error": {"message": one_line(str(error))}}).encode()

    async def _wait(self, pause: float, status: int, data: bytes) -> None:
        until = self._session.limited_until
        seconds = pause if until is None else max(pause, (until - datetime.now(UTC)).total_seconds())
        if time.monotonic() + seconds > self._deadline:
            raise LlmError(
                f"The model {self._question.model!r} takes no more questions for {seconds:.0f} s, which is "
                f"longer than this task may take: {_said(status, data)}."
            )
        if until is not None:
            await self._assignment.tell({"limited_until": until.isoformat()})
        await asyncio.sleep(seconds)

    def _text(self, data: bytes) -> str:
        try:
            text = self._speaking.text(json.loads(data))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise LlmError(f"The model {self._question.model!r} gave an answer that is none.") from error
        if not text.strip():
            raise LlmError(f"The model {self._question.model!r} said nothing.")
        return text


def _said(status: int, data: bytes) -> str:
    try:
        found = json.loads(data)
        error = found.get("error", found) if isinstance(found, dict) else {}
        said = error.get("message", "") if isinstance(error, dict) else error
    except ValueError:
        said = data[:300].decode(errors="replace")
    return truncate(one_line(f"status {status} {said}"), 400).rstrip(". ")
