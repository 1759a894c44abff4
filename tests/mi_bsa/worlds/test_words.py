"""Words of the worlds: their files give the vocabularies and documents that what ships was made of."""

import hashlib
import itertools
import json

import pytest

from mi_bsa.worlds.recipe import Recipe
from mi_bsa.worlds.worlds import WORLDS, kind

DIGESTS = {
    "dispositions": (275, "54a25edfed9ef735", "9d6df310d39c33df"),
    "say": (317, "940e1becc2b0911b", "92d5b3372f616e0e"),
    "code": (474, "89951d68b5ae0a07", "64c97771707c4e84"),
    "tastes": (173, "c3e98cb90896cb02", "3e1eed2eecc353af"),
    "twenty": (277, "2644fcf091ec3abf", "5c75b389294fcee6"),
    "habits": (668, "dfaf9fe84b6b2f0d", "4cef3ca65de786af"),
    "preferences": (322, "9ee66187320b56e7", "74adbb11bc85968c"),
}
"""World -> words, hash of the vocabulary in its order, hash of 4,000 documents."""


@pytest.mark.parametrize("name", WORLDS)
def test_words_and_documents_are_those_of_the_models_that_ship(name: str) -> None:
    """A word that moves in a file makes another tokenizer, and a sentence another corpus."""
    found = kind(name)
    world = found.make(Recipe(world=name))
    words = found.vocabulary(world)
    documents = list(itertools.islice(iter(found.corpus(world, found.mixture(), seed=3)), 4000))
    hashes = (hashlib.sha256(json.dumps(one).encode()).hexdigest()[:16] for one in (words, documents))
    assert (len(words), *hashes) == DIGESTS[name]
