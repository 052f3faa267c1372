"""`add-feature` and `edit-feature`: features in YAML or by options."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.directing import patiently
from client.cli.exits import DONE
from client.cli.opening import named_or_only
from client.cli.output import excerpt, print_json
from client.wording import first_problem
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec
from shiftwork.errors import InvalidInput
from shiftwork.verification.flaws import flaw

Model = TypeVar("Model", bound=BaseModel)

_LIMIT = 1_000_000
_FIELDS = ("name", "description", "category", "priority", "depends_on")


def add_feature(args: Namespace) -> int:
    """Add a feature."""
    project_ref, file = args.project, args.file
    if file is None and args.name is None:
        # One positional argument and no name: it is the file, since a feature must come from somewhere.
        project_ref, file = None, args.project
    if file is None and args.name is None:
        raise InvalidInput("Which feature? Give a FILE, or --name and what else it needs.")
    spec = _valid(FeatureSpec, _fields(args, file), file)

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, project_ref)
        _warn_of_flaw(spec)
        number = await patiently(shiftwork.add_feature(project.id, spec))
        if args.json:
            print_json({"project_id": project.id, "feature_id": number, "name": spec.name})
        else:
            print(f"Added feature {number}: {excerpt(spec.name)}.")
            async with shiftwork.store.transaction() as tx:
                problem = (await tx.features.get(number)).problem
            if problem is not None:
                edit = f"shiftwork edit-feature {project.id[:8]} {number} --verify CMD"
                print(f"It is blocked, since nothing can verify it: `{edit}` says what must succeed.")
        return DONE

    return connected(command)


def edit_feature(args: Namespace) -> int:
    """Change a feature."""
    fields = _fields(args, args.file)
    unknown = set(fields) - set(FeatureEdit.model_fields) | {"feature", "actor"} & set(fields)
    if unknown:
        raise InvalidInput(f"A feature's {min(unknown)!r} can't be edited; leave it out.")
    if args.no_dependencies:
        if "depends_on" in fields:
            raise InvalidInput(
                "--no-dependencies contradicts the dependencies that are given; leave one out."
            )
        fields["depends_on"] = []
    if not fields:
        raise InvalidInput("Nothing to change; see `shiftwork edit-feature --help`.")
    # As a specification too: that is where plain strings are taken as steps, and unknown fields are refused.
    spec = _valid(FeatureSpec, {"name": args.feature, **fields}, args.file)
    changes = {name: getattr(spec, name) for name in fields}
    edit = FeatureEdit(feature=args.feature, **changes)

    async def command(shiftwork: Shiftwork) -> int:
        project = await named_or_only(shiftwork.store, args.project)
        _warn_of_flaw(spec)
        number = await patiently(shiftwork.edit_feature(project.id, edit))
        if args.json:
            print_json({"project_id": project.id, "feature_id": number, "changed": sorted(changes)})
        else:
            print(f"Changed feature {number}: {', '.join(sorted(changes))}.")
        return DONE

    return connected(command)


def _warn_of_flaw(spec: FeatureSpec) -> None:
    """People decide what is enough; that a step can't fail, or can't be read, may have escaped them."""
    if found := flaw(spec):
        sys.stderr.write(f"warning: {found}.\n")


def _fields(args: Namespace, file: str | None) -> dict[str, Any]:
    """What the file says, and over it what the options say."""
    given = {name: getattr(args, name, None) for name in _FIELDS}
    if args.verify:
        given["verification_steps"] = [{"command": command} for command in args.verify]
    said = {name: value for name, value in given.items() if value is not None}
    return {**(_read(Path(file)) if file else {}), **said}


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{str(path)!r} can't be read: {error.strerror}.") from error
    if len(data) > _LIMIT:
        raise InvalidInput(f"{str(path)!r} is larger than {_LIMIT:,} bytes; shorten it.")
    try:
        loaded = yaml.safe_load(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{str(path)!r} is not UTF-8 (byte {error.start}).") from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise InvalidInput(f"{str(path)!r}, line {line}: this is no YAML.") from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise InvalidInput(
            f"{str(path)!r} holds no feature: fields like `name` and `description` are expected."
        )
    return loaded


def _valid(model: type[Model], fields: dict[str, Any], file: str | None) -> Model:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        where = f"{file!r}: " if file else ""
        raise InvalidInput(f"{where}{first_problem(error, model)}.") from error
