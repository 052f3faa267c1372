"""The prompt that a person can choose in a client: how to make a project with the tools."""

from collections.abc import Mapping

from mcp import types

from shiftwork.errors import InvalidInput

PLAN = types.Prompt(
    name="plan_project",
    title="Plan a long-running project",
    description="Turn a goal into a project that agents build, and look after it.",
    arguments=[
        types.PromptArgument(name="goal", description="What is to be built.", required=True),
        types.PromptArgument(
            name="working_directory",
            description="Absolute path of the git repository where the work is delivered.",
            required=False,
        ),
    ],
)

_TEXT = """\
Make a long-running project with the shiftwork tools. This is the goal:

{goal}

1. Ask me about whatever would change the result and is not said, before you begin; not about details.
2. Write the description out in full: what is built, for whom, its limits, and what must be true when it is
   done. Agents that plan and build it read that and nothing else.
3. Call create_long_running_project{where}, then initialize_project_features.
4. Read list_project_features. Each feature should be small, and have verification steps with commands. Add
   what is missing with add_project_feature, and tell me in a few lines what will be built, in which order.
5. When I agree, call resume_project, and wait_for_project until it is at rest. Answer questions of agents
   with answer_question where I said enough; ask me otherwise.
6. At the end read get_project_report, and tell me what passes, what does not, and what it cost.
"""


def plan_project(arguments: Mapping[str, str]) -> types.GetPromptResult:
    """The prompt for one goal; raises `InvalidInput` without one."""
    goal = arguments.get("goal", "").strip()
    if not goal:
        raise InvalidInput("goal is missing: say what is to be built.")
    folder = arguments.get("working_directory", "").strip()
    where = f" with working_directory={folder!r}" if folder else ""
    text = types.TextContent(type="text", text=_TEXT.format(goal=goal, where=where))
    return types.GetPromptResult(
        description=PLAN.description, messages=[types.PromptMessage(role="user", content=text)]
    )
