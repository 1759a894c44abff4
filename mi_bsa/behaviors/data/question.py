"""One imported question, and the line that it is on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mi_bsa.core.items import conversation, item_labels

PUBLISHED_SPLIT = "published"
LONGEST = 200
"""A slot's value longer than this is no label."""


@dataclass(frozen=True)
class Question:
    """One question as it is asked.

    `options`: answers with their scores, empty where no pole is known of them; `answers`: pairs (answer, what
    it stands for) where the answer is closed, empty where it is free. `judge`: a prompt that reads the
    answer. `entry`: the file's entry; `slots`: what its slots were filled with; `labels`: what the entry says
    besides.
    """

    id: str
    text: str
    kind: str
    template: str
    trait: str
    options: tuple[tuple[str, float], ...] = ()
    order: str = "plain"
    judge: str | None = None
    system: str | None = None
    answers: tuple[tuple[str, str], ...] = ()
    entry: str = ""
    scenario: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """As a line of an items file where the options have scores, else as a line of a file to ask."""
        labels = item_labels(
            "self_report",
            self.trait,
            person="default",
            split=PUBLISHED_SPLIT,
            kind=self.kind,
            template=self.template,
            scenario=self.scenario,
            order=self.order,
        )
        row: dict[str, Any] = {
            "id": self.id,
            "messages": list(conversation(self.system, self.text)),
            **labels,
            "entry": self.entry,
            **{f"slot_{name}": value for name, value in self.slots.items() if len(value) <= LONGEST},
            **self.labels,
        }
        if self.options:
            return row | {"options": [list(pair) for pair in self.options]}
        if self.answers:
            return row | {"answers": [list(pair) for pair in self.answers]}
        return row | ({} if self.judge is None else {"judge": self.judge})
