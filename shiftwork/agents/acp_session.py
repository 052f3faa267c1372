"""Opening a session with an ACP agent: the protocol's version, the conversation, the model."""

from importlib.metadata import version

from acp import (
    PROTOCOL_VERSION,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    RequestError,
)
from acp.core import ClientSideConnection
from acp.schema import ClientCapabilities, FileSystemCapabilities, Implementation, SessionConfigOptionSelect

from shiftwork.agents.acp import BridgeRequest
from shiftwork.agents.acp_updates import Say, Updates
from shiftwork.agents.events import AgentEvent, AgentEventKind, Problem
from shiftwork.text import one_line


class Failed(Exception):  # noqa: N818 - the agent failed; the bridge says so and ends well
    """The agent can't do its work; the text is the sentence that is said of it."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem


def sentence(error: RequestError) -> str:
    """What an agent's error says; the details are often the better half."""
    details = error.data
    if isinstance(details, dict):
        details = details.get("details") or details.get("message") or details.get("error")
    said = one_line(str(error)) or "The agent reports an error"
    return f"{said}: {one_line(str(details))}" if details else said


async def open_session(
    connection: ClientSideConnection, request: BridgeRequest, updates: Updates, say: Say
) -> str:
    """Agree on the protocol and open the session that is asked for, or a new one; returns its id.

    Raises:
        Failed: the agent speaks another version, or does not offer the model.
        RequestError: it refuses.
    """
    files = FileSystemCapabilities(read_text_file=True, write_text_file=True)
    agent = await connection.initialize(
        protocol_version=PROTOCOL_VERSION,
        client_capabilities=ClientCapabilities(fs=files, terminal=True),
        client_info=Implementation(name="shiftwork", version=version("shiftwork")),
    )
    if agent.protocol_version != PROTOCOL_VERSION:
        said = f"The agent speaks version {agent.protocol_version} of the protocol, not {PROTOCOL_VERSION}."
        raise Failed(said, Problem.INVALID)
    loaded = await _load(connection, agent, request, say)
    if loaded is None:
        updates.forget()
        answer: NewSessionResponse | LoadSessionResponse = await connection.new_session(
            cwd=request.workspace, mcp_servers=[]
        )
    else:
        answer = loaded
    session = answer.session_id if isinstance(answer, NewSessionResponse) else request.conversation
    say(AgentEvent(kind=AgentEventKind.STARTED, conversation=session, model=request.model))
    updates.begin()
    if request.model:
        await _choose_model(connection, session, request.model, answer)
    return session


async def _load(
    connection: ClientSideConnection, agent: InitializeResponse, request: BridgeRequest, say: Say
) -> LoadSessionResponse | None:
    """Load the session to go on with; None if there is none, or it can't be."""
    session = request.conversation
    can = agent.agent_capabilities is not None and agent.agent_capabilities.load_session
    if not session or not can:
        return None
    try:
        return await connection.load_session(cwd=request.workspace, session_id=session, mcp_servers=[])
    except RequestError as error:
        said = f"The session {session!r} can't be gone on with ({sentence(error)}); a new one begins."
        say(AgentEvent(kind=AgentEventKind.TEXT, text=said))
        return None


async def _choose_model(
    connection: ClientSideConnection,
    session: str,
    model: str,
    answer: NewSessionResponse | LoadSessionResponse,
) -> None:
    """Choose the model that was asked for; raises `Failed` where the agent offers no choice."""
    for option in answer.config_options or ():
        if isinstance(option, SessionConfigOptionSelect) and option.category == "model":
            try:
                await connection.set_config_option(config_id=option.id, session_id=session, value=model)
            except RequestError as error:
                said = f"The agent refuses the model {model!r}: {sentence(error)}"
                raise Failed(said, Problem.INVALID) from error
            return
    said = f"The agent offers no choice of models, so {model!r} can't be chosen: configure it in the agent."
    raise Failed(said, Problem.INVALID)
