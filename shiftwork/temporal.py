"""The one place where the domain meets Temporal: names, search attributes, the plugin, the connection."""

import asyncio
import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import SchemaSerializer
from pydantic_core.core_schema import any_schema
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.exceptions import ApplicationError
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError
from temporalio.worker import (
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from shiftwork.codec.agreement import agree
from shiftwork.codec.choose import choose_codec
from shiftwork.codec.known import Tell
from shiftwork.codec.payloads import EncryptionCodec
from shiftwork.errors import Conflict, InvalidInput, NotFound, StackError
from shiftwork.settings import Settings
from shiftwork.stack.file import require_stack, temporal_is_external

TASK_QUEUE = "shiftwork"
"""Workflows and light activities."""

PROCESS_QUEUE = "shiftwork-processes"
"""Activities that run processes, agents and verification; and the workflows of tasks that are run by hand."""

PROJECT_WORKFLOW = "ProjectWorkflow"
SESSION_WORKFLOW = "SessionWorkflow"
TASK_WORKFLOW = "TaskWorkflow"
EPISODE_WORKFLOW = "EpisodeWorkflow"
EVALUATION_WORKFLOW = "EvaluationWorkflow"
SCHEDULED_RUN_WORKFLOW = "ScheduledRunWorkflow"
MAINTENANCE_WORKFLOW = "MaintenanceWorkflow"

PROJECT = SearchAttributeKey.for_keyword("ShiftworkProject")
STATUS = SearchAttributeKey.for_keyword("ShiftworkStatus")
FEATURES_TOTAL = SearchAttributeKey.for_int("ShiftworkFeaturesTotal")
FEATURES_PASSING = SearchAttributeKey.for_int("ShiftworkFeaturesPassing")
PROGRESS = SearchAttributeKey.for_float("ShiftworkProgress")
"""Features that pass, in percent."""
FEATURE = SearchAttributeKey.for_keyword("ShiftworkFeature")
ROLE = SearchAttributeKey.for_keyword("ShiftworkRole")
AGENT = SearchAttributeKey.for_keyword("ShiftworkAgent")

SEARCH_ATTRIBUTES: tuple[SearchAttributeKey[Any], ...] = (
    *(PROJECT, STATUS, FEATURES_TOTAL, FEATURES_PASSING, PROGRESS),
    *(FEATURE, ROLE, AGENT),
)
"""Every search attribute that a workflow of ours may set; nothing else is registered."""

_CONNECT_SECONDS = 10.0

_PASSTHROUGH = (
    # Our own modules are pure on import, and costly to import again for every workflow.
    "shiftwork",
    # Workflows import activities for typed method references alone; they never run in the sandbox.
    "activities",
    # Compiled or cached by identity: a second copy in the sandbox would not accept the first one's models.
    "pydantic",
    "pydantic_core",
    "annotated_types",
)


def project_workflow_id(project_id: str) -> str:
    """The workflow id of a project."""
    return f"project-{project_id}"


def session_workflow_id(project_id: str, number: int) -> str:
    """The workflow id of a project's session; session 0 is planning."""
    return f"project-{project_id}-session-{number}"


def task_workflow_id(task_id: int, agent_id: int | None) -> str:
    """The workflow id of a task: its agent's, so that an agent has one run at a time, or its own."""
    return f"task-{task_id}" if agent_id is None else f"agent-{agent_id}"


def episode_workflow_id(episode_id: int) -> str:
    """The workflow id of an episode."""
    return f"episode-{episode_id}"


def evaluation_workflow_id(evaluation_id: int) -> str:
    """The workflow id of an evaluation."""
    return f"evaluation-{evaluation_id}"


def place_queue(place: str) -> str:
    """The task queue of whoever works in one state folder; see `shiftwork.stack.place`."""
    return f"shiftwork-place-{place}"


def search_attribute_types() -> Mapping[str, str]:
    """Name and type of each search attribute, spelled as Temporal's tools do: `Keyword`, `Int`, `Double`."""
    return {key.name: key.indexed_value_type.name.title().replace("_", "") for key in SEARCH_ATTRIBUTES}


class _CompactJSON(PydanticJSONPlainPayloadConverter):
    """JSON without the fields that have their default, which the reader's model puts back.

    Defaults, not unset fields, are left out: a list that was changed in place still counts as unset.
    """

    def __init__(self) -> None:
        super().__init__()
        self._serializer = SchemaSerializer(any_schema())

    def to_payload(self, value: Any) -> Payload:
        data = self._serializer.to_json(value, exclude_defaults=True)
        return Payload(metadata={"encoding": self.encoding.encode()}, data=data)


class CompactPayloadConverter(CompositePayloadConverter):
    """Temporal's converters, with pydantic models as compact JSON."""

    def __init__(self) -> None:
        """Put ours in the place of the plain JSON one."""
        super().__init__(
            *(
                _CompactJSON() if isinstance(converter, JSONPlainPayloadConverter) else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


class _FittingMessages(WorkflowInboundInterceptor):
    """A message with too few or too many arguments would stop its workflow for good: it is refused instead.

    Temporal's own tools let people send such ones, and nobody can take a message back.
    """

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002 - the SDK's name
        """Drop a signal that does not fit: nobody waits for an answer to it."""
        if not _fits(input.signal, input.args):
            workflow.logger.warning("signal %s with %d arguments dropped", input.signal, len(input.args))
            return
        await super().handle_signal(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002
        """Refuse an update that does not fit before it is accepted."""
        _check_arguments(input)
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002
        """Refuse one that has no validator."""
        _check_arguments(input)
        return await super().handle_update_handler(input)


def _check_arguments(update: HandleUpdateInput) -> None:
    if not _fits(update.update, update.args):
        raise ApplicationError(
            f"update {update.update} takes one argument, a JSON object; it was given {len(update.args)}.",
            type=InvalidInput.__name__,
            non_retryable=True,
        )


def _fits(name: str, arguments: Sequence[Any]) -> bool:
    """Whether the method that handles these messages, which has their name, takes so many arguments."""
    handler = getattr(workflow.instance(), name)
    try:
        inspect.signature(handler).bind(*arguments)
    except TypeError:
        return False
    return True


class _WorkflowInterceptors(Interceptor):
    """What stands between the SDK and our workflows."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor]:
        """The one there is."""
        del input
        return _FittingMessages


def plugin(codec: EncryptionCodec | None = None) -> SimplePlugin:
    """What clients, workers and replayers have in common; a worker takes it over from its client.

    Args:
        codec: what encrypts payloads and failures; None: they stay as they are.
    """
    return SimplePlugin(
        "shiftwork",
        data_converter=_data_converter(codec),
        workflow_runner=_with_passthrough,
        interceptors=[_WorkflowInterceptors()],
        # What a person got wrong fails that person's update; anything else is a mistake of ours, and the
        # workflow waits for a worker that has it mended.
        workflow_failure_exception_types=[InvalidInput, NotFound, Conflict],
    )


def _data_converter(codec: EncryptionCodec | None) -> DataConverter:
    encodes = codec is not None and codec.encodes
    return DataConverter(
        payload_converter_class=CompactPayloadConverter,
        payload_codec=codec,
        # A failure's message and traceback are no payload: they are made one, so that they are encoded too.
        failure_converter_class=(
            DefaultFailureConverterWithEncodedAttributes if encodes else DefaultFailureConverter
        ),
    )


async def connect(settings: Settings, *, tell: Tell | None = None) -> Client:
    """Connect to the server that Temporal's environment configuration names, else to the running stack.

    Args:
        tell: learns the codec's keys, now and whenever they change.

    Raises:
        StackError: there is none, or it can't be reached.
        InvalidInput: the environment configuration is wrong, or the stack encrypts otherwise (see `agree`).
    """
    config = _connection(settings)
    target = config["target_host"]
    await agree(settings)
    codec = choose_codec(settings, tell=tell)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await Client.connect(**config, plugins=[plugin(codec)])
    # The SDK says RuntimeError where the connection is refused.
    except (RuntimeError, RPCError, TimeoutError, OSError) as error:
        raise StackError(_unreachable(settings, target)) from error


def _connection(settings: Settings) -> ClientConnectConfig:
    if not temporal_is_external():
        stack = require_stack(settings)
        if stack.temporal_address is None:
            raise StackError(
                f"The stack in {settings.state} uses an external Temporal server: "
                "set TEMPORAL_ADDRESS here as it was set for it."
            )
        return ClientConnectConfig(target_host=stack.temporal_address, namespace=stack.namespace)
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        raise InvalidInput(f"Temporal's environment configuration is wrong: {error}.") from error
    config.setdefault("target_host", "localhost:7233")
    config.setdefault("namespace", settings.namespace)
    return config


def _unreachable(settings: Settings, target: str) -> str:
    if temporal_is_external():
        return f"Temporal does not answer at {target}: check TEMPORAL_ADDRESS or the profile that names it."
    return f"Temporal does not answer at {target}: start the stack in {settings.state} with `shiftwork dev`."


def _with_passthrough(runner: WorkflowRunner | None) -> WorkflowRunner:
    if runner is None:
        runner = SandboxedWorkflowRunner()
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner  # somebody debugs without a sandbox
    restrictions = runner.restrictions.with_passthrough_modules(*_PASSTHROUGH)
    return dataclasses.replace(runner, restrictions=restrictions)


def agent_attributes(name: str) -> TypedSearchAttributes:
    """What the Web UI can find a task by."""
    return TypedSearchAttributes([SearchAttributePair(AGENT, name)])


def project_attributes(name: str, status: str, passing: int, total: int) -> TypedSearchAttributes:
    """What a project is found by in Temporal's tools."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(PROJECT, name),
            SearchAttributePair(STATUS, status),
            SearchAttributePair(FEATURES_PASSING, passing),
            SearchAttributePair(FEATURES_TOTAL, total),
            SearchAttributePair(PROGRESS, round(100 * passing / total, 1) if total else 0.0),
        ]
    )


def session_attributes(project: str, feature: str, role: str) -> TypedSearchAttributes:
    """What a session is found by in Temporal's tools."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(PROJECT, project),
            SearchAttributePair(FEATURE, feature),
            SearchAttributePair(ROLE, role),
        ]
    )
