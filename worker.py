"""The composition root of a worker: settings → services → activity objects → Temporal workers."""

import gc

if __name__ == "__main__":
    gc.disable()  # what is imported stays: looking through it again and again took a quarter of each start

import asyncio
import logging
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import (
    FixedSizeSlotSupplier,
    Worker,
    WorkerTuner,
)

from activities.agent_tasks import AgentProcessor
from activities.at_hand import RunsAtHand
from activities.bookkeeping import BookkeepingActivities
from activities.credentials import learn_open_projects
from activities.episodes import EpisodeActivities
from activities.fingerprints import FingerprintPublisher
from activities.left_projects import LeftProjects
from activities.maintenance import MaintenanceActivities
from activities.notices import telling_of_ends, webhook_of
from activities.orphans import WorkerRecord
from activities.patience import patiently
from activities.processors import Processors
from activities.projects import ProjectActivities
from activities.runs_here import RunsHere
from activities.schedules import ScheduleActivities
from activities.seats import seats
from activities.services import Services
from activities.sessions import SessionActivities
from activities.slots import ProcessSlots, process_slots
from activities.tasks import TaskActivities
from client.api import Shiftwork
from client.maintenance import schedule_maintenance
from client.tokens import api_token
from shiftwork.agents.python.runner import PythonRunner
from shiftwork.agents.registry import backends
from shiftwork.codec.sealing import Seal
from shiftwork.errors import ShiftworkError, StackError
from shiftwork.gateway import Egress, Gateway
from shiftwork.ownership import check_ownership
from shiftwork.runner.leftovers import sweep_orphans
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.secrets import LazyRedactor, Secret, passwords, protect_handler
from shiftwork.settings import Settings
from shiftwork.stack.file import database_url, has_own_database
from shiftwork.stack.place import place_of, with_place
from shiftwork.stack.private import deny_others_writing
from shiftwork.stack.serving import serve_on
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store
from shiftwork.tasks.processing import Equipment
from shiftwork.tasks.registry import make_processors
from shiftwork.temporal import PROCESS_QUEUE, TASK_QUEUE, connect, place_queue
from shiftwork.text import one_line, truncate
from workflows.build import build_id
from workflows.episode import EpisodeWorkflow
from workflows.evaluation import EvaluationWorkflow
from workflows.maintenance import MaintenanceWorkflow
from workflows.project import ProjectWorkflow
from workflows.scheduled import ScheduledRunWorkflow
from workflows.session import SessionWorkflow
from workflows.task import TaskWorkflow

_MOST_SHOWN = 300
_WORKFLOWS = 100
"""Steps of tasks' workflows that are taken at once, which are short."""

log = logging.getLogger("shiftwork.worker")


@dataclass(frozen=True, slots=True)
class _Work:
    """What several of a process's workers share."""

    slots: ProcessSlots
    tasks: TaskActivities
    at_hand: RunsAtHand
    episodes: EpisodeActivities
    maintenance: MaintenanceActivities


def workers(client: Client, services: Services, python: PythonRunner, here: RunsHere) -> tuple[Worker, ...]:
    """The workers of one process: workflows and light activities, processes, its own runs, its own folder."""
    slots = process_slots(client, services.settings, PROCESS_QUEUE)
    tasks = TaskActivities(services, _processors(services, python), here)
    at_hand = RunsAtHand(
        tasks,
        here,
        services.record,
        room=slots.place,
        queue=f"{PROCESS_QUEUE}-{uuid.uuid4().hex}",
        step=services.settings.timings.workflow_task,
    )
    episodes, maintenance = EpisodeActivities(services, seats()), MaintenanceActivities(services)
    work = _Work(slots, tasks, at_hand, episodes, maintenance)
    return (
        _light_worker(client, services, work),
        _process_worker(client, services, work),
        _attending_worker(client, services, at_hand),
        _clearing_worker(client, services, maintenance),
    )


