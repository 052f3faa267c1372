"""Settings: read once from the environment at a composition root, then passed on as a value."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from shiftwork.errors import InvalidInput
from shiftwork.sandbox.levels import Level, minimum_in

DEFAULT_STATE = ".shiftwork"
DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the harness waits, in seconds.

    The lease is shorter than the heartbeat timeout, so that a worker that lost its connections ends its
    agents before the server hands their session to another.
    """

    heartbeat_timeout: float = 15.0
    lease: float = 10.0
    lease_renewal: float = 2.0
    graceful_shutdown: float = 20.0
    sticky_queue: float = 2.0
    workflow_task: float = 5.0
    retry_interval: float = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment may say.

    Attributes:
        state: the folder of this stack's state; two stacks with different folders never meet.
        database_url: DSN of an external PostgreSQL, or None for the embedded one.
        namespace: Temporal namespace of the embedded server (an external one comes from Temporal's own
            environment configuration).
        postgres_port: a port of the embedded PostgreSQL besides its socket; 0 means none.
        temporal_port, ui_port, api_port: fixed ports of Temporal's gRPC service, its Web UI and the REST
            interface; 0 means free-chosen.
        process_slots: most agents and verifications that one worker runs at once.
        free_memory_mb: MB of memory that must be free for one more; 0: a tenth of the machine's.
        max_cpu_percent: how busy the machine's processors may be for one more.
        free_gpu_memory_mb: MB that must be free on a GPU for one more; 0: GPUs are not looked at.
        codec: whether what goes to Temporal is encrypted; None: where it is the embedded server, or keys are
            given.
        codec_keys: a reference to the codec's keys, such as `env:NAME`; None: they are in the state folder.
        model_hosts: the only hosts at which a project's model may be; None: any.
        agent_runner_enabled: whether `shiftwork tasks run` may run what is pending.
        outward_providers: providers whose tasks may act beyond this machine; None: none.
        github_api_url: of GitHub's REST API, or a GitHub Enterprise Server's; None: GitHub's own.
        github_token: a reference to the token for it; None: what anybody may read.
        llm_model: the model of tasks of the provider `llm` that name none, as `provider:model`.
        task_webhook: an address that is told of each task that ends; None: none.
        task_webhook_secret: a reference to the secret by which it knows who tells; None: it does not.
        maintenance_interval: seconds from one maintenance to the next; 0: none.
        transcript_days: days for which transcripts are kept; 0: for ever.
        timings: see `Timings`.
        sandbox_minimum: the weakest level that agents and verifications may run in; None: the weakest of
            this platform that confines files.
    """

    state: Path
    database_url: str | None = None
    namespace: str = DEFAULT_NAMESPACE
    postgres_port: int = 0
    temporal_port: int = 0
    ui_port: int = 0
    api_port: int = 0
    process_slots: int = 8
    free_memory_mb: float = 0.0
    max_cpu_percent: float = 95.0
    free_gpu_memory_mb: float = 0.0
    codec: bool | None = None
    codec_keys: str | None = None
    timings: Timings = field(default_factory=Timings)
    sandbox_minimum: Level | None = None
    model_hosts: tuple[str, ...] | None = None
    agent_runner_enabled: bool = False
    outward_providers: tuple[str, ...] | None = None
    github_api_url: str | None = None
    github_token: str | None = None
    llm_model: str | None = None
    task_webhook: str | None = None
    task_webhook_secret: str | None = None
    maintenance_interval: float = 3600.0
    transcript_days: float = 30.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, *, above: bool = True) -> "Settings":
        """Read `SHIFTWORK_*`; raises `InvalidInput` naming the variable that is wrong.

        Args:
            above: where no state folder is named, and none is here, take that of a folder above.
        """
        env = os.environ if environ is None else environ
        timings = Timings(
            **{
                name: _number(env, f"SHIFTWORK_{name.upper()}", default)
                for name, default in _defaults(Timings).items()
            }
        )
        if timings.lease >= timings.heartbeat_timeout:
            raise InvalidInput(
                f"SHIFTWORK_LEASE ({timings.lease} s) must be shorter than "
                f"SHIFTWORK_HEARTBEAT_TIMEOUT ({timings.heartbeat_timeout} s)."
            )
        outer = outer_state(Path.cwd(), env) if above else None
        return cls(
            state=outer or Path(env.get("SHIFTWORK_STATE") or DEFAULT_STATE).expanduser().absolute(),
            database_url=env.get("SHIFTWORK_DATABASE_URL") or None,
            namespace=env.get("SHIFTWORK_NAMESPACE") or DEFAULT_NAMESPACE,
            postgres_port=int(_number(env, "SHIFTWORK_POSTGRES_PORT", 0)),
            temporal_port=int(_number(env, "SHIFTWORK_TEMPORAL_PORT", 0)),
            ui_port=int(_number(env, "SHIFTWORK_UI_PORT", 0)),
            api_port=int(_number(env, "SHIFTWORK_API_PORT", 0)),
            process_slots=int(_number(env, "SHIFTWORK_PROCESS_SLOTS", 8)),
            free_memory_mb=_number(env, "SHIFTWORK_FREE_MEMORY_MB", 0.0),
            max_cpu_percent=_number(env, "SHIFTWORK_MAX_CPU_PERCENT", 95.0),
            free_gpu_memory_mb=_number(env, "SHIFTWORK_FREE_GPU_MEMORY_MB", 0.0),
            codec=_switch(env, "SHIFTWORK_CODEC"),
            codec_keys=env.get("SHIFTWORK_CODEC_KEYS") or None,
            timings=timings,
            sandbox_minimum=minimum_in(env),
            model_hosts=_listed(env.get("SHIFTWORK_MODEL_HOSTS", "").lower()),
            agent_runner_enabled=is_enabled(env),
            outward_providers=_listed(env.get("SHIFTWORK_OUTWARD_PROVIDERS", "")),
            github_api_url=env.get("SHIFTWORK_GITHUB_API_URL") or None,
            github_token=env.get("SHIFTWORK_GITHUB_TOKEN") or None,
            llm_model=env.get("SHIFTWORK_LLM_MODEL") or None,
            task_webhook=_webhook(env),
            task_webhook_secret=env.get("SHIFTWORK_TASK_WEBHOOK_SECRET") or None,
            maintenance_interval=_number(env, "SHIFTWORK_MAINTENANCE_INTERVAL", 3600.0),
            transcript_days=_number(env, "SHIFTWORK_TRANSCRIPT_DAYS", 30.0),
        )

    @property
    def stack_file(self) -> Path:
        """Where a running stack writes its addresses."""
        return self.state / "stack.json"

    @property
    def tasks(self) -> Path:
        """The folder of what tasks work in, one folder per attempt."""
        return self.state / "tasks"

    def task_folder(self, task_id: int, attempt: int) -> Path:
        """The folder of one attempt at a task."""
        return self.tasks / f"t{task_id}-a{attempt}"

    def episode_folder(self, episode_id: int, attempt: int) -> Path:
        """The folder of one attempt at an episode."""
        return self.tasks / f"e{episode_id}-a{attempt}"

    @property
    def agents(self) -> Path:
        """The folder of what registered agents keep from run to run."""
        return self.state / "agents"

    def agent_folder(self, agent_id: int, created_at: datetime) -> Path:
        """What one agent keeps on this host; another database may have another agent of this number."""
        return self.agents / f"a{agent_id}-{int(created_at.timestamp())}"

    @property
    def projects(self) -> Path:
        """The folder of private repositories, workspaces and briefs, one folder per project."""
        return self.state / "projects"


def is_enabled(environ: Mapping[str, str]) -> bool:
    """Whether the runner of pending tasks is enabled: `SHIFTWORK_AGENT_RUNNER_ENABLED` is `true`."""
    return (environ.get("SHIFTWORK_AGENT_RUNNER_ENABLED") or "").strip().lower() == "true"


def log_level(environ: Mapping[str, str]) -> int:
    """What `LOG_LEVEL` names, INFO unless it is set; raises `InvalidInput` if it names none."""
    text = (environ.get("LOG_LEVEL") or "INFO").strip()
    level = logging.getLevelNamesMapping().get(text.upper())
    if level is None:
        raise InvalidInput(f"LOG_LEVEL is {text!r}; it must be DEBUG, INFO, WARNING or ERROR.")
    return level


def outer_state(here: Path, environ: Mapping[str, str]) -> Path | None:
    """The state folder of the nearest folder above that has one, as git looks for a repository.

    None where this folder has one itself, or none is needed; one of another user is never taken.
    """
    if environ.get("SHIFTWORK_STATE") or environ.get("SHIFTWORK_DATABASE_URL"):
        return None
    for folder in (here, *here.parents):
        state = folder / DEFAULT_STATE
        if state.is_dir() and state.stat().st_uid == os.getuid():
            return None if folder == here else state
    return None


def _defaults(cls: type[Timings]) -> dict[str, float]:
    return {f.name: f.default for f in cls.__dataclass_fields__.values()}  # type: ignore[misc]


def _listed(text: str) -> tuple[str, ...] | None:
    """Words between commas or spaces; None if there are none."""
    return tuple(text.replace(",", " ").split()) or None


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise InvalidInput(f"{name} is {text!r}; it must be a number.") from None
    if value < 0:
        raise InvalidInput(f"{name} is {text!r}; it must not be negative.")
    return value


def _webhook(env: Mapping[str, str]) -> str | None:
    url = env.get("SHIFTWORK_TASK_WEBHOOK") or None
    if url is not None:
        from shiftwork.addresses import webhook_place  # noqa: PLC0415 - few have one

        webhook_place(url)
    return url


def _switch(env: Mapping[str, str], name: str) -> bool | None:
    text = (env.get(name) or "").lower()
    if text not in ("", "on", "off"):
        raise InvalidInput(f"{name} is {env[name]!r}; it must be on or off.")
    return text == "on" if text else None
