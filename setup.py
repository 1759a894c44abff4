"""The packages of the wheel, and README.md as a package index shows it; all else stands in pyproject.toml.

`configs/`, at the top of the repository, lies in the wheel as `mi_bsa/configs`, so that built-in configs go
by their names from any folder (`mi_bsa.core.builtin`).

An index shows the README without the files beside it. Links and images are absolute where pyproject.toml says
a home (`[project.urls]`, `Source`), at the tag of the version; without one they are plain text.
"""

import re
import tomllib
from pathlib import Path

from setuptools import find_namespace_packages, setup

HERE = Path(__file__).parent
DATA = ["**/*.yaml", "**/*.html", "**/*.jinja", "**/*.css", "cli/helps.txt", "core/shapes/*.json", "py.typed"]
RELATIVE = re.compile(r"(!?)\[([^\]]+)\]\((?![a-z]+:)([^)\s]+)\)")
"""A link or an image of Markdown to a file beside it."""


def as_an_index_shows(markdown: str, home: str | None, version: str) -> str:
    """The text with no relative link left: to the file in `home` at the version's tag, or its words alone."""

    def placed(found: re.Match[str]) -> str:
        image, words, path = found.groups()
        if home is None:
            return f"*Figure: {words}*" if image else words
        return f"{image}[{words}]({home.rstrip('/')}/{'raw' if image else 'blob'}/v{version}/{path})"

    return RELATIVE.sub(placed, markdown)


def described() -> str:
    """README.md for the metadata."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    return as_an_index_shows(readme, project.get("urls", {}).get("Source"), project["version"])


if __name__ == "__main__":
    setup(
        long_description=described(),
        long_description_content_type="text/markdown",
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