def _light_worker(client: Client, services: Services, work: _Work) -> Worker:
    """Workflows, and activities that write rows."""
    bookkeeping, schedules = BookkeepingActivities(services), ScheduleActivities(services)
    timings = services.settings.timings
    return Worker(
        client,
        build_id=build_id(),
        task_queue=TASK_QUEUE,
        workflows=[
            ProjectWorkflow,
            SessionWorkflow,
            TaskWorkflow,
            ScheduledRunWorkflow,
            MaintenanceWorkflow,
            EpisodeWorkflow,
            EvaluationWorkflow,
        ],
        identity=with_place(client.identity, place_of(services.settings.state)),
        activities=[
            bookkeeping.integrate,
            bookkeeping.record,
            bookkeeping.save,
            bookkeeping.adopt_plan,
            bookkeeping.add_feature,
            bookkeeping.decision_feedback,
            bookkeeping.look_for_people,
            bookkeeping.look_for_secrets,
            bookkeeping.tidy,
            bookkeeping.checkpoint,
            work.tasks.give_up_task,
            work.episodes.give_up_episode,
            work.episodes.move_evaluation,
            schedules.make_task,
            schedules.drop_task,
            work.maintenance.remove_handoffs,
            work.maintenance.remove_transcripts,
            work.maintenance.remove_requests,
            work.maintenance.end_lost_tasks,
            work.maintenance.end_lost_evaluations,
            work.maintenance.begin_left_projects,
            work.maintenance.find_places,
        ],
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=timings.sticky_queue),
        graceful_shutdown_timeout=timedelta(seconds=timings.graceful_shutdown),
    )


def _process_worker(client: Client, services: Services, work: _Work) -> Worker:
    """Whatever runs processes: as much of it as the host has room for.

    The workflows of tasks are here, too: where there is room, Temporal hands a run over as it is asked for,
    without putting it into a queue.
    """
    sessions, projects = SessionActivities(services), ProjectActivities(services)
    return Worker(
        client,
        build_id=build_id(),
        task_queue=PROCESS_QUEUE,
        workflows=[TaskWorkflow],
        activities=[
            work.tasks.give_up_task,
            sessions.run_agent,
            sessions.verify,
            sessions.judge,
            projects.load_project,
            projects.import_people,
            projects.revert,
            work.tasks.run_task,
            work.at_hand.run_at_hand,
            work.episodes.play_episode,
        ],
        tuner=_tuner(work.slots),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=services.settings.timings.sticky_queue),
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        default_heartbeat_throttle_interval=timedelta(seconds=1),
        graceful_shutdown_timeout=timedelta(seconds=services.settings.timings.graceful_shutdown),
    )


def _attending_worker(client: Client, services: Services, at_hand: RunsAtHand) -> Worker:
    """What goes on in this process after the step of the workflow that began it."""
    return Worker(
        client,
        build_id=build_id(),
        task_queue=at_hand.queue,
        activities=[at_hand.attend_task],
        # What begins in this process is limited by its slots; what waits here would be taken for lost.
        max_concurrent_activities=max(_WORKFLOWS, 2 * services.settings.process_slots),
        max_concurrent_activity_task_polls=2,
        max_heartbeat_throttle_interval=timedelta(seconds=1),
        default_heartbeat_throttle_interval=timedelta(seconds=1),
        graceful_shutdown_timeout=timedelta(seconds=services.settings.timings.graceful_shutdown),
    )


def _clearing_worker(client: Client, services: Services, maintenance: MaintenanceActivities) -> Worker:
    """What clears this state folder, which others can't reach."""
    return Worker(
        client,
        build_id=build_id(),
        task_queue=place_queue(place_of(services.settings.state)),
        activities=[
            maintenance.clear_task_folders,
            maintenance.clear_project_folders,
            maintenance.clear_references,
        ],
        max_concurrent_activities=1,
        max_concurrent_activity_task_polls=1,
        graceful_shutdown_timeout=timedelta(seconds=services.settings.timings.graceful_shutdown),
    )


def _processors(services: Services, python: PythonRunner) -> Processors:
    """Every provider's: that of registered agents, and the plug-ins."""
    settings = services.settings
    equipment = Equipment(settings, services.gateway, services.redactor)
    every = (AgentProcessor(services, python), *make_processors(equipment))
    outward = frozenset(settings.outward_providers or ())
    return Processors({processor.name: processor for processor in every}, outward)


async def reconcile_schedules(settings: Settings, client: Client) -> None:
    """Have the schedules be as settings and registered agents say; whoever changes an agent does that too."""
    try:
        await schedule_maintenance(client, settings)
        async with Shiftwork(settings) as shiftwork:
            await shiftwork.reconcile_schedules()
    except ShiftworkError as error:
        log.warning("the schedules could not be looked at: %s", error)


async def begin_left_projects(services: Services, client: Client) -> None:
    """Start the projects whose maker ended before it could; the maintenance does that, too."""
    try:
        if begun := await LeftProjects(services.store, client, services.settings).begin_all():
            log.info("began %d projects whose makers had ended before that", begun)
    except (ShiftworkError, RPCError) as error:
        log.warning("projects that are left could not be begun: %s", error)


