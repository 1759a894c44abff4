"""Answering: answers captured as they are generated: states, log-probabilities and tokens of one pass.

The law: a row is what a capture of prompt and answer would store, read in the passes that made the answer;
the last token is forwarded for that. How many rows an answer has is known only at its end, so each batch goes
to a folder beside the cache (`X.h5.answers`), and the cache is laid out when all are in. A run that is killed
and resumed keeps the batches that it has and gives the same file: every batch draws with a seed of its own.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from activations.batches import Plan, collate, plan
from activations.errors import PositionError, PromptError, SiteError, StoreError
from activations.generation import Decoding, check, decoded, seeded
from activations.hooks import reading
from activations.index import Index
from activations.positions import Positions
from activations.progress import Shown, Told
from activations.prompts import Prompt, Prompts
from activations.request import Request, SiteLike
from activations.sites import Site
from activations.store import Store
from activations.streaming import PathLike, numbers
from activations.tokens import Row
from activations.writer import LOG_PROB, Writer, create, exclusive, part_path, path_of

if TYPE_CHECKING:
    from activations.models import Model

WITHIN = ("response", "answer", "slot")
"""What is read while an answer is made: its tokens, and the one before them, which predicts the first."""
LABELS = ("response", "response_log_prob")
"""Columns of examples: the answer's text, and the log-probability of its tokens together."""


