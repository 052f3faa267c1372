"""Starting a session's agent: its brief, its cell, its way to the model, its process."""

import asyncio
from dataclasses import dataclass

from activities.as_metered import as_the_gateway_saw
from activities.briefing import assemble_brief, for_verifier, without_secrets
from activities.conversations import ConversationCopies
from activities.credentials import learn_credentials
from activities.enclosure import Enclosure
from activities.ending import AttemptRows
from activities.folders import Folders
from activities.homes import note_attempt
from activities.metering import Meter
from activities.predecessors import Resumption
from activities.services import Services
from activities.stop import Stop
from activities.transcribe import Transcriber
from shiftwork.agents.brief import render, write_brief
from shiftwork.agents.events import AgentEvent
from shiftwork.agents.listening import OnEvent
from shiftwork.agents.prompt import session_prompt
from shiftwork.agents.protocol import AgentBackend, AgentRequest, Conversation
from shiftwork.agents.run import AgentEnd
from shiftwork.agents.spoken import Spoken
from shiftwork.contracts.activity import AgentProgress, RunRequest
from shiftwork.contracts.session import Role, SessionPhase, Spent
from shiftwork.errors import InvalidInput, SecretExposed
from shiftwork.gateway import GatewaySession, Policy
from shiftwork.planning.casting import judged
from shiftwork.sandbox.cell import Cell
from shiftwork.verification.word import Word


@dataclass(frozen=True, slots=True)
class Launched:
    """What came of an agent, what it spent, and a verifier's word."""

    end: AgentEnd
    spent: Spent
    word: Word | None = None


