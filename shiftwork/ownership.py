"""Whether our generically named top-level packages are our own."""

from importlib.util import find_spec
from pathlib import Path

import shiftwork
from shiftwork.errors import ShadowedPackage

TOP_LEVEL = ("workflows", "activities", "client", "worker")


def check_ownership() -> None:
    """Raise `ShadowedPackage` if another distribution's package stands in the place of one of ours."""
    root = Path(shiftwork.__file__).parent.parent
    for name in TOP_LEVEL:
        spec = find_spec(name)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        if origin not in (root / name / "__init__.py", root / f"{name}.py"):
            where = f"comes from {str(origin)!r}" if origin else "is missing"
            raise ShadowedPackage(
                f"package {name!r} {where} instead of {str(root)!r}: "
                f"install Shiftwork in a virtual environment of its own."
            )
