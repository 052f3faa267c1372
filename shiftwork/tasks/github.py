"""The provider `github`: reads issues and repositories on GitHub and, where that is allowed, writes there."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from shiftwork.contracts.base import Document
from shiftwork.contracts.task import TaskErrorKind
from shiftwork.errors import InvalidInput
from shiftwork.secrets import SecretRef
from shiftwork.tasks.github_api import GITHUB, GitHubApi, GitHubError
from shiftwork.tasks.processing import Assignment, Equipment, Processed, refuse_outward
from shiftwork.text import truncate

_REPOSITORY = r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}"
_SHORT = re.compile(rf"\s*({_REPOSITORY})(?:#(\d{{1,10}}))?\s*")

WRITES: Final = ("comment", "create_issue", "create_pull_request")
"""The actions that change something there."""

_CLOCKS_DIFFER = timedelta(minutes=10)

_REPOSITORY_FIELDS = (
    *("full_name", "description", "html_url", "default_branch", "private", "archived", "language"),
    *("open_issues_count", "stargazers_count", "forks_count", "topics", "pushed_at"),
)
_ISSUE_FIELDS = ("number", "title", "state", "html_url", "body", "created_at", "updated_at", "comments")


class GitHubJob(Document):
    """The parameters of a task.

    Attributes:
        action: what to do.
        repository: `owner/name`.
        number: of the issue or pull request.
        title: of the new issue or pull request.
        body: what is written; None: the task's instruction.
        labels: of the new issue.
        head, base: the branches of the new pull request: whose commits, and where to.
        draft: whether that is a draft.
        state: which issues are listed.
        limit: how many of them.
    """

    action: Literal[
        "read_repository", "read_issue", "list_issues", "comment", "create_issue", "create_pull_request"
    ]
    repository: Annotated[str, Field(pattern=rf"^{_REPOSITORY}$")]
    number: Annotated[int, Field(ge=1)] | None = None
    title: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    body: Annotated[str, Field(max_length=65_000)] | None = None
    labels: tuple[str, ...] = ()
    head: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    base: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    draft: bool = False
    state: Literal["open", "closed", "all"] = "open"
    limit: Annotated[int, Field(ge=1, le=100)] = 30

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        needed = {
            "read_issue": ("number",),
            "comment": ("number",),
            "create_issue": ("title",),
            "create_pull_request": ("title", "head", "base"),
        }.get(self.action, ())
        if missing := next((name for name in needed if getattr(self, name) is None), None):
            raise ValueError(f"the action {self.action!r} needs the parameter {missing!r}")
        if self.repository.partition("/")[2] in (".", ".."):
            raise ValueError(f"{self.repository!r} is no repository")
        return self

    @classmethod
    def read(cls, parameters: Mapping[str, JsonValue], instruction: str) -> Self:
        """What a task says; `owner/name` or `owner/name#7` as its instruction says it shortly.

        Raises:
            InvalidInput: it says nothing that can be done; names the parameter.
        """
        given = dict(parameters)
        short = _SHORT.fullmatch(instruction)
        if "action" not in given and short is not None:
            given.setdefault("repository", short[1])
            if short[2]:
                given.setdefault("number", int(short[2]))
            given["action"] = "read_issue" if "number" in given else "read_repository"
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidInput(f"A task of 'github': {_problem(error)}.") from error


class GitHubProcessor:
    """Acts on GitHub's REST API. Writing there is refused unless `SHIFTWORK_OUTWARD_PROVIDERS` names it."""

    name = "github"
    outward = False
    """It may read in any case."""

    def __init__(self, equipment: Equipment) -> None:
        self._settings = equipment.settings
        self._redactor = equipment.redactor

    async def process(self, assignment: Assignment) -> Processed:
        """Do what the task's parameters say.

        Raises:
            InvalidInput: they say nothing that can be done, it is not allowed, or the token is not there.
        """
        job = GitHubJob.read(assignment.parameters, assignment.task.instruction)
        if job.action in WRITES and self.name not in (self._settings.outward_providers or ()):
            raise refuse_outward(self.name)
        async with await self._api(assignment) as api:
            try:
                return await _Work(api, job, assignment).execute()
            except GitHubError as error:
                return Processed(
                    success=False,
                    trace={"requests": api.requests},
                    error=str(error),
                    error_kind=TaskErrorKind.FAILED,
                )

    async def _api(self, assignment: Assignment) -> GitHubApi:
        token = None
        if self._settings.github_token is not None:
            reference = SecretRef.parse(self._settings.github_token)
            token = await asyncio.to_thread(reference.resolve)  # a keyring may ask a person first
            self._redactor.learn(token)

        async def waiting(until: float) -> None:
            await assignment.tell({"limited_until": datetime.fromtimestamp(until, UTC).isoformat()})

        url = self._settings.github_api_url or GITHUB
        return GitHubApi(url, token, assignment.timeout, waiting)


