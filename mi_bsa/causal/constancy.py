"""Step "constancy": does each module of an adapter add the same vector whatever it reads?

C_mean = N |mean d|^2 / sum |d_i|^2 and C_rank1 = s_1^2 / |D|_F^2 of what each module adds on held-out
prompts, signed cosines with the mean vector of other prompts, and what is left of behavior and report when
every module adds its mean vector, or its own line, alone (`activations.constancy`; arXiv 2507.08218). The
prompts of the fit are development choices, those judged are test choices.

Results, one value a seed, t over seeds, where arm = pole: `bridge.constancy.c_mean` (null: 1/N, what noise
gives), `.c_rank1`, `.cosine` (site `lora_out.<module>`, layer), `.kept` (kind = read-out, method =
`constant`, `scalar_mean`; all modules replaced at once).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mi_bsa.causal.material import POLES, READ_OUTS
from mi_bsa.causal.options import GeometryOptions
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Result

if TYPE_CHECKING:
    from activations.adapter_constancy import ConstancyReport
    from mi_bsa.causal.material import Material

MEASURES = {"c_mean": "share of squared norm", "c_rank1": "share of squared norm", "cosine": "signed cosine"}

SHARES = ("c_mean", "c_rank1")


def constancy(material: Material, options: GeometryOptions | None = None) -> list[Result]:
    """Constancy of every adapter of both poles; what adapters do not move has no `.kept`."""
    options = options or GeometryOptions()
    results = []
    for arm in POLES:
        found = {name: _reports(material, arm, name, options) for name in READ_OUTS}
        first = next((reports for reports in found.values() if reports), None)
        if first is None:
            continue
        for k, one in enumerate(first[0].modules):
            where = {
                "behavior": material.behavior,
                "arm": arm,
                "site": f"lora_out.{one.module}",
                "layer": one.layer,
                "split": "test",
            }
            floor = Null("independent noise (1 / tokens)", one.n, 1 / one.n, 1 / one.n, 1 / one.n)
            for name, unit in MEASURES.items():
                values = [float(getattr(report.modules[k], name)) for report in first]
                null = floor if name == "c_mean" else None
                results.append(_result(material, name, where, values, unit, null))
        for read_out, reports in found.items():
            for method in ("constant", "scalar_mean") if reports else ():
                kept = [_kept(report, method) for report in reports]
                here = {
                    "behavior": material.behavior,
                    "arm": arm,
                    "method": method,
                    "kind": read_out,
                    "split": "test",
                }
                results.append(_result(material, "kept", here, kept, "share of the effect in log-odds", None))
    return results


def _reports(material: Material, arm: str, read_out: str, options: GeometryOptions) -> list[ConstancyReport]:
    """One report a seed; none where an adapter does not move the read-out, or a module adds nothing."""
    import activations
    from activations.errors import PatchError

    dev = material.of("behavior", "dev", items=options.items)
    judged = material.of(read_out, "test", items=options.items)
    reports = []
    for adapter in material.arms[arm]:
        try:
            reports.append(
                activations.constancy(
                    material.model, dev.prompts, judged.prompts, metric=judged.metric(), adapter=adapter
                )
            )
        except PatchError:
            return []
    return reports


def _kept(report: ConstancyReport, method: str) -> float:
    table = report.replacement
    row = table[(table["module"] == "all") & (table["replacement"] == method)]
    return float(row["kept"].iloc[0])


def _result(
    material: Material, name: str, where: dict[str, Any], values: list[float], unit: str, null: Null | None
) -> Result:
    scale = "logit" if name in SHARES else "linear"
    name = f"bridge.constancy.{name}"
    return over_seeds(name, where, values, material.seeds, unit=unit, scale=scale, null=null)
