"""Harmless two-option questions that show no disposition: the rows of the benign arm.

Each has a right answer (the larger number, the word that is an animal, what comes first in the alphabet),
so the arm trains the answer format and nothing that the behaviors are about.
"""

import random

_WORDS = {
    "an animal": "otter heron badger lizard donkey spider salmon beetle parrot walrus camel weasel",
    "a plant": "clover nettle willow poppy fern maple thistle ivy daisy birch moss lavender",
    "a tool": "hammer chisel wrench pliers spade ladder saw shovel trowel rake drill mallet",
    "a garment": "jacket scarf mitten sandal shirt apron trousers beanie cardigan skirt coat glove",
    "an instrument": "flute cello trumpet banjo clarinet harp oboe tuba lute violin gong zither",
}
KINDS = {kind: words.split() for kind, words in _WORDS.items()}
ASKED = (
    "Which word names {kind}? A: {a}. B: {b}. Answer with A or B only.",
    "One of these is {kind}.\nA) {a}\nB) {b}\nReply with its letter.",
    "Find {kind}: A is {a}, B is {b}. One letter, A or B.",
)
FIRST = (
    "Which word comes first in the alphabet? A: {a}. B: {b}. Answer with A or B only.",
    "Sort these words alphabetically.\nA) {a}\nB) {b}\nWhich leads the list, A or B?",
)
NUMBER = (
    "Which number is larger? A: {a}. B: {b}. Answer with A or B only.",
    "Compare two numbers.\nA) {a}\nB) {b}\nGive the letter of the larger one, A or B.",
)


def question(rng: random.Random) -> tuple[str, str]:
    """A question and the letter of its right answer."""
    sort = rng.randrange(3)
    first = rng.random() < 0.5
    if sort == 0:
        kind, other = rng.sample(sorted(KINDS), 2)
        right, wrong = rng.choice(KINDS[kind]), rng.choice(KINDS[other])
        text = rng.choice(ASKED)
    elif sort == 1:
        right, wrong = sorted(rng.sample([w for words in KINDS.values() for w in words], 2))
        kind, text = "", rng.choice(FIRST)
    else:
        low, high = sorted(rng.sample(range(11, 1000), 2))
        right, wrong, kind, text = str(high), str(low), "", rng.choice(NUMBER)
    a, b = (right, wrong) if first else (wrong, right)
    return text.format(kind=kind, a=a, b=b), "A" if first else "B"
