"""Packages that only gather names of their own modules do so when a name is asked for.

The SDKs of providers have thousands of modules for what they can send and get, and packages whose `__init__`
imports them all, to offer each of their names in one place. A session needs few of them: to import the rest
would take seconds of each.
"""

import builtins
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, Final

_DISTRIBUTIONS: Final = frozenset(
    {"anthropic", "deepagents", "langgraph", "langgraph_sdk", "langsmith", "openai"}
)
"""Whose packages are looked at: others are few, or small."""

_ASIDE: Final[Mapping[str, AbstractSet[str]]] = {"anthropic": frozenset({"lib.foundry"})}
"""Modules that a package, which does more than to gather, gathers names of that nobody here asks for."""


def gather_late(
    distributions: AbstractSet[str] = _DISTRIBUTIONS, aside: Mapping[str, AbstractSet[str]] = _ASIDE
) -> None:
    """From now on; what was imported before stays as it is.

    Args:
        distributions: the top-level packages that this is done to.
        aside: by package that does more than to gather, its modules whose names it offers late all the same.
    """
    sys.meta_path.insert(0, _Finder(distributions, aside))


@dataclass(frozen=True, slots=True)
class _Finder:
    """Finds packages as Python itself does, and gives those we know a loader of ours."""

    distributions: AbstractSet[str]
    aside: Mapping[str, AbstractSet[str]]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in self.distributions:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.submodule_search_locations and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self.aside.get(name, frozenset()))
        return spec


@dataclass(frozen=True, slots=True)
class _Later:
    """What stands for a name until it is asked for."""

    module: str
    name: str

    def get(self) -> Any:
        module = import_module(self.module)
        try:
            return getattr(module, self.name)
        except AttributeError:
            return import_module(f"{self.module}.{self.name}")


class _Promising:
    """What stands for a module that names are imported from."""

    def __init__(self, module: str) -> None:
        self.__module = module

    def __getattr__(self, name: str) -> _Later:
        return _Later(self.__module, name)


class _DoesMoreError(ImportError):
    """A package that does more than to gather names."""


class _Loader(SourceFileLoader):
    """Executes a package with stand-ins for what it imports from its own modules, if it does nothing else."""

    def __init__(self, name: str, path: str, aside: AbstractSet[str]) -> None:
        super().__init__(name, path)
        self._aside = aside

    def exec_module(self, module: ModuleType) -> None:
        before = dict(module.__dict__)
        try:
            self._execute(module, None)
            later = _taken_out(module)
            _require_mere_names(module, later)
        except Exception:  # noqa: BLE001 - whatever can't be done with stand-ins is done without
            module.__dict__.clear()
            module.__dict__.update(before)
            if not self._aside:
                super().exec_module(module)
                return
            self._execute(module, self._aside)
            later = _taken_out(module)
        _answer_for(module, later)

    def _execute(self, module: ModuleType, only: AbstractSet[str] | None) -> None:
        """`only`: the modules that have stand-ins; None: all."""
        package = module.__name__

        def importing(
            name: str, namespace: Any = None, local: Any = None, wanted: Sequence[str] = (), level: int = 0
        ) -> Any:
            inner = name if level == 1 else name.removeprefix(f"{package}.")
            own = bool(inner) and (level == 1 or (level == 0 and inner != name))
            if own and wanted and "*" not in wanted and (only is None or inner in only):
                return _Promising(f"{package}.{inner}")
            if only is None and name != "__future__":
                raise _DoesMoreError
            return builtins.__import__(name, namespace, local, wanted, level)

        code = self.get_code(package)
        assert code is not None, "a package that has a file has code"
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": importing}
        exec(code, module.__dict__)  # noqa: S102 - as every loader does
        module.__dict__["__builtins__"] = vars(builtins)


def _taken_out(module: ModuleType) -> dict[str, _Later]:
    """The names that have stand-ins, which are no longer in the module then."""
    later = {name: value for name, value in vars(module).items() if isinstance(value, _Later)}
    for name in later:
        del module.__dict__[name]
    return later


def _require_mere_names(module: ModuleType, later: dict[str, _Later]) -> None:
    """Functions would look for names in the module itself, and a module would hide a name that it shares."""
    others = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    mere = all(isinstance(value, str) or type(value).__name__ == "_Feature" for value in others.values())
    if not mere or not _modules(module, later).isdisjoint(later):
        raise _DoesMoreError


def _modules(module: ModuleType, later: dict[str, _Later]) -> set[str]:
    """The package's own modules from which it gathers names, which once imported are names of it too."""
    return {each.module.removeprefix(f"{module.__name__}.").partition(".")[0] for each in later.values()}


def _answer_for(module: ModuleType, later: dict[str, _Later]) -> None:
    """Have a module get what it is asked for; `import *` asks for what `__all__` names."""
    name_of_module, own, modules = module.__name__, vars(module).get("__getattr__"), _modules(module, later)
    public = [name for name in (*module.__dict__, *later) if not name.startswith("_")]
    module.__dict__.setdefault("__all__", public)

    def __getattr__(name: str) -> Any:  # noqa: N807 - see PEP 562
        if name in later:
            found = module.__dict__[name] = later[name].get()
            return found
        if name in modules:
            return import_module(f"{name_of_module}.{name}")
        if own is not None:
            return own(name)
        raise AttributeError(f"module {name_of_module!r} has no attribute {name!r}", name=name, obj=module)

    module.__dict__["__getattr__"] = __getattr__
    module.__dict__["__dir__"] = lambda: sorted({*module.__dict__, *later})
