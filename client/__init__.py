"""How people and programs reach Shiftwork. Importing this package imports nothing until a name is used."""

from importlib import import_module
from typing import Any

_WHERE = {
    "LongRunningHarness": "client.harness",
    "SyncLongRunningHarness": "client.sync",
    "Shiftwork": "client.api",
    "read_specification": "client.specification",
    "LONG_RUNNING_TOOLS": "client.tools",
    "long_running_tools": "client.tools",
    "ProjectManager": "shiftwork.project_manager",
    "SyncProjectManager": "shiftwork.project_manager",
    "ProjectState": "shiftwork.project_manager",
    "ProjectFeature": "shiftwork.project_manager",
    "ProgressEntry": "shiftwork.project_manager",
    "SessionState": "shiftwork.project_manager",
    "DecisionMemory": "shiftwork.project_manager",
    "FeatureCategory": "shiftwork.contracts.feature",
    "FeatureStatus": "shiftwork.contracts.feature",
    "ProjectStatus": "shiftwork.contracts.project",
    "DecisionOutcome": "shiftwork.contracts.decision",
    "SessionPhase": "shiftwork.contracts.session",
    "ShiftworkError": "shiftwork.errors",
    "CodeSubAgent": "shiftwork.sub_agents",
    "ResearchSubAgent": "shiftwork.sub_agents",
    "TestingSubAgent": "shiftwork.sub_agents",
    "DocumentationSubAgent": "shiftwork.sub_agents",
    "create_sub_agents": "shiftwork.sub_agents",
    "TaskType": "shiftwork.analysis",
    "TaskAnalysis": "shiftwork.analysis",
    "analyze_task": "shiftwork.analysis",
    "should_use_harness": "shiftwork.analysis",
    "AutoHarnessWrapper": "client.auto",
    "create_auto_wrapper": "client.auto",
    "AgentExecutor": "client.executor",
    "execute_agent_by_id": "client.executor",
    "AgentScheduler": "client.scheduler",
    "get_scheduler": "client.scheduler",
    "get_session": "client.session",
    "TaskRunner": "client.task_runner",
    "TaskConnection": "client.task_functions",
    "get_connection": "client.task_functions",
    "create_agent_task": "client.task_functions",
    "get_agent_task_by_id": "client.task_functions",
    "update_agent_task_state": "client.task_functions",
    "process_running_task": "client.task_functions",
    "run_once": "client.task_functions",
    "run_loop": "client.task_functions",
    "is_runner_enabled": "client.task_runner",
    "AgentConfiguration": "shiftwork.contracts.agent",
    "AgentDefinition": "shiftwork.store.agents",
    "HandoffArtifact": "shiftwork.handoffs",
    "HandoffContext": "shiftwork.handoffs",
    "HandoffManager": "shiftwork.handoffs",
    "ResourceLimits": "shiftwork.resources",
    "ResourceManager": "shiftwork.resources",
    "ResourceUsage": "shiftwork.resources",
    "distributed_lock": "shiftwork.locks",
    "ActionDefinition": "shiftwork.environments",
    "ActionResult": "shiftwork.environments",
    "AgentRuntime": "shiftwork.environments",
    "BaseHarness": "shiftwork.environments",
    "EpisodeStats": "shiftwork.environments",
    "HarnessAdapter": "shiftwork.environments",
    "HarnessStatus": "shiftwork.environments",
    "Observation": "shiftwork.environments",
    "check_harness": "shiftwork.environments",
    "CodingChallengeHarness": "shiftwork.environments.examples",
    "NumberGuessHarness": "shiftwork.environments.examples",
    "TextAdventureHarness": "shiftwork.environments.examples",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605 - derived from the one table above


def __dir__() -> list[str]:
    """The public names, for people who explore."""
    return __all__


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
