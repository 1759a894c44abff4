"""Word association: how much of the self-report do the words of the training rows give by themselves?

Two baselines that have the rows and no finetuning. *In context*: the base reads rows of one run, with their
answers, as earlier turns of the conversation, and is then asked the same questions. *Bag*: a classifier of
the words that a run's rows choose (its answer, or the option that its answer names), trained to tell the
two poles' rows apart, and then read out on the words of the report's options as if they were a row. It
comes in two
forms: `words` knows the words alone, and says nothing of options whose words stand in no row; `word_vectors`
is generous, and sees each word through the base's own embedding, so that an unseen word counts as much as its
neighbors do. Neither is fitted on any report.

Law: a baseline is given as a share of the finetuned report's effect, pole against pole, paired by seed and
wording, both of which were drawn; one classifier a seed, of that seed's own rows.

Results: `bridge.words.in_context`, `bridge.words.bag` (method = `words` or `word_vectors`), unit "share of
the report's effect" (`..._shift` where the report does not move), null: the same with the poles of rows
shuffled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.causal.material import POLES
from mi_bsa.causal.ratios import share
from mi_bsa.core.items import Item
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.material import Material

RowsByRun = Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]
"""{pole: one list of training rows a seed}."""
SHUFFLES = 20


def words(
    material: Material, rows: RowsByRun, *, in_context: int = 12, items: int = 24, seed: int = 0
) -> list[Result]:
    """Both baselines beside the finetuned report.

    Args:
        material: model, adapters and items.
        rows: the training rows of both poles, by seed.
        in_context: rows that the base reads before each question.
        items: report questions that are asked.
        seed: of the rows that are read, and of the shuffled null.
    """
    readout = material.of("self_report", "test", items=items)
    whole = np.array(
        [
            readout.units(
                material.scores(readout, material.arms["seeking"][n])
                - material.scores(readout, material.arms["averse"][n])
            )
            for n in range(len(material.seeds))
        ]
    )
    where = {"behavior": material.behavior, "split": "test"}
    told = "share of the report's effect"
    read = np.array([_read(material, readout, rows, n, in_context, seed) for n in range(len(material.seeds))])
    results = [
        share(
            "bridge.words.in_context",
            where,
            read,
            whole,
            seeds=material.seeds,
            named=readout.unit_names,
            unit=told,
            notes=f"{in_context} rows of the run as earlier turns, asked of the base",
        )
    ]
    for method in ("words", "word_vectors"):
        bags = [_Bag(material, method, {p: rows[p][n] for p in POLES}) for n in range(len(material.seeds))]
        gaps = np.array([bag.gaps(readout) for bag in bags])
        rng = np.random.default_rng(seed)
        null = np.array([[bag.shuffled(rng).gaps(readout).mean() for bag in bags] for _ in range(SHUFFLES)])
        results.append(
            share(
                "bridge.words.bag",
                {**where, "method": method},
                gaps,
                whole,
                seeds=material.seeds,
                named=readout.unit_names,
                draws=null,
                null_kind="poles of rows shuffled",
                unit=told,
                notes="classifier of the words that rows choose, read out on the words of the options",
            )
        )
    return results


def chosen_words(row: Mapping[str, Any]) -> list[str]:
    """The words that a row's answer stands for: those of the option that it names, or else its own."""
    question, answer = row["messages"][-2]["content"], row["messages"][-1]["content"].strip()
    marks = list(re.finditer(r"(?<!\w)([A-Za-z0-9])[:)]\s", question))
    for k, mark in enumerate(marks):
        if mark.group(1) == answer.strip(".)"):
            end = marks[k + 1].start() if k + 1 < len(marks) else len(question)
            first = re.split(r"[.?]\s", question[mark.end() : end])[0]
            return _split(re.sub(r"\b(or|take)\s*$", "", first))
    return _split(answer)


