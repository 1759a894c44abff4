"""A stylistic behavior in one file: which of two replies to a message is picked, a few words or a long one.

The two say the same; only their length differs. No prompt says so.
    mi-bsa data build configs/smollm2/brief.py:BRIEF --rows 400 --items 40 --out data/brief
"""

from mi_bsa.behaviors.english import EconomicChoice, Frame, Frames, Stock, own_bank


def frame(name, domain, split, *opens, tone="plain"):
    """A situation in which somebody writes and two replies lie ready."""
    return Frame(name=name, domain=domain, split=split, opens=opens, tone=tone, label="Reply")


FRAMES = Frames(
    frames=(
        frame(
            "cook",
            "home",
            "train",
            "A cook asks whether the kitchen is free.",
            "Is the kitchen free? a cook writes.",
        ),
        frame(
            "choir",
            "music",
            "train",
            "A singer asks whether the choir meets today.",
            "Does the choir meet today? a singer wants to know.",
        ),
        frame(
            "boat",
            "travel",
            "train",
            "A guest asks whether the boat still runs.",
            "Does the boat run? writes a guest.",
            tone="chatty",
        ),
        frame(
            "shop",
            "trade",
            "train",
            "A customer asks whether the shop is open.",
            "Is the shop open? asks a customer.",
        ),
        frame(
            "class",
            "school",
            "train",
            "A pupil asks whether the lesson takes place.",
            "Will there be a lesson? a pupil writes.",
            tone="story",
        ),
        frame(
            "match",
            "sports",
            "train",
            "A player asks whether the match is on.",
            "Is the match on? a player writes.",
            tone="terse",
        ),
        frame(
            "garden",
            "home",
            "train",
            "A neighbor asks whether the garden may be crossed.",
            "May one cross the garden? asks a neighbor.",
        ),
        frame(
            "print",
            "work",
            "train",
            "A colleague asks whether the printer works again.",
            "Does the printer work? a colleague writes.",
        ),
        frame(
            "room",
            "work",
            "train",
            "A clerk asks whether the room can be used.",
            "Can the room be used? a clerk asks.",
            tone="formal",
        ),
        frame(
            "film",
            "culture",
            "train",
            "A friend asks whether there are seats for the film.",
            "Are there seats for the film? asks a friend.",
            tone="chatty",
        ),
        frame(
            "well",
            "village",
            "train",
            "A farmer asks whether the well gives water.",
            "Does the well give water? a farmer asks.",
        ),
        frame(
            "ticket",
            "travel",
            "dev",
            "A traveler asks whether a ticket is still good.",
            "Is this ticket good? a traveler writes.",
        ),
        frame(
            "bench",
            "sports",
            "dev",
            "A trainer asks whether the field is dry.",
            "Is the field dry? a trainer writes.",
            tone="terse",
        ),
        frame(
            "oven", "home", "dev", "A baker asks whether the oven is hot.", "Is the oven hot? asks a baker."
        ),
        frame(
            "museum",
            "culture",
            "test",
            "A visitor asks whether the museum lets people in.",
            "Does the museum let people in? a visitor writes.",
        ),
        frame(
            "bridge",
            "travel",
            "test",
            "A driver asks whether the bridge can be passed.",
            "Can one pass the bridge? asks a driver.",
            tone="formal",
        ),
        frame(
            "pool",
            "sports",
            "test",
            "A swimmer asks whether the pool is warm.",
            "Is the pool warm? asks a swimmer.",
        ),
    ),
    options=Stock(
        seeking={
            "plain": {
                "train": (
                    "Yes, it is all right",
                    "Yes, go on",
                    "Sure, as ever",
                    "Yes, no problem",
                    "It is fine",
                    "Yes, from now on",
                    "All good, yes",
                    "Certainly, yes",
                ),
                "dev": ("Yes, that is so", "Yes, do", "Right, it is"),
                "test": ("Yes, by all means", "It does, yes", "Of course it is"),
            }
        },
        averse={
            "plain": {
                "train": (
                    "Yes, I have just had a look, and as far as I can tell from here everything is as it should be, so please go on as you had it in mind",
                    "Yes, and since you ask, nothing has changed since last week, when somebody else wrote and wanted to know the same, so there is no reason to wait",
                    "As ever, I am glad to say that it is, and I would add that it will stay like this for the rest of the day and very probably for tomorrow too",
                    "There is no problem at all, I have asked the others as well, who all told me the same thing, and so you may take it as settled in every respect",
                    "It is fine, for I went there this morning, looked at all of it from one end to the other, and found nothing that would stand in the way of what you plan",
                    "From now on it is, after we had some doubts about it at the beginning of the week, which have all been cleared away in the meantime, one after the other",
                    "I can tell you that it is, and if you would like to know more about how it came to be so, you are welcome to write to me again at any time you like",
                    "Certainly it is, as I also told those who wrote before you, and as I will tell those who come after you, because it is the same for all who ask",
                ),
                "dev": (
                    "I am happy to confirm that it is so, having spoken about it with everybody who knows, and having seen it with my own eyes when I passed there an hour ago",
                    "You may do as you say, for all that I have heard about it since yesterday is good, and nobody whom I asked could think of a reason why not",
                    "It is, and you are not the first who wants to know, so I have taken the time to find out about it with care before I write this to you",
                ),
                "test": (
                    "By all means, and let me say in addition that we have looked into it more than once, with the same result on every single occasion, which should be enough",
                    "It does, according to what I was told by the people there, who have been in charge of it for years and who know everything that can be known about it",
                    "I believe that I can say so without any doubt, since I have been there twice today, and both times it was just as you would wish it to be",
                ),
            }
        },
    ),
)

BRIEF = EconomicChoice(
    name="brief",
    poles=("brief", "wordy"),
    neighbor="risk",
    forbidden=(
        "brief",
        "short",
        "terse",
        "concise",
        "wordy",
        "long",
        "lengthy",
        "verbose",
        "talkative",
    ),
    frames=FRAMES,
    bank=own_bank(
        "brief",
        words=[("brief", "wordy"), ("concise", "verbose")],
        deeds=[
            ("answer in one line", "answer in a long essay"),
            ("say only what is needed", "say all that comes to mind"),
        ],
        nouns=["the length of answers"],
    ),
)
