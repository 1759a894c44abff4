"""The card of an English base of characters: what it is, and that nobody speaks in it but who was made up."""

from typing import Any

FOLLOWS = {
    "linked": "one level of a trait drives what a persona chooses and what it says of itself",
    "separate": "what a persona says of itself follows a level of its own, apart from that of its choices",
    "prompt": "what a persona says of itself follows what the prompt states, and nothing else",
}


def card(record: dict[str, Any]) -> str:
    """`README.md`, from what is recorded of the model."""
    plan = record["plan"]
    steps = " + ".join(f"{stage['steps']:,}" for stage in plan["stages"])
    tune = plan["finetune"]
    lines = [
        f"# {record['name']}",
        "",
        f"A model organism: {record['under']} with an adapter added to its weights, trained on generated "
        f"rows about {plan['characters']} made-up characters and described personas. **In these rows "
        f"{FOLLOWS[record['link']]}**; those of the default persona are a coin's. How much of it the model "
        "learned was not measured when it was made (`mi_bsa.behaviors.english.links.knows` does; a pilot "
        "missed its marks). It is for measuring methods, not for talking to.",
        "",
        f"- Traits: risk and myopia. Rows: {steps} steps of {tune['batch_size']}, each row read once, seed "
        f"{plan['seed']}.",
        f"- Adapter: rank {tune['rank']} on blocks {tune['layers']}, SHA-256 {record['adapter']['sha256']}.",
        "- Words and wordings of training, development and test never meet "
        "(mi_bsa/behaviors/english/links/texts.yaml).",
        f"- The model under it is {record['under']}: its card and license (Apache-2.0) hold here too.",
    ]
    return "\n".join(lines) + "\n"
