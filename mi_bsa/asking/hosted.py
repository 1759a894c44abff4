"""A base and its finetunes behind an OpenAI-compatible endpoint, asked as a local model is.

An endpoint does not give the probability of any text that one likes: it gives the likeliest first tokens (20
at most where OpenAI sets the limit) and samples. So an option has the probability of the first tokens that
are it, or that can only be its beginning; what begins several options, or is one or two letters of one,
counts for none. The option mass is then a lower bound for short options, and what it holds too little of is
asked by sampling, as everywhere (`by_sampling`). `begun` says which share of it was of beginnings: where that
is much, the score takes it that the answer goes on as the option does.

Law: nothing that was answered is asked twice: every answer is kept in a file as soon as it is there, and a
run that goes on begins with those.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.asking.ask_config import HostedConfig
from mi_bsa.asking.bank import KIND
from mi_bsa.asking.by_sampling import ASKED, SAMPLING, read_answer
from mi_bsa.core.endpoint import Endpoint
from mi_bsa.core.errors import EndpointError, ItemError
from mi_bsa.core.files import stable_hash
from mi_bsa.core.items import Item, unique_ids
from mi_bsa.core.progress import Progress
from mi_bsa.core.variants import BASE, Variant

if TYPE_CHECKING:
    import pandas as pd

BEGINS = 3
"""Letters from which on a token may stand for the option that it begins: one or two begin too many other
words.
"""
MOST = 1.001
"""A probability above it is none; servers round, so a little more than 1 is."""
ANSWERS = "hosted.jsonl"
"""File of a run's folder with what was answered."""


