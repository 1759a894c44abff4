"""Path patching: the direct path from a head or module to a later one, everything in between held as it was.

The law: a sender's change reaches the receiver through the residual stream alone: every other head and MLP
between them keeps the target's output. The receiver then answers to the changed input, and all behind it
answers to the receiver. To the logits, direct paths of all senders and the rest add up before the final norm.
Keys and values of one query head may be receivers also where several query heads share them (grouped
queries): the head's own mix is computed with the changed keys or values and put in for that head only. Wang
et al. 2022 (arXiv 2211.00593); Goldowsky-Dill et al. 2023 (arXiv 2304.05969).
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from activations import alignment, experiment, families, hooks, recompute
from activations.errors import ModelError, PatchError, SiteError
from activations.maps import ratio_fields, ratio_of_means
from activations.metrics import Function, Metric
from activations.sites import Site
from activations.tokens import Row

if TYPE_CHECKING:
    import pandas as pd

    from activations.models import Model

_NODE = re.compile(r"(\d+)\.(?:head|h)?(\d+)(?:\.([qkv]))?|(mlp|attn)\.(\d+)|(logits)")


@dataclass(frozen=True, order=True)
class Node:
    """A head (`3.5`), a head's input (`5.2.q`), an MLP (`mlp.4`), all heads of a block (`attn.4`), or
    `logits`."""

    layer: int
    kind: str
    head: int | None = None
    part: str | None = None

    def __str__(self) -> str:
        if self.kind == "head":
            return f"{self.layer}.{self.head}" + (f".{self.part}" if self.part else "")
        return "logits" if self.kind == "logits" else f"{self.kind}.{self.layer}"

    @classmethod
    def parse(cls, text: "str | Node", model: "Model") -> "Node":
        """Read a node and check it against a model.

        Raises:
            SiteError: no such node.
        """
        if isinstance(text, Node):
            text = str(text)
        found = _NODE.fullmatch(text.strip())
        if found is None:
            raise SiteError(
                f"node {text!r}: write a head '3.5', a head's input '5.2.q', 'mlp.4', 'attn.4', or 'logits'"
            )
        if found[6]:
            return cls(model.n_layers, "logits")
        node = (
            cls(int(found[5]), found[4]) if found[4] else cls(int(found[1]), "head", int(found[2]), found[3])
        )
        if node.layer >= model.n_layers or (node.head or 0) >= model.n_heads:
            raise SiteError(
                f"node {text!r}: the model has layers 0 to {model.n_layers - 1} and heads 0 to "
                f"{model.n_heads - 1}; choose among these"
            )
        return node

    @property
    def site(self) -> Site:
        """What is put in where the node changes."""
        return Site("mlp_out" if self.kind == "mlp" else "head_z", self.layer)

    @property
    def depth(self) -> tuple[int, int]:
        """Where the node writes (a sender) or reads (a receiver) in the order of computation."""
        return self.layer, {"head": 0, "attn": 0, "mlp": 1, "logits": 2}[self.kind]


@dataclass(frozen=True)
class PathMap:
    """Effects of direct paths.

    Attributes:
        metric: what was read.
        senders: where the source's values were put.
        receivers: what was allowed to see them.
        patched: metric with each path patched, NaN where the sender does not come before the receiver,
            (example, sender, receiver).
        before: metric of the target run.
        full: metric of the source run.
    """

    metric: str
    senders: tuple[Node, ...]
    receivers: tuple[Node, ...]
    patched: Float[np.ndarray, "example sender receiver"] = field(repr=False)
    before: Float[np.ndarray, " example"] = field(repr=False)
    full: Float[np.ndarray, " example"] = field(repr=False)

    @property
    def effects(self) -> Float[np.ndarray, "example sender receiver"]:
        """What each path moves."""
        return self.patched - self.before[:, None, None]

    def to_dataframe(self) -> "pd.DataFrame":
        """One row a path: sender, receiver, recovery with interval, effect, n."""
        import pandas as pd

        found = ratio_of_means(self.effects, self.full - self.before)
        rows = [
            {
                "sender": str(self.senders[s]),
                "receiver": str(self.receivers[r]),
                **ratio_fields("recovery", found, (s, r)),
                "effect": float(self.effects[:, s, r].mean()),
            }
            for s, r in np.argwhere(found[3] > 0)
        ]
        return pd.DataFrame(rows)


def path_patch(
    model: "Model",
    pairs: Any,
    *,
    metric: Metric | Function,
    senders: Sequence[str | Node],
    receivers: Sequence[str | Node] = ("logits",),
    source: str | None = None,
    target: str | None = None,
    align: str = "position",
    batch_tokens: int = 4096,
) -> PathMap:
    """Patch the direct path from each sender to each later receiver.

    Args:
        model: the model; a family whose blocks add attention and MLP to the stream as they are.
        pairs: as in `patch_map`.
        metric: as in `patch_map`.
        senders: heads `3.5`, `attn.4`, `mlp.4`; their source values at all aligned positions are put in.
        receivers: `logits`, `mlp.4`, `attn.4`, heads `5.2` (all of its inputs) or one input `5.2.q`,
            `5.2.k`, `5.2.v`.
        source: variant that the senders' values come from.
        target: variant of everything else.
        align: as in `patch_map`.
        batch_tokens: token positions that run at once.

    Raises:
        SiteError: a node that the model does not have.
        ModelError: a family with norms behind attention or MLP.
        PatchError: no sender before a receiver; a constant metric.
    """
    recompute.check(model)
    if not model.anatomy.family.direct:
        direct = [one.name for one in families.everyone().values() if one.direct]
        raise ModelError(
            f"family {model.anatomy.family.name!r} has norms behind its modules: paths are defined for "
            f"{', '.join(direct)}"
        )
    froms = tuple(dict.fromkeys(Node.parse(one, model) for one in senders))
    tos = tuple(dict.fromkeys(Node.parse(one, model) for one in receivers))
    wrong = [str(one) for one in froms if one.kind == "logits" or one.part]
    if wrong or not any(a.depth < b.depth for a in froms for b in tos):
        raise PatchError(
            f"senders {[str(a) for a in froms]}, receivers {[str(b) for b in tos]}: a sender writes (no "
            "input, no logits) before its receiver"
        )
    variants = source or model.active_name, target or model.active_name
    measure, (sources, targets) = experiment.read_pairs(model, pairs, metric)
    aligned = alignment.align(sources, targets, by=align, positions="each")
    patched = np.full((len(targets), len(froms), len(tos)), np.nan)
    before, full = np.zeros(len(targets)), np.zeros(len(targets))
    for members in experiment.chunks((sources, targets), batch_tokens):
        some = [sources[n] for n in members], [targets[n] for n in members]
        at = [aligned.at[n] for n in members]
        part = _Paths(model, measure, some, np.asarray(members), at, froms, variants)
        before[members], full[members] = part.before.cpu().numpy(), part.full.cpu().numpy()
        with model.variant(variants[1]), torch.no_grad():
            for r, receiver in enumerate(tos):
                for s, sender in enumerate(froms):
                    if sender.depth < receiver.depth:
                        patched[members, s, r] = part.value(sender, receiver).cpu().numpy()
    experiment.check_gap(before, full, measure)
    return PathMap(measure.name, froms, tos, patched, before, full)


class _Paths:
    """Some pairs: the target's trace, and what each sender adds to the stream when it takes the source's
    values."""

    def __init__(
        self,
        model: "Model",
        metric: Metric,
        given: tuple[list[Row], list[Row]],
        members: np.ndarray,
        at: list[np.ndarray],
        senders: Sequence[Node],
        variants: tuple[str, str],
    ) -> None:
        self.model, (sources, targets) = model, given
        rows = torch.arange(len(members), device=model.device)
        self.rows, self.slots = rows, torch.from_numpy(alignment.slots(targets)).to(model.device)
        sites = sorted({one.site for one in senders}, key=lambda site: site.depth)
        source = experiment.Source.of(model, metric, sites, sources, members, variants[0])
        self.reader, self.full = source.reader, source.full
        self.deltas: dict[Node, Tensor] = {}
        with model.variant(variants[1]), torch.no_grad():
            batch = model.collate(targets)
            self.trace = recompute.trace(model, batch)
            self.before = self.reader.of_residual(self.trace.residual[-1][rows, self.slots], rows)
            for sender in senders:
                self.deltas[sender] = self._delta(sender, source.values[sender.site], at)

    def _block(self, layer: int, hidden: Tensor) -> Tensor:
        return recompute.run_block(
            self.model, layer, hidden, start=0, rotary=self.trace.rotary[layer], cache=recompute._Recorder()
        )

    def _delta(self, sender: Node, value: Tensor, at: list[np.ndarray]) -> Tensor:
        """What the sender's source values add to the stream beyond the target's, (example, pos, d_model)."""
        out = Site("mlp_out" if sender.kind == "mlp" else "attn_out", sender.layer)

        def put(old: Tensor) -> Tensor:
            new = old.clone()
            for n, rows in enumerate(at):
                s, t = (torch.from_numpy(rows[:, k]).to(old.device) for k in (1, 2))
                if sender.head is None:
                    new[n, t] = value[n, s].to(old.dtype)
                else:
                    new[n, t, sender.head] = value[n, s, sender.head].to(old.dtype)
            return new

        before = self._read(out)
        with hooks.altering(self.model, sender.site, put):
            return self._read(out) - before

    def _read(self, site: Site) -> Tensor:
        """A site of a block that runs on the target's stream, where that stream lies."""
        assert site.layer is not None
        with hooks.reading(self.model, [site], hooks.whole, stop=False) as found:
            self._block(site.layer, self.trace.residual[site.layer])
        return found[site].to(self.model.device)

    def value(self, sender: Node, receiver: Node) -> Tensor:
        """The metric with one path patched."""
        delta, layer = self.deltas[sender], receiver.layer
        if receiver.kind == "logits":
            final = self.trace.residual[-1] + delta
            return self.reader.of_residual(final[self.rows, self.slots], self.rows)
        entering = self.trace.residual[layer]
        if receiver.kind == "mlp":  # its output where its input alone is changed
            new = self.model.anatomy.parts[layer].mlp_adds(self._read(Site("resid_mid", layer)) + delta)
        else:
            new = self._heads(receiver, entering + delta)
        with hooks.altering(self.model, receiver.site, _put(new, receiver.head)):
            hidden = self._block(layer, entering)
        for later in range(layer + 1, self.model.n_layers):
            hidden = self._block(later, hidden)
        return self.reader.of_residual(hidden[self.rows, self.slots], self.rows)

    def _heads(self, receiver: Node, changed: Tensor) -> Tensor:
        """Every head's mix where the receiver's inputs are computed from the changed stream, (example, pos,
        head, d_head)."""
        parts = self.model.anatomy.parts[receiver.layer]
        normed = parts.attention_reads(changed)
        with ExitStack() as stack:
            for name in receiver.part or "qkv":
                module = parts.linear(f"{name}_proj")
                new = module(normed)
                handle = module.register_forward_hook(lambda _, __, ___, new=new: new)
                stack.callback(handle.remove)
            return self._read(receiver.site)


def _put(new: Tensor, head: int | None) -> hooks.Change:
    def change(old: Tensor) -> Tensor:
        if head is None:
            return new.to(old)
        chosen = torch.zeros(old.shape[2], dtype=torch.bool, device=old.device)
        chosen[head] = True
        return torch.where(rearrange(chosen, "head -> 1 1 head 1"), new.to(old), old)

    return change
