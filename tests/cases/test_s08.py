"""Case S8: caches that differ in more than what they are joined for are refused, or it is recorded."""

import json

import pytest
import yaml
from small_cache import write

import probes
from activations.store import Store
from probes.controls import CONTROLS
from probes.joining import ALIKE, NEVER

OTHER = {
    "positions": "slot", "template_hash": "x" * 64, "attention": "eager", "model_dtype": "bfloat16",
    "dtype": "float16", "tokenizer_fingerprint": "x" * 64, "base_fingerprint": "x" * 64,
    "quantization": "nf4", "layer_convention": "hidden_states",
}  # fmt: skip


def parts(folder, **other):
    return {
        "a": Store(write(folder / "a.h5")),
        "b": Store(write(folder / "b.h5", seed=1, variant="risk", adapter_fingerprint="f", **other)),
    }


def test_every_attribute_is_tried():
    """The list below holds every attribute that must be alike (another schema can not even be opened)."""
    assert set(OTHER) == set(ALIKE) - {"schema_version"}


@pytest.mark.parametrize("name", list(OTHER))
def test_caches_that_differ_are_refused(name, tmp_path):
    """One line with the attribute and both values; allowed where that makes sense, and then recorded."""
    held = parts(tmp_path, **{name: OTHER[name]})
    with pytest.raises(probes.SourceError, match=f"b has {name} ") as caught:
        probes.Joined(held)
    assert "\n" not in str(caught.value)
    if name in NEVER:
        with pytest.raises(probes.SourceError, match="can not be allowed to differ"):
            probes.Joined(held, allow=[name])
        return
    found = probes.Joined(held, allow=[name])
    assert found.attributes["joined_despite"].startswith(f"{name}: ")
    assert name not in found.attributes
    assert found.read("resid_post", 0).shape == (24, 4)


def test_adapters_and_variants_may_differ(tmp_path):
    """What the join is for is no difference, and what varies is said of none."""
    found = probes.Joined(parts(tmp_path, adapter_scale=0.5))
    assert len(found.table()) == 24
    assert not {"variant", "adapter_scale", "index_hash", "joined_despite"} & set(found.attributes)
    assert found.attributes["positions"] == "last:2"


def test_the_base_beside_a_probe(tmp_path):
    """The control that reads the base's cache is not run on one of another position, and says so."""
    cache = Store(write(tmp_path / "c.h5", examples=24, seed=1))
    for rule, note in (("slot", "not run: the base's cache has another positions"), ("last:2", "same folds")):
        base = Store(write(tmp_path / f"{rule[:4]}.h5", examples=24, positions=rule))
        found = probes.sweep(
            cache, label="pole", groups=["example"], base=base, methods=["mean_difference"], n_shuffles=2,
            sites="resid_post.0", without=[c for c in CONTROLS if c != "base_model"],
        )  # fmt: skip
        assert found.controls.set_index("control").loc["base_model", "note"].startswith(note)


def test_an_unknown_name_to_allow(tmp_path):
    """The nearest name is offered."""
    with pytest.raises(probes.SourceError, match="nearest: positions"):
        probes.Joined(parts(tmp_path), allow=["position"])


def test_the_command(tmp_path, capsys):
    """`mi-bsa probe train` refuses the case in one line; with --allow the record and the probe say so."""
    from mi_bsa.cli.command import main

    for name, rule, seed in (("a", "last", 0), ("b", "slot", 1)):
        write(tmp_path / f"{name}.h5", positions=rule, seed=seed, examples=12, labels={})
    words = ["probe", "train", "--cache", f"{tmp_path}/a.h5,pole=0", "--cache", f"{tmp_path}/b.h5,pole=1"]
    words += ["--label", "pole", "--groups", "example", "--method", "mean_difference", "--folds", "3"]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--out", str(tmp_path / "no")])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert "b has positions 'slot', a 'last'" in error
    assert len(error.strip().splitlines()) == 1
    with pytest.raises(SystemExit) as stop:
        main([*words, "--out", str(tmp_path / "yes"), "--allow", "positions"])
    assert stop.value.code == 0, capsys.readouterr().err
    assert yaml.safe_load((tmp_path / "yes" / "config.yaml").read_text())["allow"] == ["positions"]
    facts = json.loads((tmp_path / "yes" / "probe.json").read_text())["provenance"]
    assert facts["joined_despite"] == "positions: 'last', 'slot'"