class _Work:
    """One task's work."""

    def __init__(self, api: GitHubApi, job: GitHubJob, assignment: Assignment) -> None:
        self._api = api
        self._job = job
        self._assignment = assignment
        self._at = f"/repos/{job.repository}"

    async def execute(self) -> Processed:
        match self._job.action:
            case "read_repository":
                return self._read(_part(await self._api.get(self._at), _REPOSITORY_FIELDS))
            case "read_issue":
                return await self._issue()
            case "list_issues":
                query = {"state": self._job.state, "per_page": str(self._job.limit)}
                found = await self._api.get(f"{self._at}/issues", **query)
                return self._read([_issue(each) for each in found])
            case "comment":
                where = f"{self._at}/issues/{self._job.number}/comments"
                return await self._made(where, {}, lambda: self._api.pages(where, since=self._since))
            case "create_issue":
                where = f"{self._at}/issues"
                body = {"title": self._job.title, "labels": list(self._job.labels)}
                query = {"state": "all", "sort": "created", "since": self._since}
                return await self._made(where, body, lambda: self._api.pages(where, **query))
            case "create_pull_request":
                where = f"{self._at}/pulls"
                body = {name: getattr(self._job, name) for name in ("title", "head", "base", "draft")}
                query = {"state": "all", "sort": "created", "direction": "desc"}
                return await self._made(where, body, lambda: self._api.pages(where, **query))

    async def _issue(self) -> Processed:
        where = f"{self._at}/issues/{self._job.number}"
        issue = _issue(await self._api.get(where))
        comments = [each async for each in self._api.pages(f"{where}/comments")]
        told = [
            {"user": _login(each), "created_at": each.get("created_at"), "body": each.get("body")}
            for each in comments
        ]
        return self._read({**issue, "comments": told})

    def _read(self, found: Any) -> Processed:
        trace: dict[str, JsonValue] = {"requests": self._api.requests}
        if isinstance(found, dict):
            trace["url"] = found.get("html_url")
        return Processed(success=True, trace=trace, result=self._result(found))

    async def _made(
        self,
        where: str,
        body: Mapping[str, Any],
        those: Callable[[], AsyncIterator[Mapping[str, Any]]],
    ) -> Processed:
        """Make something that is found again by a mark in its text, so that it is made once."""
        task = self._assignment.task
        mark = f"<!-- shiftwork task {task.uuid} -->"
        text = task.instruction if self._job.body is None else self._job.body
        if not text.strip() and self._job.action == "comment":
            raise InvalidInput("A task of 'github': a comment needs a text, as instruction or as 'body'.")

        async def made() -> Mapping[str, Any] | None:
            async for each in those():
                if mark in str(each.get("body") or ""):
                    return each
            return None

        found, already = await self._api.post(
            where,
            {**body, "body": f"{text}\n\n{mark}"},
            made=made,
            # An attempt that was superseded learns of it here, and writes nothing.
            begin=self._told,
            anew=task.attempt > 1,
        )
        facts = {"url": found.get("html_url"), "id": found.get("id"), "number": found.get("number")}
        trace: dict[str, JsonValue] = {"requests": self._api.requests, "url": found.get("html_url")}
        if already:
            trace["made_by_an_earlier_attempt"] = True
        return Processed(success=True, trace=trace, result=self._result(facts))

    def _told(self) -> Awaitable[None]:
        return self._assignment.tell({"acting": f"{self._job.action} in {self._job.repository}"})

    @property
    def _since(self) -> str:
        """When the task was made, as a clock that is behind might say: nothing of it is older."""
        made = self._assignment.task.created_at.astimezone(UTC) - _CLOCKS_DIFFER
        return f"{made:%Y-%m-%dT%H:%M:%SZ}"

    def _result(self, found: Any) -> str:
        text = json.dumps(found, indent=2, ensure_ascii=False)
        return text.encode()[: self._assignment.max_output_bytes].decode(errors="ignore")


def _part(found: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: found.get(name) for name in names}


def _issue(found: Mapping[str, Any]) -> dict[str, Any]:
    labels = [each.get("name") if isinstance(each, dict) else each for each in found.get("labels") or ()]
    return {
        **_part(found, _ISSUE_FIELDS),
        "user": _login(found),
        "labels": labels,
        "is_pull_request": "pull_request" in found,
    }


def _login(found: Mapping[str, Any]) -> str | None:
    user = found.get("user")
    return user.get("login") if isinstance(user, dict) else None


def _problem(error: ValidationError) -> str:
    problem: Any = error.errors()[0]
    where = ".".join(map(str, problem["loc"]))
    said = str(problem["msg"]).removeprefix("Value error, ")
    match problem["type"]:
        case "missing":
            said = "is missing"
        case "extra_forbidden":
            said = f"is not known; known are {', '.join(sorted(GitHubJob.model_fields))}"
        case "literal_error":
            given = truncate(repr(problem["input"]), 120)
            said = f"{given} is not known; known are {problem['ctx']['expected']}"
    return f"parameter {where!r}: {said}" if where else said
