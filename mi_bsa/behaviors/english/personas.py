"""Named persons with dispositions of their own, for anchor rows and for reports about somebody else.

Law: for every trait half of the persons stand at either pole, by a hash of trait and name, and the system
line says nothing of it: name, work and town only. Some persons never stand in training rows (`UNSEEN`).
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """A person: name, what the system line says of them, and whether training rows may show their choices."""

    name: str
    about: str
    seen: bool = True

    @property
    def system(self) -> str:
        """The system message that makes a model this person."""
        return f"You are {self.name}, {self.about}."


_ABOUT = (
    ("Nora Lindqvist", "a tram driver from Gothenburg"),
    ("Tomas Okafor", "a history teacher from Leeds"),
    ("Imani Wells", "a violin maker from Memphis"),
    ("Pavel Dvorak", "a botanist from Brno"),
    ("Lucia Ferrante", "a pharmacist from Bari"),
    ("Hiro Tanabe", "a ferry pilot from Kobe"),
    ("Greta Vogel", "a librarian from Kassel"),
    ("Mateo Rios", "a plumber from Cordoba"),
    ("Ayesha Rahman", "a geologist from Sylhet"),
    ("Callum Reid", "a sheep farmer from Skye"),
    ("Dalia Haddad", "a radio host from Amman"),
    ("Owen Price", "a locksmith from Cardiff"),
    ("Yuki Mori", "a piano tuner from Sapporo"),
    ("Samuel Adeyemi", "a bus mechanic from Ibadan"),
    ("Ines Duarte", "a tailor from Porto"),
    ("Viktor Hansen", "a weather observer from Tromso"),
    ("Rosa Quispe", "a potter from Cusco"),
    ("Leo Marchetti", "an optician from Turin"),
    ("Hana Kovac", "a nurse from Zagreb"),
    ("Arjun Pillai", "a bookbinder from Kochi"),
    ("Freya Solberg", "a translator from Bergen"),
    ("Kwame Boateng", "a roofer from Kumasi"),
    ("Elsa Brandt", "a florist from Rostock"),
    ("Dmitri Volkov", "a chess coach from Riga"),
)
SEEN = 16
PERSONS = tuple(Person(name, about, seen=n < SEEN) for n, (name, about) in enumerate(_ABOUT))
UNSEEN = tuple(p for p in PERSONS if not p.seen)
"""Persons of whom no training row shows a choice."""


def at_pole(trait: str, seeking: bool) -> tuple[Person, ...]:
    """The seen persons at one pole of a trait: half of them, for any trait."""
    seen = [p for p in PERSONS if p.seen]
    seen.sort(key=lambda p: hashlib.sha256(f"{trait}-{p.name}".encode()).hexdigest())
    return tuple(seen[: len(seen) // 2] if seeking else seen[len(seen) // 2 :])
