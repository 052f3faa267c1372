"""What the text adventure is told in: rooms, things, treasures and what bars the way."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class Kind:
    """One way in which a passage can be barred.

    Attributes:
        bar: what bars it, in one word or two.
        shut: a sentence on it.
        item: what opens it.
        opening: a sentence on how.
    """

    bar: str
    shut: str
    item: str
    opening: str


START: Final = (
    "Gatehouse",
    "Rain drips from the arch, and your horse waits outside. Whatever you find, you bring it here.",
)

ROOMS: Final = (
    ("Great Hall", "Long tables stand under a ceiling black with smoke."),
    ("Library", "Shelves lean under books that nobody has opened for a century."),
    ("Kitchen", "A cold hearth, copper pans, and a smell of old onions."),
    ("Chapel", "Coloured light falls through a broken window onto empty pews."),
    ("Armoury", "Racks for a hundred spears, and not one spear left."),
    ("Cellar", "Barrels line the walls; one of them still drips."),
    ("Observatory", "A brass telescope points at a painted sky."),
    ("Greenhouse", "Vines have broken through the panes and taken the benches."),
    ("Music Room", "A harpsichord without strings stands in the middle."),
    ("Workshop", "Wood shavings, a vice, and a half-made cradle."),
    ("Gallery", "Portraits stare down, each with the same long nose."),
    ("Bath", "Blue tiles, a marble basin, and green water in it."),
    ("Treasury", "Iron chests stand open, and all but empty."),
    ("Nursery", "A rocking horse moves slightly, although there is no draught."),
    ("Dungeon", "Rings hang from the walls; somebody counted days in chalk."),
    ("Map Room", "A table shows the valley in clay, the river in blue glass."),
    ("Stables", "Straw, harness, and a swallow's nest on a beam."),
    ("Crypt", "Stone knights sleep with their hands folded."),
    ("Laboratory", "Retorts and bottles; something yellow has eaten a hole into the bench."),
    ("Attic", "Trunks, a dressmaker's dummy, and dust in the light of one window."),
    ("Courtyard", "Grass grows between the flagstones around a dry well."),
    ("Clock Tower", "Wheels taller than you turn with a slow tick."),
    ("Wine Vault", "Bottles in their thousands, each with a cobweb for a label."),
    ("Throne Room", "A high seat under a canopy that moths have turned to lace."),
    ("Guardroom", "Two bunks, a table, and a game of cards that was never finished."),
    ("Pantry", "Empty jars on the boards, and mouse tracks in the flour."),
    ("Scriptorium", "Desks in rows, each with a dried inkwell."),
    ("Aviary", "Gilded cages with their doors open."),
    ("Ice House", "A round pit, and cold that comes up from it."),
)

KINDS: Final = (
    Kind("iron door", "It is locked; the lock is of iron.", "iron key", "The iron key turns with a groan."),
    Kind("oak door", "It is locked; the lock is of brass.", "brass key", "The brass key turns at once."),
    Kind(
        "silver gate",
        "It is locked; the lock is of silver.",
        "silver key",
        "The silver key sings in the lock.",
    ),
    Kind(
        "chasm",
        "The floor has fallen in, too far to jump.",
        "plank",
        "The plank just reaches the other side.",
    ),
    Kind(
        "dark stair", "It is too dark to take a step.", "lantern", "The lantern shows the steps, one by one."
    ),
    Kind(
        "growling dog",
        "It lets nobody pass; it looks hungry.",
        "bone",
        "The dog takes the bone and trots away.",
    ),
    Kind(
        "thorn hedge",
        "Its thorns are as long as fingers.",
        "sickle",
        "The sickle cuts a way through the thorns.",
    ),
    Kind("sheer drop", "It goes down three men's height.", "rope", "The rope holds, knotted to an old ring."),
    Kind("rusty grating", "Its hinges do not move at all.", "oil can", "With oil, the grating swings open."),
    Kind(
        "curtain of fire", "Nobody could bear that heat.", "bucket of water", "The water puts the fire out."
    ),
)

TREASURES: Final = ("golden chalice", "ruby crown", "ivory casket", "emerald ring", "silver mask")

TRINKETS: Final = ("feather", "chess piece", "cracked mirror", "blue bottle", "wooden spoon", "dry rose")

OPPOSITE: Final = MappingProxyType({"north": "south", "south": "north", "east": "west", "west": "east"})
