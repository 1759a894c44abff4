"""The card of a converted model: what it is, whose it is, and that its numbers are not the original's."""

from typing import Any


def card(record: dict[str, Any]) -> str:
    """`README.md`, from what is recorded of the model."""
    license = str(record["license"])
    checked = record["checked"]
    lines = [
        "---",
        f"license: {license.lower()}" if license != "unknown" else "license: unknown",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "---",
        f"# {record['title']}",
        "",
        f"**The weights are {record['weights']}**, written here as {record['dtype']}. They are not the "
        "published ones: every number measured on this model is a number of these weights; report it so.",
        "",
        f"- Model by: {record['owner']} ({record['origin']}).",
        f"- License: {license}.",
        f"- Source: {record['source']['name']}, SHA-256 {record['source']['sha256']}.",
        f"- Parameters: {record['parameters']:,}. Tensors in the source: {record['source']['tensors']}.",
        f"- Made by mi-bsa {record['toolkit']} with transformers {record['transformers']}.",
    ]
    if "answer" in checked:
        lines.append(
            f"- Checked after conversion: loss {checked['loss']:.4f} on a fixed text (known: "
            f'{checked["known"]}), and the greedy answer "{checked["answer"]}" to "{checked["question"]}".'
        )
    else:
        lines.append(f'- Read once after conversion: loss {checked["loss"]:.4f} on "{checked["text"]}".')
    return "\n".join(lines) + "\n"
