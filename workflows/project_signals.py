"""What people may say to a running project without an answer: signals."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from shiftwork.contracts.bookkeeping import SecretsRequest
    from shiftwork.contracts.messages import AbandonRequest, PauseRequest, ResumeRequest, SteerRequest
    from shiftwork.contracts.project import AgentPlace, ProjectStatus
    from shiftwork.contracts.session import InterruptionReason
    from shiftwork.contracts.state import Streak
    from shiftwork.planning.mending import with_settings
    from shiftwork.planning.outcome import pause
    from shiftwork.planning.resting import go_on
    from shiftwork.text import truncate
    from workflows.project_control import ProjectControl


class ProjectSignals(ProjectControl):
    """The handlers of signals. They wait until the project is loaded; what can't be heeded is told."""

    @workflow.signal(description="Pause after the running sessions, or at once with their work kept.")
    async def pause(self, request: PauseRequest | str = "") -> None:
        """Pause; a plain string is the reason. Without one, a pause that there is keeps its own."""
        await self._ready()
        asked = PauseRequest(reason=_said(request)) if isinstance(request, str) else request
        if self._state.status in (ProjectStatus.ABANDONED, ProjectStatus.COMPLETED):
            return
        kept = self._state.reason if self._state.status is ProjectStatus.PAUSED else ""
        pause(self._state, asked.reason or kept or "paused by a person")
        self._ledger.event("paused", actor=asked.actor, reason=self._state.reason, mode=asked.mode)
        self._changed = True
        if asked.mode == "at_once":
            await self._interrupt(InterruptionReason.PAUSED)

    @workflow.signal(description="Go on after a pause.")
    async def resume(self, request: ResumeRequest | None = None) -> None:
        """Go on; counts of sessions and of identical failures begin anew.

        A project that is not paused but waits for its model's provider waits no longer. Other settings make
        another agent: nobody rests any more.
        """
        await self._ready()
        asked = request or ResumeRequest()
        problem = await self._unfit(asked.agent_settings, asked) if asked.agent_settings else ""
        state = self._state
        if state.status in (ProjectStatus.ABANDONED, ProjectStatus.COMPLETED):
            return
        if problem:
            self._not_taken(f"other settings were not taken: {problem}", asked.actor)
            return
        go_on(state, at_once=bool(asked.agent_settings) or state.status is not ProjectStatus.PAUSED)
        changes = {k: v for k in ("max_sessions", "autorun") if (v := getattr(asked, k)) is not None}
        state.options = with_settings(state.options, asked.agent_settings, asked).model_copy(update=changes)
        state.status, state.reason = ProjectStatus.ACTIVE, ""
        state.sessions_since_resume, state.plan_attempts, state.streak = 0, 0, Streak()
        self._ledger.note(options=bool(changes or asked.agent_settings))
        told = {"agent_settings", *AgentPlace.model_fields}
        facts = asked.model_dump(mode="json", include=told, exclude_defaults=True)
        self._ledger.event("resumed", actor=asked.actor, **changes, **facts)
        self._look_for_people = self._changed = True

    @workflow.signal(description="End the project for good; the reason is kept and shown.")
    async def abandon(self, request: AbandonRequest | str = "") -> None:
        """Abandon; a plain string is the reason."""
        await self._ready()
        await self._abandon(AbandonRequest(reason=_said(request)) if isinstance(request, str) else request)

    @workflow.signal(description="Guidance for the sessions to come.")
    async def steer(self, request: SteerRequest | str) -> None:
        """Guidance; a plain string is for all features."""
        await self._ready()
        if isinstance(request, str) and not _said(request):
            return  # a signal can't be refused, and nothing was said
        asked = SteerRequest(text=_said(request)) if isinstance(request, str) else request
        if problem := await self._secret_in(SecretsRequest(what="The guidance", words=asked.text)):
            self._not_taken(f"guidance was not taken: {problem}", asked.actor)
            return
        feature = next((f for f in self._state.features if asked.feature in (f.name, str(f.id))), None)
        reference = f"feature:{feature.id}" if feature else ""
        facts = {"feature": feature.name} if feature else {}
        self._ledger.event("steer", actor=asked.actor, reference=reference, text=asked.text, **facts)
        self._changed = True


def _said(text: str) -> str:
    """A plain string as our models take it: a signal that they refuse would stop the workflow."""
    return truncate(text.strip(), 10_000)
