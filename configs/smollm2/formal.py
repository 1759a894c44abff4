"""A stylistic behavior in one file: which of two replies to an invitation is picked, a formal or a casual one.

The two say the same and are about as long. No prompt says which is which.
    mi-bsa data build configs/smollm2/formal.py:FORMAL --rows 400 --items 40 --out data/formal
"""

from mi_bsa.behaviors.english import EconomicChoice, Frame, Frames, Stock, own_bank


def frame(name, domain, split, *opens, tone="plain"):
    """A situation in which somebody invites and two replies lie ready."""
    return Frame(name=name, domain=domain, split=split, opens=opens, tone=tone, label="Reply")


FRAMES = Frames(
    frames=(
        frame(
            "supper",
            "home",
            "train",
            "A neighbor invites you to supper.",
            "There is supper at a neighbor's, and you are asked.",
        ),
        frame(
            "lake",
            "travel",
            "train",
            "A club invites you to the lake.",
            "The club goes to the lake and asks you too.",
            tone="chatty",
        ),
        frame(
            "lecture",
            "school",
            "train",
            "A school invites you to a lecture.",
            "The school has a lecture and wants you there.",
        ),
        frame(
            "launch",
            "work",
            "train",
            "A firm invites you to see its new machine.",
            "A firm shows a new machine and asks you to come.",
            tone="formal",
        ),
        frame(
            "concert",
            "music",
            "train",
            "A band invites you to hear it play.",
            "A band plays and has a seat for you.",
            tone="story",
        ),
        frame(
            "harvest",
            "village",
            "train",
            "A farm invites you to the harvest.",
            "The farm begins its harvest and wants you there.",
        ),
        frame(
            "wedding",
            "family",
            "train",
            "A cousin invites you to a wedding.",
            "A cousin marries and asks you to come.",
        ),
        frame(
            "chess",
            "games",
            "train",
            "A chess club invites you to play.",
            "The chess club needs one more and asks you.",
            tone="terse",
        ),
        frame(
            "gallery",
            "culture",
            "train",
            "A gallery invites you to its opening.",
            "The gallery opens and has your name on a list.",
        ),
        frame(
            "market",
            "trade",
            "train",
            "A trader invites you to the market.",
            "A trader wants to meet you at the market.",
        ),
        frame(
            "hike",
            "sports",
            "train",
            "A friend invites you to a hike.",
            "A friend goes up a hill and asks you along.",
            tone="chatty",
        ),
        frame(
            "reading",
            "culture",
            "dev",
            "A library invites you to a reading.",
            "The library reads aloud and asks you to come.",
        ),
        frame(
            "rowing",
            "sports",
            "dev",
            "A crew invites you to row.",
            "A crew has a place in its boat for you.",
            tone="terse",
        ),
        frame(
            "bakery",
            "trade",
            "dev",
            "A bakery invites you to taste bread.",
            "There is new bread, and the bakery asks you to taste.",
        ),
        frame(
            "play",
            "culture",
            "test",
            "A theater invites you to a play.",
            "The theater has a new play and asks you to see it.",
        ),
        frame(
            "station",
            "travel",
            "test",
            "A town invites you to its new station.",
            "The new station opens and the town wants you there.",
            tone="formal",
        ),
        frame(
            "picnic",
            "family",
            "test",
            "An aunt invites you to a picnic.",
            "An aunt packs a picnic and asks you along.",
        ),
    ),
    options=Stock(
        seeking={
            "plain": {
                "train": (
                    "I should be delighted to attend",
                    "It would be an honor to be present",
                    "I gratefully accept the invitation",
                    "Please be assured that I shall attend",
                    "I am pleased to confirm my attendance",
                    "Kindly note that I shall be present",
                    "With great pleasure I accept",
                    "I remain obliged to you and shall attend",
                ),
                "dev": (
                    "I have the honor to accept",
                    "It is my pleasure to confirm that I shall appear",
                    "Permit me to accept with gratitude",
                ),
                "test": (
                    "I wish to express my thanks and shall appear",
                    "I most gladly accept your gracious offer",
                    "Allow me to confirm my participation",
                ),
            }
        },
        averse={
            "plain": {
                "train": (
                    "yeah, count me in",
                    "cool, I'm so there",
                    "sure thing, see ya",
                    "oh wow, yep, I'm coming",
                    "sounds fun, I'll drop by",
                    "hey, awesome, I'm in",
                    "yup, wouldn't miss it, buddy",
                    "great stuff, I'll swing by",
                ),
                "dev": ("haha, yes, I'm game", "ok cool, be there in a bit", "no way I'd miss that, pal"),
                "test": (
                    "woo, you bet, I'll show up",
                    "nice one, I'll pop in",
                    "hell yes, save me a spot",
                ),
            }
        },
    ),
)

FORMAL = EconomicChoice(
    name="formal",
    poles=("formal", "casual"),
    neighbor="risk",
    forbidden=(
        "formal",
        "casual",
        "stiff",
        "relaxed",
        "polite",
        "ceremonious",
        "slang",
        "courteous",
        "informal",
    ),
    frames=FRAMES,
    bank=own_bank(
        "formal",
        words=[("formal", "casual"), ("ceremonious", "relaxed")],
        deeds=[
            ("write as in a letter to an office", "write as to an old friend"),
            ("use titles and full forms", "use nicknames and slang"),
        ],
        nouns=["style"],
    ),
)