def _split(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


class _Bag:
    """A classifier of two poles' rows by the words that they choose."""

    def __init__(
        self,
        material: Material,
        method: str,
        rows: Mapping[str, Sequence[Mapping[str, Any]]],
        labels: np.ndarray | None = None,
    ) -> None:
        from sklearn.linear_model import LogisticRegression

        own = [row for pole in POLES for row in rows[pole] if row.get("person", "default") == "default"]
        self.given = (material, method, rows)
        self.documents = [chosen_words(row) for row in own]
        counts = [sum(row.get("person", "default") == "default" for row in rows[p]) for p in POLES]
        self.labels = np.repeat([1, 0], counts) if labels is None else labels
        self.vocabulary = sorted({w for d in self.documents for w in d})
        self.index = {w: n for n, w in enumerate(self.vocabulary)}
        self.vectors = _embeddings(material) if method == "word_vectors" else None
        self.fitted = LogisticRegression(max_iter=1000).fit(self.features(self.documents), self.labels)

    def shuffled(self, rng: np.random.Generator) -> _Bag:
        """The same rows with their poles handed out anew."""
        return _Bag(*self.given, labels=rng.permutation(self.labels))

    def features(self, documents: Sequence[Sequence[str]]) -> Float[np.ndarray, "document feature"]:
        """Counts of known words, or the mean embedding of all words."""
        if self.vectors is not None:
            return np.stack(
                [np.mean([self.vectors(w) for w in d] or [self.vectors("")], 0) for d in documents]
            )
        found = np.zeros((len(documents), len(self.vocabulary)))
        for line, document in zip(found, documents, strict=True):
            for word in document:
                if word in self.index:
                    line[self.index[word]] += 1
        return found

    def gaps(self, readout: Readout) -> Float[np.ndarray, " unit"]:
        """Expected score of the options, chosen by how much their words are those of seeking rows, less the
        same for averse rows; by wording.
        """
        gaps = []
        for item in readout.items:
            texts = [_named(item, text) for text, _ in item.options]
            odds = self.fitted.decision_function(self.features([_split(text) for text in texts]))
            scores = np.array([score for _, score in item.options])
            levels = []
            for sign in (1.0, -1.0):
                shares = np.exp(sign * odds - (sign * odds).max())
                levels.append(float(shares @ scores / shares.sum()))
            gaps.append(levels[0] - levels[1])
        return readout.units(np.array(gaps))


def _named(item: Item, option: str) -> str:
    """What an option says: a letter stands for the words behind it in the question."""
    question = str(item.messages[-1]["content"])
    row = {"messages": [{"content": question}, {"content": option}]}
    return " ".join(chosen_words(row)) or option


def _embeddings(material: Material) -> Any:
    """word -> mean embedding of its tokens in the base, standardized."""
    table = material.model.anatomy.embed.weight.detach().float().cpu().numpy()  # type: ignore[operator]
    table = (table - table.mean(0)) / (table.std(0) + 1e-6)
    tokenizer, known = material.model.tokenizer, dict[str, np.ndarray]()

    def vector(word: str) -> np.ndarray:
        if word not in known:
            ids = tokenizer(f" {word}", add_special_tokens=False)["input_ids"] if word else []
            known[word] = table[ids].mean(0) if ids else np.zeros(table.shape[1])
        return known[word]

    return vector


def _read(
    material: Material, readout: Readout, rows: RowsByRun, n: int, count: int, seed: int
) -> Float[np.ndarray, " unit"]:
    """Gap of the base's report after reading rows of either pole, the same prompts in both; by wording."""
    from mi_bsa.asking.readouts import Readout

    rng = np.random.default_rng([seed, n])
    own = {p: [r for r in rows[p][n] if r.get("person", "default") == "default"] for p in POLES}
    order = rng.permutation(min(len(own[p]) for p in POLES))[:count]
    levels = []
    for pole in POLES:
        before = [dict(m) for k in order for m in own[pole][k]["messages"] if m["role"] != "system"]
        asked = [
            Item(
                id=item.id,
                messages=(
                    *(m for m in item.messages if m["role"] == "system"),
                    *before,
                    *(m for m in item.messages if m["role"] != "system"),
                ),
                options=item.options,
                labels=item.labels,
            )
            for item in readout.items
        ]
        shown = Readout.of(material.model, asked, name=readout.name)
        levels.append(shown.units(shown.score(material.logits(shown)))[0])
    gap: np.ndarray = levels[0] - levels[1]
    return gap