def _tuner(slots: ProcessSlots) -> WorkerTuner:
    """Slots for processes while this host has room for another."""
    return WorkerTuner.create_composite(
        workflow_supplier=FixedSizeSlotSupplier(_WORKFLOWS),
        activity_supplier=slots,
        local_activity_supplier=FixedSizeSlotSupplier(_WORKFLOWS),
        nexus_supplier=FixedSizeSlotSupplier(1),
    )


@asynccontextmanager
async def taking_work(worker: Worker) -> AsyncIterator[None]:
    """A worker that runs within; raises `StackError` if Temporal goes away before it has let it in."""
    try:
        async with worker:
            yield
    except RuntimeError as error:  # which is all that the SDK says of it
        if not str(error).startswith("Worker validation failed"):
            raise
        why = truncate(one_line(str(error)), _MOST_SHOWN)
        raise StackError(f"Temporal did not let the worker in: {why}; try again.") from error


def _warn_of_weak_secrets(redactor: LazyRedactor) -> None:
    if weak := redactor.redactor.unprotected:
        log.warning(
            "not kept out of what is stored, as they are too short or too ordinary to be told from other "
            "words: %s; choose longer ones",
            ", ".join(weak),
        )


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    redactor: LazyRedactor,
    *,
    egress: Egress | None = None,
    reached: asyncio.Event | None = None,
) -> None:
    """Run a worker until `stop` is set; agents at work then leave a snapshot and give their task back.

    Args:
        egress: how listed hosts are found and connected to; None: by the system's resolver, over TCP.
        reached: is set once the database has answered.
    """
    url = database_url(settings)
    # Servers that are just coming back are waited for; a supervisor would only start us again.
    await patiently(lambda: migrate(url))
    if reached is not None:
        reached.set()
    async with AsyncExitStack() as stack:
        redactor.learn(*passwords([url]), Secret("rest-api-token", api_token(settings)[1]))
        store = await stack.enter_async_context(
            Store(url, redact=redactor, own_server=has_own_database(settings))
        )
        record = stack.enter_context(WorkerRecord(settings.state))
        gateway = await stack.enter_async_context(Gateway(egress))
        sandbox = choose_sandbox(settings.sandbox_minimum)
        services = Services(
            settings, store, sandbox, backends(), record, gateway, redactor, seal=Seal.of(settings)
        )
        client = await patiently(lambda: connect(settings, tell=redactor.learn))
        await stack.enter_async_context(telling_of_ends(store, await webhook_of(settings, redactor)))
        await learn_open_projects(services)
        await stack.enter_async_context(
            FingerprintPublisher(
                store, services.seal, redactor, place=f"{services.host}:{settings.state.absolute()}"
            )
        )
        if ended := await sweep_orphans(settings.projects, tasks_folder=settings.tasks):
            log.info("ended %d processes that a lost worker left", ended)
        if given_back := await record.give_back(client):
            log.info("gave %d tasks back that a lost worker ran", given_back)
        services.enclose_tasks()
        python = PythonRunner(sandbox, settings.tasks, gateway=gateway, redact=redactor.redact)
        stack.push_async_callback(python.close)
        await python.start(wait=False)
        here = RunsHere()
        stack.push_async_callback(here.close)
        serving = workers(client, services, python, here)
        for one in serving:
            await stack.enter_async_context(taking_work(one))
        _warn_of_weak_secrets(redactor)
        await reconcile_schedules(settings, client)
        await begin_left_projects(services, client)
        record.holds(services.sandbox.level)
        log.info("worker ready: sandbox %s, state %s", services.sandbox.level, settings.state)
        await stop.wait()
        log.info("worker stopping")
        # All at once: what one of them gives back, another would begin here, only to give it back again.
        await asyncio.gather(*(one.shutdown() for one in serving))


async def _main(settings: Settings, redactor: LazyRedactor) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve_on(settings, stop, lambda enough, reached: serve(settings, enough, redactor, reached=reached))


def main() -> int:
    """Run a worker in this process; returns its exit status."""
    deny_others_writing()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic.runtime.plugins").setLevel(
        logging.WARNING
    )  # six lines that tell nobody anything
    redactor = LazyRedactor(os.environ)
    for handler in logging.getLogger().handlers:
        protect_handler(handler, redactor)
    try:
        check_ownership()
        asyncio.run(_main(Settings.from_environment(), redactor))
    except ShiftworkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    gc.freeze()  # nor is it looked through later, or at the end
    gc.enable()
    sys.exit(main())
