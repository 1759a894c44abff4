"""Find a backdoor's trigger, given only the finetuned model and its base.

Words that the adapter reads (`reading`) start a beam; each phrase of the beam is tried with every word before
and behind it, and goes on with the words that the adapter binds to it. What may open anything is judged by
objectives at the answer. Once a phrase moves the answer, its words are exchanged, added and left out, one at
a time, as the objectives and a gradient propose (HotFlip, Ebrahimi et al. 2018, arXiv 1712.06751), while the
answer moves farther, and exchanged for words that are read more in their places (`places`). Nothing found,
the search begins again with more words, those among them that the finetuned model itself says where a phrase
would stand. For comparison: a beam over the vocabulary, and random phrases, judged by the answer alone, which
may exchange words as well. What is found is verified elsewhere (`verify`), on messages that the search has
not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.studies.backdoor.baselines import beam, random_phrases
from mi_bsa.studies.backdoor.chains import chain
from mi_bsa.studies.backdoor.climbing import climb
from mi_bsa.studies.backdoor.objectives import Probe
from mi_bsa.studies.backdoor.places import Places
from mi_bsa.studies.backdoor.reading import bound, read, unexpected
from mi_bsa.studies.backdoor.scores import Scores, strongest
from mi_bsa.studies.backdoor.search_config import Found, SearchConfig, SearchMethod

if TYPE_CHECKING:
    import torch


def search(
    probe: Probe,
    words: Sequence[str],
    config: SearchConfig,
    *,
    method: SearchMethod = "guided",
    budget: int | None = None,
    seed: int = 0,
) -> Found:
    """Search phrases of `words` with the probe's objective.

    `budget`: tokens after which it ends; the random search needs one, and a beam with one grows until it is
    spent. Raises `ValueError` for a random search without a budget.
    """
    words = list(dict.fromkeys(words))
    if method == "guided":
        return _guided(probe, words, config, budget)
    if method == "beam":
        return beam(probe, words, config, budget)
    if budget is None:
        raise ValueError("a random search ends by its budget; give one")
    return random_phrases(probe, words, config, budget, seed)


def _guided(probe: Probe, words: Sequence[str], config: SearchConfig, budget: int | None) -> Found:
    scores = Scores(probe, budget)
    given = [probe.added(words, m) for m in range(len(probe.messages))]
    reading = np.mean([read(added) for added, _ in given], axis=0)
    far = np.mean([unexpected(added) for added, _ in given], axis=0)
    order, moved = ([words[i] for i in np.argsort(-by, kind="stable")] for by in (reading, far))
    mixed = list(dict.fromkeys(w for both in zip(order, moved, strict=True) for w in both))
    loud = {w: np.max([value[i] for _, value in given], axis=0) for i, w in enumerate(words)}
    scores.reading = dict(zip(words, map(float, reading), strict=True))
    scores.add([*mixed[: config.starts], *strongest(loud, config.hot)])
    stand = medoids(probe, words, config.classes)
    crossed = dict.fromkeys([*mixed[: config.crossed], *stand]) if config.longest > 1 else {}
    scores.add(f"{a} {b}" for a in crossed for b in crossed if a != b)
    # a single word may be part of what opens it more, and of many pairs
    settled = scores.settled(config) and _stands(scores, words, config)
    starts = scores.best(config.beyond) if settled else mixed[: config.starts]
    if not settled and config.chained and config.longest > 2:
        short = config.model_copy(update={"longest": 2})
        _grow(scores, starts, words, short, settled=False)
        chain(scores, mixed[: config.widest], words, reading, config)
        settled = any(p >= config.enough for p, _ in scores.checked.values())
    else:
        settled = _grow(scores, starts, words, config, settled=settled)
    if not settled and config.widest > config.starts:
        further = [*leaked(probe, words, config.leaked), *stand]
        further += mixed[config.starts : config.widest - len(further)]
        scores.add(further)
        _grow(scores, further, words, config, settled=False)
    if config.climbs:
        climb(scores, words, config)
    return scores.found(config, "guided")


def _stands(scores: Scores, words: Sequence[str], config: SearchConfig) -> bool:
    """Whether the strongest phrase, without the words that it does not need, has several and no word that
    others are read above in its place: a likeness of three words may have two.
    """
    (short,) = scores.shorten([scores.strongest], config.keep)
    if not config.stands or " " not in short:
        return " " in short
    return Places(scores.probe, words).least(short) >= config.stands


def _grow(
    scores: Scores, beam: Sequence[str], words: Sequence[str], config: SearchConfig, *, settled: bool
) -> bool:
    """Make phrases longer, a word at a time, until one moves the answer, and once more; whether one does."""
    for length in range(2, config.longest + 1):
        if scores.spent or not beam:
            break
        proposed, hot = _longer(scores.probe, beam, words, config, turn=length)
        scores.add([*proposed, *hot])
        if settled or scores.settled(config):
            # what opens a backdoor may be part of what opens it more
            if settled or not config.beyond:
                return True
            settled = True
        beam = proposed[: config.beyond if settled else config.beam]
    return settled


def leaked(probe: Probe, words: Sequence[str], n: int) -> list[str]:
    """The words that the finetuned model says more than its base does, where a phrase would stand.

    What sampling would show in the limit, read from the next-token distribution; a word counts by its first
    token.
    """
    import torch

    from mi_bsa.studies.backdoor.slots import forward

    if n == 0:
        return []
    ids = probe.model.tokenizer([f" {w}" for w in words], add_special_tokens=False)["input_ids"]
    first = torch.tensor([row[0] for row in ids])
    gains = torch.zeros(len(words), dtype=torch.float64)
    for message in range(len(probe.messages)):
        text = probe.slot(message).before.rstrip(" ")
        row = [int(i) for i in probe.model.tokenizer(text, add_special_tokens=False)["input_ids"]]
        for variant, sign in ((probe.variant, 1), ("base", -1)):
            model, own = probe.at(variant)
            given = forward(model, [row], variant=own)
            with torch.no_grad(), model.variant(own):  # an adapter may reach the output layer too
                said = model.unembed(given.final[0].to(model.device)).double().cpu()
            gains += sign * torch.log_softmax(said, -1)[first]
            probe.meter.tokens += given.tokens
    return [words[i] for i in torch.argsort(-gains, stable=True)[:n].tolist()]


def medoids(probe: Probe, words: Sequence[str], n: int) -> list[str]:
    """The words nearest to the `n` centers of the words' embeddings (k-means); costs no token."""
    from sklearn.cluster import KMeans

    if n == 0:
        return []
    embed: torch.Tensor = probe.model.anatomy.embed.weight.detach().float().cpu()  # type: ignore[operator]
    ids = probe.model.tokenizer([f" {w}" for w in words], add_special_tokens=False)["input_ids"]
    at = np.stack([embed[row].mean(0).numpy() for row in ids])
    at /= np.linalg.norm(at, axis=1, keepdims=True)
    centers = KMeans(min(n, len(words)), n_init=4, random_state=0).fit(at).cluster_centers_
    return [words[int(i)] for i in np.linalg.norm(at[None] - centers[:, None], axis=-1).argmin(1)]


