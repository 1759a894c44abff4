"""`docs/results.md` from the registered quantities: `python -m mi_bsa.cli.docs_results > docs/results.md`.

The law it keeps: the page has every name that shipped code may write, in the words of its registration; a
test holds it current. What stands above the tables is `docs_results.jinja`.
"""

from pathlib import Path

from mi_bsa.core.quantities import Quantity, known
from mi_bsa.core.results import WHERE_KEYS


def page() -> str:
    """The whole page, as Markdown."""
    import jinja2

    sections: dict[str, list[Quantity]] = {}
    for quantity in known():
        sections.setdefault(quantity.section, []).append(quantity)
    made = jinja2.Environment(autoescape=False, keep_trailing_newline=True)  # Markdown, of our own words
    made.filters["cell"] = lambda text: text.replace("|", "\\|")
    template = made.from_string(Path(__file__).with_suffix(".jinja").read_text(encoding="utf-8"))
    return template.render(where=", ".join(WHERE_KEYS), sections=sections).rstrip("\n") + "\n"


if __name__ == "__main__":
    print(page(), end="")
