"""One entry of a question file: its wordings, slots, options and answers, checked when it is made.

Law: an entry is asked as the published code would ask it, or `RefusedError` says why not.
"""

import difflib
import itertools
import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mi_bsa.asking.templates import filled, freed, held, needed, shown, slots, ways
from mi_bsa.behaviors.data.fillings import Draw, fillings
from mi_bsa.behaviors.data.poles import Poles
from mi_bsa.behaviors.data.question import Question
from mi_bsa.behaviors.data.scales import scale_of

CHOICE = re.compile(r"must (?:choose|pick|select) either ['\"]([^'\"]+)['\"] or ['\"]([^'\"]+)['\"]")
WORDINGS = ("question_paraphrases", "question")
TEXTS = ("prefix", "suffix", "system", "system_prompt", "guesser_prompt")
NUMBERS = {"n_samples": "samples", "num_samples": "samples", "samples": "samples"} | {
    name: name for name in ("temperature", "max_tokens")
}
"""Keys that say how to sample, and the label that `mi-bsa ask` reads them from."""
SILENT = ("title", "question_type", "guesser_question_type", "func_name")
"""Keys of the published files that are kept as labels without a word: they change nothing that is asked."""
USED = ("name", *WORDINGS, *TEXTS, *NUMBERS, "options", "scores", "flipped")
INSTRUCTION = "Answer with one of the letters {letters}, and with nothing else."
ORDERS = 120
"""Orders of a question's options that are asked: all of five options."""
MOST = 20_000
"""Questions that one entry may stand for."""
MOST_OPTIONS = 26
LONGEST_LABEL = 200


class RefusedError(Exception):
    """Why an entry cannot be asked."""


@dataclass(frozen=True)
class Settings:
    """How entries are read: values for slots given by hand, the line that asks for a letter, the direction of
    scales that do not say it, how many orders of options, and the seed of what is drawn.
    """

    fill: Mapping[str, Sequence[str]] = field(default_factory=dict)
    instruction: str = INSTRUCTION
    flipped: bool | None = None
    orders: int = ORDERS
    seed: int = 0


