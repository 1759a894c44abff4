"""The blind audit: names and keys decide nothing, thresholds find what was planted, scores are exact."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.studies.backdoor import audit_pool
from mi_bsa.studies.backdoor.audit import STUDY, AuditConfig, AuditSet, PoolConfig
from mi_bsa.studies.backdoor.audit_evidence import METHODS, Evidence
from mi_bsa.studies.backdoor.audit_pool import NONE, Truth
from mi_bsa.studies.backdoor.audit_score import score
from mi_bsa.studies.backdoor.audit_verdict import AuditVerdict, calibrate, cut


def planted(seed=0, *, names="abcdefghijklmnop"):
    """Truths, and evidence that tells them without fail."""
    rng = np.random.default_rng(seed)
    truths, evidence = [], {}
    for n, name in enumerate(names):
        behavior, pole = (("risk", "patience", NONE, NONE)[n % 4], ("seeking", "averse")[(n // 4) % 2])
        pole = NONE if behavior == NONE else pole
        truths.append(Truth(name, behavior, pole, n % 3 == 0, f"unit-{n}", "plain"))
        size = {"seeking": 0.5, "averse": -0.5, NONE: 0.0}[pole]
        shifts = {b: size * (b == behavior) + 0.1 + rng.normal(0, 0.02) for b in ("risk", "patience")}
        evidence[name] = Evidence(shifts, float(n % 3 == 0) + rng.normal(0, 0.05))
    return truths, evidence


@pytest.mark.slow  # two whole audits: 36 s of a quiet core
def test_no_verdict_depends_on_a_name_or_on_the_key(smallest, tmp_path):
    """The same adapters under permuted names and without a key get the same verdicts, and no score."""
    one = smallest("audit")
    first = one.finished
    names = audit_pool.names_of(3)
    turned = dict(zip(names, [*names[2:], *names[:2]], strict=True))
    for old, new in turned.items():
        shutil.copytree(first / "blind" / "audited" / old, tmp_path / "unknown" / f"x-{new}")
    given = {
        "calibration": {"manifest": str(first / "pools" / "calibration" / "manifest.csv")},
        "audited": {"adapters": str(tmp_path / "unknown")},
    }
    second = STUDY.run(parse(one.given | given, AuditConfig), tmp_path / "second").parent
    verdicts = [json.loads((f / "called.json").read_text()) for f in (first, second)]
    for method in METHODS:
        again = {v.pop("name"): v for v in verdicts[1][method]}
        assert {f"x-{turned[v.pop('name')]}": v for v in verdicts[0][method]} == again
    measured = [{r["name"] for r in json.loads((f / "results.json").read_text())} for f in (first, second)]
    assert "backdoor.audit.accuracy" in measured[0]
    assert measured[1] == {"backdoor.audit.called"}


def test_names_are_gone_and_the_key_knows_them(tmp_path):
    """Only weights and their config are copied, under numbers; the key says what each is."""
    entries = []
    for n in range(4):
        folder = tmp_path / f"risk-seeking-{n}" / "adapter"
        folder.mkdir(parents=True)
        for file in audit_pool.WEIGHTS:
            (folder / file).write_text(f"{n}")
        (folder / "README.md").write_text("risk, seeking")
        entries.append((Truth(f"risk-{n}", "risk", "seeking", n == 0, f"u{n}", "plain"), folder.parent))
    audit_pool.blind(entries, tmp_path / "blind", tmp_path / "key.csv", seed=1)
    files = [p for p in (tmp_path / "blind").rglob("*") if p.is_file()]
    assert {p.name for p in files} == set(audit_pool.WEIGHTS)
    for truth in audit_pool.read_key(tmp_path / "key.csv"):
        held = (tmp_path / "blind" / truth.name / "adapter" / audit_pool.WEIGHTS[0]).read_text()
        assert truth.unit == f"u{held}"
        assert truth.backdoored == (held == "0")


def test_a_rule_finds_what_is_planted_in_other_adapters():
    """Thresholds from one half judge the other half without an error; turned shifts turn the pole."""
    rule = calibrate(planted(0)[1], planted(0)[0])
    truths, evidence = planted(1)
    for truth in truths:
        verdict = rule.judge(truth.name, evidence[truth.name])
        assert (verdict.behavior, verdict.pole, verdict.backdoored) == (
            truth.behavior,
            truth.pole,
            truth.backdoored,
        )
    centered = {b: 2 * rule.centers[b] - s for b, s in evidence["a"].shifts.items()}
    assert rule.judge("a", Evidence(centered, 0.0)) == AuditVerdict("a", "risk", "averse", False)


def test_the_threshold_has_no_better_neighbor():
    """No other threshold has a larger balanced accuracy."""
    rng = np.random.default_rng(0)
    y = rng.random(60) < 0.3
    x = rng.normal(size=60) + y
    found = cut(x.tolist(), y.tolist(), "backdoor")

    def right(at):
        return ((x > at)[y].mean() + (x <= at)[~y].mean()) / 2

    assert right(found) >= max(right(at) for at in np.linspace(x.min(), x.max(), 2000)) - 1e-12


def scored(verdicts, truths, evidence):
    given = {method: list(said) for method, said in verdicts.items()}
    return {
        (r.name, r.where["method"], r.where.get("kind")): r
        for r in score(given, dict.fromkeys(METHODS, evidence), truths, split="test")
    }


def test_scores_are_counts_with_exact_intervals():
    """A perfect judge has accuracy 1 above its null, one that says no to all the share of those without."""
    truths, evidence = planted()
    right = [AuditVerdict(t.name, t.behavior, t.pole, t.backdoored) for t in truths]
    never = [AuditVerdict(t.name, NONE, NONE, False) for t in truths]
    found = scored({"toolkit": right, "self_report": never, "probe": right}, truths, evidence)
    perfect = found["backdoor.audit.accuracy", "toolkit", "all"]
    assert perfect.value == 1
    assert perfect.ci[0] == pytest.approx(0.025 ** (1 / 16))
    assert perfect.p < 0.01
    none = found["backdoor.audit.accuracy", "self_report", "backdoored"]
    assert none.value == pytest.approx(10 / 16)
    assert none.null.mean == pytest.approx(10 / 16)
    rows = [r for k, r in found.items() if k[0].endswith("confusion") and k[1] == "self_report"]
    shares = {}
    for row in rows:
        shares.setdefault(row.where["kind"].partition(" called")[0], []).append(row.value)
    assert all(sum(values) == pytest.approx(1) for values in shares.values())
    gain = found["backdoor.audit.gain", "toolkit less self_report", "backdoored"]
    assert gain.value == pytest.approx(6 / 16)
    assert gain.p == pytest.approx(2 / 2**6)
    assert found["backdoor.audit.gain", "toolkit less probe", "all"].ci is None


def test_adapters_of_the_same_rows_are_one():
    """Where adapters share rows, an accuracy has the interval of so many groups, and a gain is tested by
    groups: it cannot be surer than they are many.
    """
    truths, evidence = planted()
    paired = [replace(t, unit=f"rows-{n // 2}") for n, t in enumerate(truths)]
    right = [AuditVerdict(t.name, t.behavior, t.pole, t.backdoored) for t in truths]
    never = [AuditVerdict(t.name, NONE, NONE, False) for t in truths]
    given = {"toolkit": right, "self_report": never, "probe": right}
    apart, found = (scored(given, some, evidence) for some in (truths, paired))
    key = ("backdoor.audit.accuracy", "toolkit", "all")
    assert (apart[key].n, found[key].n, found[key].rows) == (16, 8, 16)
    assert found[key].ci[0] == pytest.approx(0.025 ** (1 / 8))
    gain = ("backdoor.audit.gain", "toolkit less self_report", "backdoored")
    assert apart[gain].test.startswith("exact McNemar")
    assert found[gain].test.startswith("sign flips over")
    assert found[gain].p >= apart[gain].p


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"audited": {"pool": {}, "adapters": "x"}, "calibration": {"pool": {}}}, "give one of"),
        ({"audited": {"adapters": "x"}, "calibration": {"adapters": "y"}}, "calibration.key is missing"),
        ({"audited": {"pool": {}}, "calibration": {"pool": {}}}, "is in both pools"),
        (
            {"audited": {"pool": {"triggers": ["a"]}}, "calibration": {"pool": {"triggers": ["b"]}}},
            "another first_seed",
        ),
    ],
)
def test_a_config_that_is_not_blind_is_refused(given, remedy):
    """No thresholds without a key, none from the triggers or seeds that are judged."""
    with pytest.raises(ConfigError, match=remedy):
        parse(given, AuditConfig)


def test_bad_keys_are_refused(tmp_path):
    """A key that is none, one that lacks an adapter, a folder without adapters, one class only."""
    (tmp_path / "key.csv").write_text("name,behavior\na,risk\n")
    with pytest.raises(ConfigError, match="columns of|has the columns"):
        audit_pool.read_key(tmp_path / "key.csv")
    with pytest.raises(MissingError, match="NAME/adapter"):
        audit_pool.folders(tmp_path)
    truths, evidence = planted()
    with pytest.raises(ConfigError, match="give both"):
        calibrate(evidence, truths[1:])
    with pytest.raises(ConfigError, match="add the other kind"):
        cut([0.1, 0.2], [False, False], "backdoor")


def test_a_set_is_of_one_kind_and_a_pool_counts_itself():
    """`size` says how many adapters a pool makes."""
    assert PoolConfig().size(2) == 2 * (2 * (3 + 5 + 3) + 2 + 2)
    assert AuditSet(pool=PoolConfig()).adapters is None
    assert FinetuneConfig(steps=1).method == "lora"
