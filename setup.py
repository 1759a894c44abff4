"""The packages of the wheel; all else stands in pyproject.toml.

`configs/`, at the top of the repository, lies in the wheel as `mi_bsa/configs`, so that built-in configs go
by their names from any folder (`mi_bsa.core.builtin`).
"""

from setuptools import find_namespace_packages, setup

DATA = ["**/*.yaml", "**/*.html", "**/*.jinja", "**/*.css", "core/shapes/*.json", "py.typed"]

setup(
    packages=[
        *find_namespace_packages(include=["mi_bsa*", "probes*", "activations*"]),
        "mi_bsa.configs",
        *(f"mi_bsa.configs.{part}" for part in find_namespace_packages("configs")),
    ],
    package_dir={"mi_bsa.configs": "configs"},
    package_data={
        "mi_bsa": DATA,
        "mi_bsa.worlds": ["weights/**/*"],
        "mi_bsa.finetune.zoo": ["shipped/**/*"],
        "mi_bsa.configs": ["*/*.yaml", "*/*.jsonl", "*/*.lock"],
        "activations": ["py.typed"],
        "probes": ["py.typed"],
    },
)
