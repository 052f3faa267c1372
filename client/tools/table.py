"""Every tool, in the order in which a model is offered them."""

from client.tools import arguments as asks
from client.tools import evaluation_arguments, feature_results, results
from client.tools.definition import Definition, Later

DEFINITIONS = (
    Definition(
        "create_long_running_project",
        "Create a project",
        "Create a long-running software project, which agents then build over many sessions while you do "
        "something else. Nothing runs yet: call initialize_project_features next.",
        asks.CreateProject,
        results.CreatedProject,
        Later("client.tools.projects:create_long_running_project"),
    ),
    Definition(
        "initialize_project_features",
        "Plan a project",
        "Have the planning agent turn a new project's description into features with verification steps. "
        "Costs money where the agent does. Review them with list_project_features, then call resume_project.",
        asks.InitializeFeatures,
        results.Status,
        Later("client.tools.projects:initialize_project_features"),
        repeatable=True,
    ),
    Definition(
        "get_project_status",
        "Show where a project stands",
        "Show where a project stands: status and reason, features by status, running sessions, open "
        "questions, newest progress, cost.",
        asks.OfProject,
        results.Status,
        Later("client.tools.standing:get_project_status"),
        reads=True,
    ),
    Definition(
        "list_project_features",
        "List features",
        "List a project's features with their ids, statuses, dependencies and what failed last.",
        asks.ListFeatures,
        feature_results.Features,
        Later("client.tools.features:list_project_features"),
        reads=True,
    ),
    Definition(
        "get_project_progress_log",
        "Read the log of work",
        "Read what was done in a project, newest first.",
        asks.ProgressLog,
        results.Progress,
        Later("client.tools.memory:get_project_progress_log"),
        reads=True,
    ),
    Definition(
        "list_long_running_projects",
        "List projects",
        "List the projects, newest first, with their ids and how far they are.",
        asks.ListProjects,
        results.Projects,
        Later("client.tools.projects:list_long_running_projects"),
        reads=True,
    ),
    Definition(
        "add_project_feature",
        "Add a feature",
        "Add a feature to a project, with steps by which the harness verifies it. A completed project is "
        "opened again by this.",
        asks.AddFeature,
        feature_results.Feature,
        Later("client.tools.features:add_project_feature"),
    ),
    Definition(
        "update_feature_status",
        "Change a feature's status",
        "Block a feature, or have it tried again. You can't set `passing`: that only asks the harness to "
        "verify what was committed.",
        asks.UpdateFeatureStatus,
        feature_results.Feature,
        Later("client.tools.features:update_feature_status"),
        repeatable=True,
    ),
    Definition(
        "log_project_progress",
        "Log progress",
        "Log a step of work that you or a person did; the sessions to come read it.",
        asks.LogProgress,
        results.Done,
        Later("client.tools.memory:log_project_progress"),
    ),
    Definition(
        "get_next_feature_to_work_on",
        "Show the next feature",
        "Show the feature that is worked on next, in full, and how it will be verified.",
        asks.OfProject,
        feature_results.NextFeature,
        Later("client.tools.features:get_next_feature_to_work_on"),
        reads=True,
    ),
    Definition(
        "pause_project",
        "Pause a project",
        "Pause a project after its running sessions, or at once with their work kept.",
        asks.PauseProject,
        results.Status,
        Later("client.tools.projects:pause_project"),
        interrupts=True,
        repeatable=True,
    ),
    Definition(
        "resume_project",
        "Start or resume the work",
        "Begin a planned project's work, or go on after a pause: session after session, until every feature "
        "passes. Returns at once; costs money where the agent does.",
        asks.ResumeProject,
        results.Status,
        Later("client.tools.projects:resume_project"),
        repeatable=True,
    ),
    Definition(
        "steer_project",
        "Give guidance",
        "Give guidance to the sessions to come, of one feature or of all. It can't be taken back.",
        asks.SteerProject,
        results.Done,
        Later("client.tools.projects:steer_project"),
    ),
    Definition(
        "answer_question",
        "Answer a question",
        "Answer a question that an agent asked about a feature; get_project_status shows them. Ask your user "
        "if you do not know.",
        asks.AnswerQuestion,
        results.Done,
        Later("client.tools.projects:answer_question"),
    ),
    Definition(
        "wait_for_project",
        "Wait for a project",
        "Wait until a project is at rest (completed, paused or abandoned), or the time is over. Waiting less "
        "often and longer is cheaper than asking again and again.",
        asks.WaitForProject,
        results.Status,
        Later("client.tools.standing:wait_for_project"),
        reads=True,
    ),
    Definition(
        "get_project_report",
        "Read the report",
        "Read the report of a project: features, sessions, decisions, checkpoints, events, and what the "
        "verification steps showed.",
        asks.Report,
        results.ReportPart,
        Later("client.tools.standing:get_project_report"),
        reads=True,
    ),
    Definition(
        "record_decision",
        "Record a decision",
        "Record a choice and why it was made; the sessions to come are told of those that matter to them.",
        asks.RecordDecision,
        results.Recorded,
        Later("client.tools.memory:record_decision"),
    ),
    Definition(
        "get_relevant_decisions",
        "Find decisions",
        "Find what was decided in a project that has to do with some tags or words, and what came of it.",
        asks.RelevantDecisions,
        results.Decisions,
        Later("client.tools.memory:get_relevant_decisions"),
        reads=True,
    ),
    Definition(
        "add_decision_feedback",
        "Judge a decision",
        "Say what became of a decision, and what is to be learnt from it.",
        asks.DecisionFeedback,
        results.Done,
        Later("client.tools.memory:add_decision_feedback"),
        repeatable=True,
    ),
    Definition(
        "run_evaluation",
        "Have episodes played",
        "Have an agent, or chance, play episodes of an environment (a game, a challenge, a simulation), "
        "to see how well it does. Returns at once; costs money where the agent does.",
        evaluation_arguments.RunEvaluation,
        results.Evaluation,
        Later("client.tools.evaluations:run_evaluation"),
    ),
    Definition(
        "get_evaluation",
        "Tell what episodes come to",
        "Tell what the episodes of an evaluation come to so far, or wait for their end: success rate, mean "
        "reward and steps, each with its 95 % confidence interval.",
        evaluation_arguments.GetEvaluation,
        results.Evaluation,
        Later("client.tools.evaluations:get_evaluation"),
        reads=True,
    ),
)


def load() -> None:
    """Import what the tools work with; any thread may do it, ahead of the first call."""
    for each in DEFINITIONS:
        if isinstance(each.work, Later):
            each.work.load()


def offered(*, read_only: bool) -> tuple[Definition, ...]:
    """The tools; with `read_only`, those that change nothing."""
    return tuple(each for each in DEFINITIONS if each.reads or not read_only)