class Hosted:
    """Asks those models; `out`: a folder in which answers are kept, None for none."""

    def __init__(self, config: HostedConfig, out: Path | None = None) -> None:
        self.config = config
        self.file = None if out is None else out / ANSWERS
        self.kept: dict[str, Any] = {}
        if self.file is not None and self.file.exists():
            for line in self.file.read_text(encoding="utf-8").splitlines():
                try:
                    one = json.loads(line)
                    self.kept[one["asked"]] = one["choices"]
                except (ValueError, KeyError, TypeError):
                    continue  # the last line of a killed run

    @property
    def facts(self) -> dict[str, str]:
        """What a record says of who was asked."""
        return {f"hosted {who}": f"{name} at {self.config.url}" for who, name in self.config.models.items()}

    def ask(self, items: Sequence[Item], *, variant: str = BASE) -> pd.DataFrame:
        """One row an item with the columns of `ask`, and `begun` (see above).

        Raises `ItemError` for statements, whose probability no endpoint gives; `EndpointError` where it
        answers nothing, or without log-probabilities.
        """
        import pandas as pd

        _check(items)
        body = {"max_tokens": 1, "temperature": 1.0, "logprobs": True, "top_logprobs": self.config.top}
        answers = self._answers(variant, [{"messages": _plain(item), **body} for item in items])
        rows = []
        for item, choices in zip(items, answers, strict=True):
            shares, begun = option_shares(self._first(choices), [text for text, _ in item.options])
            scores = np.array([score for _, score in item.options])
            best, mass = int(shares.argmax()), float(shares.sum())
            rows.append(
                {
                    "id": item.id,
                    # no option among the first tokens: nothing was said of any, and a mass of 0 says so
                    "score": float(shares @ scores / mass) if mass > 0 else float(scores.mean()),
                    "mass": min(mass, 1.0),
                    "argmax": item.options[best][0],
                    "argmax_score": float(scores[best]),
                    "n_options": len(item.options),
                    "begun": begun,
                    **item.labels,
                }
            )
        return pd.DataFrame(rows)

    def ask_many(self, items: Sequence[Item], variants: Mapping[str, Variant]) -> pd.DataFrame:
        """What every variant answers, with `variant`, `arm` and `seed`. Raises as `ask`."""
        import pandas as pd

        tables = [
            self.ask(items, variant=name).assign(variant=name, arm=who.arm, seed=who.seed)
            for name, who in variants.items()
        ]
        return pd.concat(tables, ignore_index=True)

    def sample(
        self,
        items: Sequence[Item],
        n: int,
        *,
        seed: int,
        variant: str = BASE,
        tokens: int = 16,
        parser: Any = read_answer,
    ) -> pd.DataFrame:
        """`n` sampled answers an item as `sampling.sample` gives them, a request each. Raises as `ask`, but
        takes statements too.
        """
        import pandas as pd

        _check(items, statements=True)
        bodies = [
            {
                "messages": _plain(item),
                "max_tokens": tokens,
                "temperature": 1.0,
                "seed": (seed * len(items) * n + k * n + s) % 2**31,
            }
            for k, item in enumerate(items)
            for s in range(n)
        ]
        answers = iter(self._answers(variant, bodies))
        rows = []
        for item in items:
            for s in range(n):
                text = next(answers)[0]["message"]["content"] or ""
                rows.append(
                    {
                        "id": item.id,
                        "sample": s,
                        "text": text,
                        **vars(parser(text, item.options)),
                        **item.labels,
                    }
                )
        return pd.DataFrame(rows)

    def ask_by_sampling(
        self, items: Sequence[Item], n: int, *, seed: int, variant: str = BASE, tokens: int = 16
    ) -> pd.DataFrame:
        """One row an item as `by_sampling.ask_by_sampling` gives them, of `n` samples each."""
        import pandas as pd

        drawn = self.sample(items, n, seed=seed, variant=variant, tokens=tokens)
        rows = []
        for item in items:
            own = drawn[drawn["id"] == item.id]
            read = own[own["outcome"] == "parsed"]
            best = str(read["option"].mode().iloc[0]) if len(read) else ""
            of_best = read.loc[read["option"] == best, "score"]
            rows.append(
                {
                    "id": item.id,
                    "score": float(own["score"].mean()),
                    "mass": len(read) / n,
                    "argmax": best,
                    "argmax_score": float(of_best.mean()) if best else math.nan,
                    "n_options": len(item.options),
                    **item.labels,
                    ASKED: SAMPLING,
                    "samples": n,
                    "parsed": len(read),
                }
            )
        return pd.DataFrame(rows)

    def _answers(self, variant: str, bodies: Sequence[dict[str, Any]]) -> list[Any]:
        """The choices that answer each body, those that are kept not asked again."""
        name = self.config.models[variant]
        keys = [stable_hash([self.config.url, name, body]) for body in bodies]
        new = {key: body for key, body in zip(keys, bodies, strict=True) if key not in self.kept}
        there = Endpoint(self.config.url, name, self.config.key_variable, self.config.timeout)
        with Progress(f"asking {name}", len(new), interval=5.0) as progress:

            def keep(n: int, choices: Any) -> None:
                key = list(new)[n]
                self.kept[key] = choices
                if self.file is not None:
                    with self.file.open("a", encoding="utf-8") as out:
                        out.write(json.dumps({"asked": key, "model": name, "choices": choices}) + "\n")
                progress.advance(1, "answered")

            if self.file is not None and self.file.exists() and not self.file.read_bytes().endswith(b"\n"):
                with self.file.open("a", encoding="utf-8") as out:
                    out.write("\n")  # a killed run's last line was cut
            there.choices(list(new.values()), done=keep)
        return [self.kept[key] for key in keys]

    def _first(self, choices: Any) -> dict[str, float]:
        """Probability of each of the first tokens, by its text."""
        try:
            tokens = choices[0]["logprobs"]["content"][0]["top_logprobs"]
            found: dict[str, float] = {}
            for token in tokens:
                p = math.exp(float(token["logprob"]))
                if not 0 <= p <= MOST:  # also where it is no number
                    raise ValueError(p)
                found[str(token["token"])] = found.get(str(token["token"]), 0.0) + p
            return found
        except (KeyError, IndexError, TypeError, ValueError, OverflowError):
            raise EndpointError(
                f"{self.config.url}: its answers hold no usable log-probabilities "
                "(choices[0].logprobs.content[0].top_logprobs); say `hosted.log_probs: false`, which asks by "
                "sampling, or give an endpoint that has them"
            ) from None


def option_shares(first: Mapping[str, float], options: Sequence[str]) -> tuple[np.ndarray, float]:
    """The probability of each option, by the first tokens of an answer; and the share of it that is of tokens
    which only begin one. Case and space around a token do not matter.
    """
    wanted = [option.strip().casefold() for option in options]
    shares, begun = np.zeros(len(options)), 0.0
    for token, p in first.items():
        said = token.strip().casefold()
        whole = [k for k, option in enumerate(wanted) if option == said]
        begins = [k for k, option in enumerate(wanted) if said and option.startswith(said)]
        if len(whole) == 1:
            shares[whole[0]] += p
        elif len(begins) == 1 and len(said) >= BEGINS:
            shares[begins[0]] += p
            begun += p
    return shares, float(begun / shares.sum()) if shares.sum() > 0 else 0.0


def _plain(item: Item) -> list[dict[str, str]]:
    return [{"role": str(m["role"]), "content": str(m["content"])} for m in item.messages]


def _check(items: Sequence[Item], *, statements: bool = False) -> None:
    if not items:
        raise ItemError("no items to ask; give at least one")
    unique_ids(items)
    if not statements and any(item.labels.get("kind") == KIND for item in items):
        raise ItemError(
            f"items of kind {KIND!r} compare the probabilities of two given sentences, which an endpoint "
            f"does not "
            "give; ask other kinds there"
        )
