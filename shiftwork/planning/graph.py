"""Dependencies between features, by name."""

from collections.abc import Iterable, Mapping

from shiftwork.errors import InvalidInput


def check_dependencies(depends_on: Mapping[str, Iterable[str]]) -> None:
    """Refuse unknown names and cycles.

    Args:
        depends_on: for each feature's name, the names it depends on.

    Raises:
        InvalidInput: names the feature and the unknown name, or prints the cycle.
    """
    for name, needed in depends_on.items():
        for other in needed:
            if other not in depends_on:
                raise InvalidInput(
                    f"feature {name!r} depends on {other!r}, which does not exist; "
                    f"correct depends_on or add that feature."
                )
    cycle = find_cycle(depends_on)
    if cycle:
        raise InvalidInput(
            f"features depend on each other in a cycle: {' → '.join(cycle)}; remove one of them."
        )


def find_cycle(depends_on: Mapping[str, Iterable[str]]) -> list[str]:
    """A cycle as a path that ends where it began, or an empty list."""
    done: set[str] = set()
    for start in depends_on:
        path: list[str] = []
        # An explicit stack of iterators: a chain of a thousand features must not hit the recursion limit.
        stack = [iter((start,))]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
                if path:
                    done.add(path.pop())
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name not in done:
                path.append(name)
                stack.append(iter(depends_on.get(name, ())))
    return []
