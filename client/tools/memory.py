"""Tools about what is remembered: progress and decisions."""

from client.tools import arguments as asks
from client.tools.call import Call
from client.tools.results import DecisionLine, Decisions, Done, Progress, Recorded
from shiftwork.secrets.refusing import refuse_in_words


async def get_project_progress_log(call: Call, asked: asks.ProgressLog) -> Progress:
    """The log of work, newest first."""
    project = await call.shiftwork.find(asked.project_id)
    # One more than is shown tells whether there are more; nobody counts the rest.
    rows = await call.manager.get_progress_log(project.id, asked.offset + asked.limit + 1)
    page = rows[asked.offset : asked.offset + asked.limit]
    shown = [Progress.entry(row) for row in page]
    rest = Progress.rest(asked.offset, len(shown), len(rows))
    if "more" in rest:
        rest["more"] = f"There are older ones; call again with offset={rest['next_offset']}."
    return Progress(entries=shown, **rest)


async def log_project_progress(call: Call, asked: asks.LogProgress) -> Done:
    """Log a step of work; with `git_commit` a checkpoint is asked for."""
    project = await call.shiftwork.find(asked.project_id)
    words = "\n".join((asked.action, asked.outcome, *(asked.files_changed or ())))
    refuse_in_words("The progress", words, await call.shiftwork.guard())
    await call.manager.log_progress(
        project.id, asked.action, asked.outcome, asked.files_changed or (), asked.git_commit
    )
    said = " A checkpoint of what is committed was asked for." if asked.git_commit else ""
    return Done(message=f"The progress is logged.{said}")


async def record_decision(call: Call, asked: asks.RecordDecision) -> Recorded:
    """Remember a choice, for the briefs of later sessions."""
    project = await call.shiftwork.find(asked.project_id)
    words = "\n".join((asked.context, asked.decision, asked.reasoning, *(asked.tags or ())))
    refuse_in_words("The decision", words, await call.shiftwork.guard())
    row = await call.manager.record_decision(
        project.id, asked.context, asked.decision, asked.reasoning, asked.tags or ()
    )
    return Recorded(
        message="The decision is recorded; say later what became of it with add_decision_feedback.",
        decision_id=row.id,
    )


async def get_relevant_decisions(call: Call, asked: asks.RelevantDecisions) -> Decisions:
    """The decisions that matter for what is asked."""
    project = await call.shiftwork.find(asked.project_id)
    rows = await call.manager.get_relevant_decisions(project.id, asked.tags or (), asked.limit, asked.text)
    return Decisions(decisions=[DecisionLine.of(row) for row in rows])


async def add_decision_feedback(call: Call, asked: asks.DecisionFeedback) -> Done:
    """Say what became of a decision."""
    await call.shiftwork.feedback(asked.decision_id, asked.outcome, score=asked.score, lesson=asked.lesson)
    return Done(message=f"Decision {asked.decision_id} is judged; the briefs of later sessions tell it.")