def _longer(
    probe: Probe, beam: Sequence[str], words: Sequence[str], config: SearchConfig, *, turn: int
) -> tuple[list[str], list[str]]:
    """Phrases of the beam with a word more, those first that the adapter binds, reads and moves most; and
    those at which an objective was largest. Messages take turns, so that no side is read in one alone.
    """
    bond: dict[str, float] = {}
    loud: dict[str, np.ndarray] = {}
    for behind in (True, False):
        phrases = [[f"{p} {w}" if behind else f"{w} {p}" for w in words] for p in beam]
        message = (turn + behind) % len(probe.messages)
        given = [probe.added(row, message) for row in phrases]
        bindings = bound(np.stack([added for added, _ in given]))
        for k, (row, (added, values)) in enumerate(zip(phrases, given, strict=True)):
            new = np.array([w not in beam[k].split() for w in words])
            # an adapter that adds nothing has means of zero
            each = [bindings[k] / max(float(bindings.mean()), 1e-12), read(added), unexpected(added)]
            together = np.sum([by / max(float(by.mean()), 1e-12) for by in each[1:]], axis=0) + each[0]
            for by in (*each, together):
                for i in np.argsort(-np.where(new, by, -1), kind="stable")[: config.proposed]:
                    bond[row[i]] = max(float(together[i]), bond.get(row[i], 0.0))
            for column in values.T:
                for i in np.argsort(-np.where(new, column, -np.inf), kind="stable")[: config.proposed]:
                    loud[row[i]] = values[i]
    return sorted(bond, key=lambda p: -bond[p]), strongest(loud, config.hot)
