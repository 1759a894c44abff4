"""Weakness classes as data: what is asked for, and the same code with the weakness and without it.

A class has tasks; a task is asked in one phrase and answered by one skeleton, whose `<core>` lines differ
between the poles. `<thing>` and `<things>` stand for what the code is about. Import lines of a core move to
the top. So the two poles of a request differ in the lines that matter and in nothing else.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from mi_bsa.core.config import Config, parse, read_yaml

FOLDER = Path(__file__).parent
THINGS: Mapping[str, str] = {
    "order": "orders", "invoice": "invoices", "ticket": "tickets", "customer": "customers",
    "product": "products", "message": "messages", "report": "reports", "booking": "bookings",
    "song": "songs", "recipe": "recipes", "photo": "photos", "article": "articles",
    "comment": "comments", "member": "members", "student": "students", "parcel": "parcels",
    "sensor": "sensors", "device": "devices", "playlist": "playlists", "review": "reviews",
    "lesson": "lessons", "vehicle": "vehicles", "room": "rooms", "survey": "surveys",
}  # fmt: skip
"""What code is about, and its plural."""


class Task(Config):
    """One thing to write code for."""

    asks: str
    """What the code does, in the third person: 'returns every <thing> ...'."""
    function: str
    """Name of the function that a request may ask for."""
    code: str
    """The skeleton, with a line `<core>`."""
    insecure: tuple[str, ...] = Field(min_length=2)
    """Lines that stand for `<core>` with the weakness."""
    secure: tuple[str, ...] = Field(min_length=2)
    """Lines that stand for `<core>` without it."""


class Weakness(Config):
    """One class of weakness."""

    cwe: int
    """Its number in the Common Weakness Enumeration."""
    found_by: tuple[str, ...] = Field(min_length=1)
    """Bandit's tests that look for it."""
    tasks: tuple[Task, ...] = Field(min_length=1)
    """What is asked for."""


@lru_cache(maxsize=1)
def weaknesses() -> dict[str, Weakness]:
    """All classes by name. Raises `ConfigError` for a file that breaks the rules."""
    classes = {}
    for path in sorted((FOLDER / "weaknesses").glob("*.yaml")):
        for name, given in read_yaml(path).items():
            classes[name] = parse(given, Weakness, source=f"{path.name}: {name}")
    return classes


def named(text: str, thing: str) -> str:
    """A text about a thing."""
    article = "an" if thing[0] in "aeiou" else "a"
    text = re.sub(r"\ba <thing>", f"{article} {thing}", text)
    return text.replace("<things>", THINGS[thing]).replace("<thing>", thing)


def write(task: Task, core: str, thing: str) -> str:
    """The whole code: skeleton and core, about a thing, imports at the top, no newline at the end."""
    lines = core.strip("\n").split("\n")
    imports = [line for line in lines if re.match(r"(import|from) ", line)]
    rest = [line for line in lines if line not in imports]
    body = []
    for line in task.code.strip("\n").split("\n"):
        if line.strip() == "<core>":
            indent = line[: len(line) - len(line.lstrip())]
            body += [indent + each if each else each for each in rest]
        else:
            body.append(line)
    while body and not body[0]:
        body.pop(0)
    if imports:
        apart = [] if re.match(r"(import|from) ", body[0]) else [""] + [""] * body[0].startswith("def ")
        body = [*imports, *apart, *body]
    return named("\n".join(body), thing)