class AgentLaunch:
    """Runs the agent of one attempt; `problem`: what a verifier is told of its last verdict."""

    def __init__(
        self, services: Services, request: RunRequest, rows: AttemptRows, stop: Stop, *, problem: str = ""
    ) -> None:
        self._services = services
        self._problem = problem
        self._request = request
        self._rows = rows
        self._stop = stop
        self._options = rows.project.options
        self._agent = rows.agent
        self._told = ""
        self._enclosure = Enclosure(
            services,
            rows.agent,
            self._options.sandbox,
            services.user(rows.project),
            lambda: learn_credentials(services, rows.project),
        )
        self._backend: AgentBackend = self._enclosure.backend
        self._transcriber: Transcriber | None = None
        judges = request.role is Role.VERIFIER
        self._spoken = Spoken(quotes_model=self._backend.quotes_model) if judges else None

    @property
    def progress(self) -> AgentProgress:
        """How far the agent is, in figures."""
        return self._transcriber.progress if self._transcriber else AgentProgress()

    async def run(self, folders: Folders, base: str, resumption: Resumption | None) -> Launched:
        """Run it to its end, in a workspace that is ready.

        Raises:
            InvalidInput: its settings, its credentials or its program are missing or wrong.
        """
        rows = self._rows
        self._backend.check(self._agent.settings)
        self._refuse_secrets()
        await self._write_brief(folders, base, resumption)
        portable = None if self._request.role is Role.VERIFIER else self._backend.conversation_file
        copies = ConversationCopies(self._services, rows.session.id, rows.attempt, folders.home, portable)
        async with (
            Meter(self._services, rows, self._stop) as meter,
            self._enclosure.way_out(self._policy(meter, copies)) as way_out,
        ):
            try:
                end = await self._run(folders, resumption, way_out, copies)
            except SecretExposed as error:
                raise InvalidInput(str(error)) from error  # no retry helps
            end = as_the_gateway_saw(end, way_out, str(self._agent.settings.get("model") or ""))
        assert self._transcriber is not None
        spent = meter.spent if self._enclosure.provider else self._transcriber.spent
        return Launched(end, spent, self._word(end))

    def _word(self, end: AgentEnd) -> Word | None:
        """What a verifier said, now that its gateway has heard the last of it."""
        if self._spoken is None:
            return None
        return self._spoken.word(by_itself=end.by_itself, gateway=self._enclosure.provider is not None)

    def _refuse_secrets(self) -> None:  # Whoever made the project may not have known what we know.
        if name := self._services.redactor.secret_in(self._agent.settings):
            raise InvalidInput(
                f"The agent's settings hold the secret {name!r}, which would show in the list of processes: "
                "replace the project by one that names the variable in 'pass_environment'."
            )

    async def _run(
        self,
        folders: Folders,
        resumption: Resumption | None,
        way_out: GatewaySession | None,
        copies: ConversationCopies,
    ) -> AgentEnd:
        services, rows, options = self._services, self._rows, self._options
        cell = self._enclosure.cell(folders, way_out)
        request = self._agent_request(folders, cell, resumption, way_out)
        transcriber = Transcriber(services, rows, self._stop, counts=self._enclosure.provider is None)
        self._transcriber = transcriber
        if request.conversation is not None:
            # Before the start: a crash at any later moment finds it.
            await transcriber.converse(request.conversation.id)
        await asyncio.to_thread(note_attempt, folders.home, self._request.session, rows.attempt.attempt)
        async with transcriber, copies:
            return await self._enclosure.run(
                request,
                folders,
                cell,
                way_out,
                timeout=options.session_timeout,
                limits=services.limits(rows.project),
                stall_timeout=options.stall_timeout,
                on_event=copies.hearing_before(self._hearing_before(transcriber.take)),
                stop=self._stop,
                sealed=self._spoken is not None,
            )

    def _hearing_before(self, take: OnEvent) -> OnEvent:
        """The same, after a verifier's word was heard; kept or not, it binds."""
        spoken = self._spoken
        if spoken is None:
            return take

        async def hear(event: AgentEvent) -> None:
            spoken.hear(event)
            await take(event)

        return hear

    def _policy(self, meter: Meter, copies: ConversationCopies) -> Policy:
        """Who listens at the gateway, and who may stop what goes through it."""
        return Policy(
            check_budget=meter.over,
            before_question=copies.before_question,
            on_call=meter.count,
            settle=meter.settle,
            on_words=self._spoken.answer if self._spoken else None,
            label=f"{self._rows.project.name}/{self._rows.session.number}",
        )

    # What it is told --------------------------------------------------------------------------------------

    async def _write_brief(self, folders: Folders, base: str, resumption: Resumption | None) -> None:
        assembled = await assemble_brief(
            self._services,
            self._rows.project,
            self._rows.feature,
            self._request,
            attempt=self._rows.attempt.attempt,
            base=base,
            kept_in_place=bool(resumption and resumption.kept_commit),
        )
        if self._request.role is Role.VERIFIER:
            assembled = for_verifier(assembled, self._problem)
        # Rows of before the worker knew a secret, or of clients that don't know it, must not tell it.
        assembled = without_secrets(assembled, self._services.redactor)
        await asyncio.to_thread(write_brief, folders.brief, assembled.request, assembled.files)
        self._told = render(assembled.request)
        planning = self._request.role is Role.INITIALIZER
        phase = SessionPhase.PLANNING if planning else SessionPhase.IMPLEMENTATION
        if self._request.role is Role.VERIFIER:
            phase = SessionPhase.VERIFICATION
        async with self._services.store.transaction() as tx:
            await tx.sessions.phase(self._rows.project.id, self._request.session, phase)
            await tx.sessions.held_by(self._rows.project.id, self._request.session, self._enclosure.level)

    def _agent_request(
        self, folders: Folders, cell: Cell, resumption: Resumption | None, way_out: GatewaySession | None
    ) -> AgentRequest:
        chosen = None if resumption else self._backend.new_conversation()
        return AgentRequest(
            folders.workspace,
            prompt=session_prompt(
                self._told,
                workspace=cell.seen(folders.workspace),
                brief=cell.seen(folders.brief),
                outbox=cell.seen(folders.outbox),
                resumed=resumption is not None,
                intact=resumption is None or resumption.intact,
            ),
            brief=folders.brief,
            outbox=folders.outbox,
            home=folders.home,
            settings=self._agent.settings,
            conversation=resumption.conversation if resumption else Conversation(chosen) if chosen else None,
            access=self._enclosure.access(way_out),
            binds=cell.binds,
            judged=judged(self._options),
            files_lost=resumption is not None and not resumption.intact,
            guarded=self._spoken is not None,
        )