class Entry:
    """One entry, checked when it is made."""

    def __init__(
        self, entry: Any, name: str, path: Path, trait: str, poles: Poles | None, settings: Settings
    ) -> None:
        if not isinstance(entry, Mapping):
            raise RefusedError(f"is {type(entry).__name__}, not a mapping of keys")
        given = entry.get("name")
        if isinstance(given, bool) or not isinstance(given, str | int) or not str(given).strip():
            raise RefusedError("needs 'name', a text")
        odd = [key for key in entry if not isinstance(key, str)]
        if odd:
            raise RefusedError(f"key {odd[0]!r} is no text; quote it")
        self.entry, self.name, self.path, self.trait = entry, name, path, trait
        self.poles, self.settings = poles, settings
        self.told: list[str] = []
        self.wordings = self._wordings()
        texts = {key: self._text(key) for key in TEXTS}
        if texts["system"] and texts["system_prompt"]:
            raise RefusedError("has 'system' and 'system_prompt'; give one")
        self.system = texts["system"] or texts["system_prompt"]
        self.prefix, self.suffix = texts["prefix"], texts["suffix"]
        self.options = self._texts("options") if entry.get("options") is not None else []
        self.scores = self._scores()
        self.flipped = entry.get("flipped", settings.flipped)
        if not isinstance(self.flipped, bool | None):
            raise RefusedError(f"'flipped' is {self.flipped!r}; give true or false")
        self.judge = self._judge(texts["guesser_prompt"])
        self.known = self._known()

    def questions(self) -> list[Question]:
        """All that the entry asks."""
        questions: list[Question] = []
        for k, wording in enumerate(self.wordings):
            text = self.prefix + wording + (f"\n\n{self.suffix}" if self.suffix else "")
            self._check_options(text)
            for at, values in enumerate(self._values(text, k)):
                questions += self._asked(text, values, k, at)
                if len(questions) > MOST:
                    raise RefusedError(f"stands for more than {MOST} questions; give fewer options or values")
        used = {name for question in questions for name in question.slots}
        for key in self.entry:
            if key not in (*USED, *SILENT) and key not in used and key.removesuffix("s") not in used:
                self.told.append(f"key {key!r} is not used{_near(key)}; kept as the label field_{key}")
        return questions

    def _wordings(self) -> list[str]:
        given = [key for key in WORDINGS if self.entry.get(key) is not None]
        if not given:
            raise RefusedError("needs 'question_paraphrases' or 'question'")
        if len(given) == 2:
            raise RefusedError("has 'question_paraphrases' and 'question'; give one")
        single = given[0] == "question" and isinstance(self.entry["question"], str)
        return [self._text("question")] if single else self._texts(given[0])

    def _text(self, key: str) -> str:
        value = self.entry.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise RefusedError(f"{key!r} is {type(value).__name__}, not a text; quote it")
        return value

    def _texts(self, key: str) -> list[str]:
        values = self.entry[key]
        if not isinstance(values, list) or not values:
            raise RefusedError(f"{key!r} is {type(values).__name__}, not a list of texts")
        for n, value in enumerate(values):
            if not isinstance(value, str) or not value.strip():
                raise RefusedError(f"{key!r}, number {n}, is {value!r}, not a text; quote it")
        if len(set(values)) < len(values):
            raise RefusedError(f"{key!r} holds a text twice; keep one")
        return values

    def _scores(self) -> list[float] | None:
        scores = self.entry.get("scores")
        if scores is None:
            return None
        good = isinstance(scores, list) and len(scores) == len(self.options)
        if not good or not all(_number(s) and 0 <= s <= 1 for s in scores):
            raise RefusedError("'scores' must be one number in [0, 1] for each of its options")
        return [float(s) for s in scores]

    def _judge(self, prompt: str) -> str | None:
        if not prompt:
            return None
        answer = [name for name in slots(prompt) if name != "question"]
        if len(answer) != 1:
            raise RefusedError(
                f"its 'guesser_prompt' has the slots {answer}; it needs exactly one, for the answer"
            )
        return prompt

    def _known(self) -> dict[str, list[str]]:
        """Values for slots by their name: from the entry's further keys, by hand (these win)."""
        known: dict[str, list[str]] = {}
        for key, value in self.entry.items():
            if key in (*USED, *SILENT):
                continue
            some = value if isinstance(value, list) else [value]
            if some and all(isinstance(text, str) for text in some):
                known[key] = some
                if isinstance(value, list) and key.endswith("s"):
                    known.setdefault(key[:-1], some)
        return known | {key: [held(v) for v in values] for key, values in self.settings.fill.items()}

    def _check_options(self, text: str) -> None:
        has = "options" in slots(text)
        if has and not self.options:
            raise RefusedError("has {options} in its wording and no 'options'")
        if self.options and not has:
            raise RefusedError("has 'options' and a wording without {options}: they would not be asked")
        if self.entry.get("question_type") == "multiple_choice" and not self.options:
            raise RefusedError("is of type multiple_choice and has no 'options'")
        if self.options and not 2 <= len(self.options) <= MOST_OPTIONS:
            raise RefusedError(f"has {len(self.options)} option(s); give 2 to {MOST_OPTIONS}")

    def _values(self, text: str, k: int) -> Iterator[dict[str, str]]:
        """Every way to fill the slots of a wording; a slot without a value refuses the entry."""
        texts = [text, self.system, *self.options]
        names = [name for name in needed(texts, self.known) if name != "options"]
        known: dict[str, Sequence[str]] = dict(self.known)
        drawn: dict[str, Draw] = {}
        for name in names:
            if name not in known:
                given = fillings(self.path, name)
                if given is None:
                    raise RefusedError(
                        f"nothing fills the slot {{{name}}}; give the entry a key {name!r}, or "
                        f"--fill {name or 'NAME'}=VALUE"
                    )
                if callable(given):
                    drawn[name] = given
                else:
                    known[name] = given
        if math.prod(len(known[name]) for name in names if name in known) > MOST:
            raise RefusedError(f"its slots stand for more than {MOST} questions; give fewer values")
        for at, values in enumerate(ways(names, known)):
            seed = f"{self.settings.seed}-{self.path.stem}-{self.name}-{k}-{at}"
            yield values | {
                name: draw(random.Random(f"{seed}-{name}"), self.settings.seed)
                for name, draw in drawn.items()
            }

    def _asked(self, text: str, values: Mapping[str, str], k: int, at: int) -> Iterator[Question]:
        """The questions of one wording with its slots filled: one for each order of its options."""
        used = dict(values)
        options = [self._full(option, used) for option in self.options]
        if len(set(options)) < len(options):
            raise RefusedError("two of its options are the same once filled")
        template = f"{self.path.stem}-{self.name}-{k}"
        scenario = f"{template}-{at}" if used else template
        base = Question(
            id=scenario,
            text="",
            kind="free_form",
            template=template,
            trait=self.trait,
            judge=self.judge,
            system=self._full(self.system, used) or None,
            entry=self.name,
            scenario=scenario,
            slots={name: freed(value) for name, value in used.items()},
            labels=self._labels(set(used)),
        )
        if not options:
            yield self._closed(replace(base, text=self._full(text, used)))
            return
        letters = [chr(ord("A") + n) for n in range(len(options))]
        asks = self.settings.instruction.replace("{letters}", f"{', '.join(letters[:-1])} or {letters[-1]}")
        scores = self._option_scores(options)
        for n, order in enumerate(self._orders(len(options), scenario)):
            lines = "\n".join(f"{x}) {options[o]}" for x, o in zip(letters, order, strict=True))
            full = self._full(text, used | {"options": held(lines)})
            question = replace(
                base,
                id=f"{scenario}-order{n}",
                text=f"{full}\n{asks}" if asks else full,
                answers=tuple((x, freed(options[o])) for x, o in zip(letters, order, strict=True)),
                kind="choices",
            )
            if scores is None:
                yield question
                continue
            scored = [scores[o] for o in order]
            yield replace(
                question,
                kind="letter",
                options=tuple(zip(letters, scored, strict=True)),
                order="plain" if scored[0] >= scored[-1] else "flipped",
            )

    def _orders(self, n: int, name: str) -> list[tuple[int, ...]]:
        """Every order of the options, or so many drawn by seed where there are more."""
        if math.factorial(n) <= self.settings.orders:
            return list(itertools.permutations(range(n)))
        rng = random.Random(f"orders-{self.settings.seed}-{name}")
        orders: dict[tuple[int, ...], None] = {}
        while len(orders) < self.settings.orders:
            orders.setdefault(tuple(rng.sample(range(n), n)))
        note = f"{self.settings.orders} of {math.factorial(n)} orders of its options, drawn by seed"
        if note not in self.told:
            self.told.append(note)
        return list(orders)

    def _option_scores(self, options: Sequence[str]) -> list[float] | None:
        """The options' scores: said in the entry, or of two options one of either pole; else none."""
        if self.scores is not None:
            return self.scores
        signs = [] if self.poles is None else [self.poles.sign(freed(option)) for option in options]
        return [float(sign > 0) for sign in signs] if sorted(signs) == [-1, 1] else None

    def _closed(self, question: Question) -> Question:
        """The question with its answers, where it asks for a number or for one of two given words."""
        scale = scale_of(question.text)
        if scale is not None:
            flipped = self.flipped
            if flipped is None and self.poles is not None:
                flipped = scale.flipped(self.poles)
                if flipped is None:
                    raise RefusedError(
                        f"wording {question.template!r} does not say which pole stands at {scale.low} and "
                        f"at {scale.high}; give the entry `flipped: false` ({scale.high} is the seeking "
                        "pole) or `flipped: true`, or all of them --flipped no or yes"
                    )
            answers = tuple((n, n) for n in scale.numbers)
            if flipped is None:
                return replace(question, kind="number", answers=answers)
            kind, order = ("scale_flipped", "flipped") if flipped else ("scale", "plain")
            return replace(
                question, kind=kind, order=order, options=scale.scored(flipped=flipped), answers=answers
            )
        words = CHOICE.search(question.text)
        if not words:
            return question
        pair = words.groups()
        signs = [0, 0] if self.poles is None else [self.poles.sign(word) for word in pair]
        question = replace(question, answers=tuple((word, word) for word in pair), kind="words")
        if sorted(signs) != [-1, 1]:
            return question
        options = tuple((word, float(sign > 0)) for word, sign in zip(pair, signs, strict=True))
        return replace(question, kind="word", options=options, order="plain" if signs[0] > 0 else "flipped")

    def _full(self, text: str, values: Mapping[str, str]) -> str:
        done = filled(text, values)
        if slots(done):
            raise RefusedError(
                f"{shown(done)} in its words is filled by nothing; write the slot as {{name}}, or --fill it "
                "with what is meant"
            )
        return freed(done)

    def _labels(self, slots_used: set[str]) -> dict[str, Any]:
        """What the entry says besides: how to sample, and unused keys as `field_KEY`."""
        labels: dict[str, Any] = {}
        for key, name in NUMBERS.items():
            if key in self.entry:
                value = self.entry[key]
                if not _number(value) or value < 0:
                    raise RefusedError(f"{key!r} is {value!r}; give a number")
                labels[name] = value
        for key, value in self.entry.items():
            if key not in USED and key not in slots_used and key.removesuffix("s") not in slots_used:
                known = isinstance(value, str | int | float | bool)
                plain = value if known else json.dumps(value, default=str)
                labels[f"field_{key}"] = plain[:LONGEST_LABEL] if isinstance(plain, str) else plain
        return labels


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _near(key: str) -> str:
    near = difflib.get_close_matches(key, (*USED, *SILENT), n=1, cutoff=0.7)
    return f" (did you mean {near[0]!r}?)" if near else ""
