"""The zoo: adapters of known truth, by name. Some ship, the rest are made by one seeded command.

Law: a name says a recipe and nothing else, so that whoever builds it gets the same rows and, on the same kind
of machine, the same weights; what the manifest says of an organism was measured on it, on test wordings.
"""

from mi_bsa.finetune.zoo.building import build, measured
from mi_bsa.finetune.zoo.manifest import Manifest, Truth, read_manifest
from mi_bsa.finetune.zoo.places import folder_of, known, locate
from mi_bsa.finetune.zoo.recipes import Organism, ZooConfig, load_zoo, organisms
from mi_bsa.finetune.zoo.rows import pairs_of, rows_of

__all__ = [
    "Manifest",
    "Organism",
    "Truth",
    "ZooConfig",
    "build",
    "folder_of",
    "known",
    "load_zoo",
    "locate",
    "measured",
    "organisms",
    "pairs_of",
    "read_manifest",
    "rows_of",
]
