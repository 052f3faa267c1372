"""What a step left that refers to itself: it ends when it is collected, and what it does then changes things.

So it is collected with the undo, and not at some moment later. Young objects are gone through, which takes as
long as the step made some; all that there are (about 10 ms, and 10 more for each 100,000) only where the
interpreter has made young ones old since.
"""

import gc


def passes() -> int:
    """How often young objects were made old; those that are made from now on are young while this is so."""
    return int(gc.get_stats()[1]["collections"])


def collect_newest() -> None:
    """End what was made a moment ago; what does not end stays young."""
    gc.collect(0)


def collect(since: int) -> None:
    """End what was made after `passes` was this."""
    gc.collect(1 if passes() == since else 2)