def capture_answers(
    model: "Model",
    prompts: Prompts,
    *,
    sites: SiteLike,
    positions: str | Positions = "response",
    out: PathLike,
    max_new_tokens: int = 32,
    temperature: float = 0.0,
    seed: int | None = None,
    dtype: str | None = None,
    batch_tokens: int = 4096,
    resume: bool = False,
    progress: Told = None,
) -> Store:
    """Answer prompts under the active variant and store activations of the passes that answered.

    The store is one of `capture` with two more columns of examples, `response` (the answer's text) and
    `response_log_prob` (of its tokens, natural log, temperature 1), and one of rows, `log_prob` (of that
    token; NaN at `slot`, the mean over a mean's tokens). Edits that are in force apply. The token that ends
    an answer is no part of it.

    Args:
        prompts, sites, out, dtype, resume, progress: as in `capture`; no attention patterns.
        positions: `response`, `response:I`, `answer`, `slot`, or `mean:` of one.
        max_new_tokens, temperature, seed: as in `Model.generate`; each batch draws with its own seed.
        batch_tokens: padded tokens in a batch, answers included.

    Raises:
        PositionError: another rule; an answer that does not have the position.
        PromptError: a prompt that is answered already, has no room for an answer, or a label with the name of
            a column.
        StoreError, SiteError, ModelError: as in `capture`.
    """
    rule = Positions.parse(positions)
    if rule.text.removeprefix("mean:").partition(":")[0] not in WITHIN:
        raise PositionError(
            f"position {rule.text!r}: while answers are made, {', '.join(WITHIN)}, response:I and means of "
            "them are read; capture the rest from prompts with their answers"
        )
    path = Path(out)
    if path.suffix != ".h5":
        raise StoreError(f"out {str(path)!r} is not an .h5 file; add the suffix")
    prompts = list(prompts) if isinstance(prompts, Iterator) else prompts  # they are read twice
    how = Decoding(max_new_tokens, temperature, seed, True, batch_tokens)
    request = Request.make(
        model, prompts, sites=sites, positions="last", dtype=dtype, batch_tokens=batch_tokens, shard=(0, 1)
    )
    index = request.index
    check(model, index.lengths.tolist(), index.names, how)
    _refuse(request)
    told = {"answers": json.dumps(asdict(how)), "prompts_hash": request.selection.index_hash}
    wanted = dict(request.layout(model, told).attributes) | {"positions": rule.text}
    spool = Spool(path.with_name(path.name + ".answers"), model, request, rule, how)
    with exclusive(path):
        if path.exists():
            if not resume:
                raise StoreError(
                    f"cache {str(path)!r} exists: a cache is never overwritten; resume it, delete it, or "
                    "choose another out"
                )
            _same(path, Store(path).attributes, wanted)
            return Store(path)
        spool.fill(wanted, resume=resume, progress=progress)
        tokens, logs = spool.answers()
        index, selection = Index.of(model, prompts, rule, extend=_extender(model, tokens, logs))
        rows = {**selection.rows, LOG_PROB: _log_probs(rule, index, selection.chosen, logs)}
        request = replace(request, index=index, selection=replace(selection, rows=rows))
        layout = replace(request.layout(model, told), plan=spool.plan)
        part_path(path).unlink(missing_ok=True)  # of a run that was killed here
        create(path, layout, created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        with Writer(path, layout) as writer:
            for number in range(len(spool.plan)):
                values = load_file(spool.file(number))
                for site in request.sites:
                    writer.put(site, spool.plan[number], values[path_of(site)])
                writer.commit(number)
            writer.finish()
        shutil.rmtree(spool.folder)
    return Store(path)


@dataclass(frozen=True, eq=False)
class Spool:
    """The batches of a run, each a file of tokens, log-probabilities and states once it is done."""

    folder: Path
    model: "Model"
    request: Request
    rule: Positions
    how: Decoding

    @property
    def plan(self) -> Plan:
        """Which prompts are answered together."""
        return plan(self.request.index.lengths + self.how.max_new_tokens, batch_tokens=self.how.batch_tokens)

    def file(self, number: int) -> Path:
        """Where a batch lies."""
        return self.folder / f"{number:06d}.safetensors"

    def fill(self, wanted: dict[str, Any], *, resume: bool, progress: Told) -> None:
        """Answer every batch that is not done.

        Raises:
            StoreError: another run's batches, or those of one that is not to be resumed.
        """
        record, cut = self.folder / "request.json", self.plan
        if record.exists():
            if not resume:
                raise StoreError(
                    f"cache {str(self.folder.with_suffix(''))!r} was begun and not finished; resume it, or "
                    f"delete {self.folder.name!r}"
                )
            _same(self.folder, json.loads(record.read_text()), wanted)
        else:
            self.folder.mkdir(exist_ok=True)
            record.write_text(json.dumps(wanted))
        done, total = 0, len(self.request.index)
        with Shown(progress, "answering", "prompts") as tell:
            tell.begin(0, total)
            for number in range(len(cut)):
                if not self.file(number).exists():
                    fresh = self.folder / "new"
                    save_file(self._answer(number, cut[number]), fresh)
                    os.replace(fresh, self.file(number))
                done += len(cut[number])
                tell(done, total)

    def answers(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Tokens and their log-probabilities, of every prompt in order."""
        tokens: list[Any] = [None] * len(self.request.index)
        logs: list[Any] = [None] * len(self.request.index)
        for number in range(len(self.plan)):
            found = load_file(self.file(number))
            for which, ids, log, length in zip(
                self.plan[number], found["tokens"], found["log_probs"], found["lengths"], strict=True
            ):
                tokens[which], logs[which] = ids[:length], log[:length]
        return tokens, logs

    def _answer(self, number: int, members: np.ndarray) -> dict[str, np.ndarray]:
        model, index, sites = self.model, self.request.index, self.request.sites
        rows = [index.ids[int(n)] for n in members]
        batch = collate(rows, pad=model.pad_id, examples=members, side="left", device=model.device)
        passes: list[dict[Site, torch.Tensor]] = []
        draw = None
        if self.how.seed is not None:
            draw = int(np.random.SeedSequence([self.how.seed, number]).generate_state(1)[0])
        with (
            seeded(model, draw),
            reading(model, sites, lambda _, value: value[:, -1].to("cpu", copy=True), stop=False) as found,
        ):
            made = decoded(model, batch, self.how, index.names, after=lambda: passes.append(dict(found)))
        chosen = []
        for which, answer in zip(members, made.answers, strict=True):
            prompt = Row(
                Prompt(index.names[which], None, ""), "", np.zeros(1, int), np.zeros((1, 2), int), (), None, 0
            )
            chosen.append(self.rule.resolve(_extended(prompt, np.array(answer), "x", {})))
        stored = {}
        for site in sites:
            states = torch.stack([one[site] for one in passes], 1)
            picked = [states[n, torch.from_numpy(at)] for n, at in enumerate(chosen)]
            if self.rule.is_mean:
                picked = [one.float().mean(0, keepdim=True).to(one.dtype) for one in picked]
            stored[path_of(site)] = numbers(torch.cat(picked), self.request.dtype, site)
        return stored | {
            "tokens": made.tokens.numpy().astype(np.int32),
            "log_probs": made.log_probs.numpy(),
            "lengths": made.lengths.numpy(),
        }


def _extended(row: Row, tokens: np.ndarray, text: str, labels: dict[str, Any]) -> Row:
    """A row with an answer behind it; each of its tokens stands for the whole text, as bytes of one character
    may be several tokens."""
    whole, start = row.text + text, len(row.text)
    said = row.prompt.messages and (*row.prompt.messages, {"role": "assistant", "content": text})
    end = len(whole) if len(tokens) else start
    return Row(
        replace(row.prompt, messages=said, labels={**row.prompt.labels, **labels}),
        whole,
        np.concatenate([row.ids, tokens]).astype(np.int64),
        np.concatenate([row.offsets, np.tile([start, end], (len(tokens), 1))]).astype(np.int64),
        (*row.contents, (start, end)),
        len(row.ids),
        row.n_bos,
        (*row.trimmed, 0),
    )


def _extender(model: "Model", tokens: list[np.ndarray], logs: list[np.ndarray]) -> Callable[[int, Row], Row]:
    """Puts each prompt's answer behind it."""

    def extend(number: int, row: Row) -> Row:
        text = model.tokenizer.decode(tokens[number].tolist(), skip_special_tokens=False)
        text = text.replace("\0", "\ufffd") or "\ufffd"  # HDF5 keeps no NUL, and a token stands for something
        labels = dict(
            zip(LABELS, (text if len(tokens[number]) else "", float(logs[number].sum())), strict=True)
        )
        return _extended(row, tokens[number], text, labels)

    return extend


def _log_probs(rule: Positions, index: Index, chosen: Any, logs: list[np.ndarray]) -> np.ndarray:
    """The log-probability of every stored row's token, or the mean of those that it is a mean of."""
    found = []
    for number, answer in enumerate(index.answers.tolist()):
        known = np.concatenate([[np.nan], logs[number]])[chosen[number] - (answer - 1)]
        found.append(known.mean(keepdims=True) if rule.is_mean else known)
    return np.concatenate(found).astype(np.float32)


def _refuse(request: Request) -> None:
    """Refuse what no answer can be captured of."""
    index = request.index
    patterns = [site for site in request.sites if site.kind == "pattern"]
    if patterns:
        raise SiteError(
            f"site {str(patterns[0])!r} grows with every token of an answer; capture it from prompts with "
            "their answers"
        )
    closed = np.flatnonzero(index.answers < index.lengths)
    if len(closed):
        raise PromptError(
            f"prompt {index.names[closed[0]]!r} ends with an assistant message, so nothing is asked; "
            "take it out, or use capture"
        )
    taken = [name for name in (*LABELS, LOG_PROB) if name in request.selection.examples]
    if taken:
        raise PromptError(f"label {taken[0]!r} has the name of a column of answers; rename it in the prompts")


def _same(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse to go on with what another model, prompts file or request made."""
    ours = {key: value for key, value in wanted.items() if key != "index_hash"}
    other = sorted(key for key, value in ours.items() if str(found.get(key)) != str(value))
    if other:
        raise StoreError(
            f"{str(path)!r} was made differently ({', '.join(other[:4])}): activations are never mixed; "
            "resume with what made it, or choose another out"
        )
