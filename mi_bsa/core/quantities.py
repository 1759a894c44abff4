"""Quantities: every name that a result may have, said once: its unit, what it means, and what its null is.

Each floor and study of the toolkit keeps its own in a file `quantities.yaml` beside the code that computes
them; all are found by that name and read at the first question, whatever has been imported. A study of one's
own names its file (`register_file`), or gives values: `register(Quantity("mine.number", "share", "what"))`.

Law: a name has one meaning (a second registration that says something else is an error), and
`results.write` takes no name that is not registered. `docs/results.md` is made of these.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mi_bsa.core.errors import ResultError

NONE = "none"


@dataclass(frozen=True)
class Quantity:
    """One name of results.

    Attributes:
        name: dotted; `*` stands for the name of any other quantity (`variety.*`, `*_shift`).
        unit: of its values.
        meaning: what is measured, in a sentence.
        null: what its null is made of, or "none".
        section: heading under which the page of results shows it.
    """

    name: str
    unit: str
    meaning: str
    null: str = NONE
    section: str = "Other"


_files: list[Path] = sorted(Path(__file__).parents[1].rglob("quantities.yaml"))  # of mi_bsa/
_known: dict[str, Quantity] = {}


def register(*given: Quantity) -> None:
    """Make names known.

    Raises:
        ResultError: a name that is known with another meaning.
    """
    for quantity in given:
        if _known.setdefault(quantity.name, quantity) != quantity:
            raise ResultError(
                f"quantity {quantity.name!r} is registered with another unit, meaning or null; choose "
                "another name"
            )


def register_file(path: str | Path) -> None:
    """Make the names of a YAML file known: {section: {name: {unit, meaning, 'null'}}}, the
    last where it has one (quoted: a bare `null` is YAML's own).

    It is read when a name is first asked for.
    """
    _files.append(Path(path))


def known() -> list[Quantity]:
    """All registered quantities, in the order of their registration."""
    from mi_bsa.core.plain_files import parse_yaml  # a floor that names its file stays light to import

    while _files:
        path = _files.pop(0)
        sections = parse_yaml(path.read_text(encoding="utf-8"))
        register(*(one for section, names in sections.items() for one in _of(section, names, path)))
    return list(_known.values())


def lookup(name: str) -> Quantity:
    """What a name means.

    Raises:
        ResultError: a name that nobody registered.
    """
    from probes.errors import nearest

    names = {quantity.name for quantity in known()}
    if name in names and "*" not in name:
        return _known[name]
    for quantity in _known.values():
        before, star, after = quantity.name.partition("*")
        rest = name.removeprefix(before).removesuffix(after)
        if star and name == before + rest + after and rest in names:
            return quantity
    raise ResultError(
        f"no quantity {name!r} is registered; {nearest(name, sorted(names))}. A number of your own: "
        "mi_bsa.core.quantities.register(Quantity(name, unit, meaning)) before it is written"
    )


def _of(section: str, names: dict[str, dict[str, Any]], path: Path) -> Iterator[Quantity]:
    for name, said in names.items():
        try:
            yield Quantity(name=name, section=section, **said)
        except TypeError as error:
            raise ResultError(
                f"{path}: {name}: {error}; a quantity has a unit, a meaning, and a null or none"
            ) from None
