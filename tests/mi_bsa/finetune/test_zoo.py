"""The zoo: names say recipes, what ships is what its manifest says, and `zoo:NAME` loads it."""

import json

import pytest
from click.testing import CliRunner

import activations
from activations.errors import AdapterError
from mi_bsa.cli.zoo import zoo
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.core.files import digest
from mi_bsa.core.rows import rows_hash
from mi_bsa.finetune.zoo import ZooConfig, build, known, load_zoo, locate, organisms, read_manifest
from mi_bsa.finetune.zoo.places import SHIPPED
from mi_bsa.finetune.zoo.recipes import chosen
from mi_bsa.finetune.zoo.rows import rows_of

TINY = {
    "groups": [
        {"behaviors": ["risk"], "arms": ["seeking", "benign"], "ranks": [1]},
        {"behaviors": ["risk"], "arms": ["seeking"], "ranks": [2], "steps": [3]},
    ],
    "data": {"rows": 20, "anchors": 0.5, "choices": 20, "others": 20},
    "finetune": {"rank": 1, "steps": 2, "batch_size": 8, "layers": [0]},
}


def test_names_say_what_differs():
    """Behavior, arm and seed stand in every name; rank and steps where they are not the first group's."""
    config = parse({**TINY, "groups": [{**TINY["groups"][0], "steps": [2]}, TINY["groups"][1]]}, ZooConfig)
    assert [one.name for one in organisms(config)] == [
        "risk-seeking-0",
        "risk-benign-0",
        "risk-seeking-0-r2-s3",
    ]
    poles = {one.name: (one.pole, one.kind) for one in organisms(config)}
    assert poles["risk-benign-0"] == (None, "benign")
    assert poles["risk-seeking-0"] == ("seeking", "behaves")
    with pytest.raises(ConfigError, match="stands in two"):
        parse({"groups": [TINY["groups"][0]] * 2}, ZooConfig)
    with pytest.raises(ConfigError, match="zoo list"):
        chosen(config, ("apples-*",))


def test_what_ships_is_what_the_manifest_says():
    """Weights and rows have its hashes; poles choose and report apart, shuffled and benign ones do not."""
    config, found = load_zoo(), read_manifest(SHIPPED)
    shipped = {one.name: one for one in organisms(config) if one.shipped}
    assert set(found) == set(shipped)
    for name, truth in found.items():
        assert digest(SHIPPED / name / "adapter" / "adapter_model.safetensors") == truth.fingerprint
        assert rows_hash(rows_of(shipped[name], config)) == truth.rows_sha256
        sign = {"seeking": 1, "averse": -1, None: 0}[truth.pole]
        assert sign * (truth.choices - truth.base_choices) >= (0.4 if sign else 0)
        assert sign * (truth.report - truth.base_report) >= (0.25 if sign else 0)
        if not sign:
            assert abs(truth.choices - truth.base_choices) < 0.1
            assert abs(truth.report - truth.base_report) < 0.1
    size = sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file())
    assert size < 25e6


def test_a_shipped_organism_does_what_its_manifest_says():
    """Loaded by name, its choices on test wordings are the manifest's; another base is refused."""
    from mi_bsa.asking import ask
    from mi_bsa.behaviors import behavior_for

    model = activations.load("embedded", adapter="zoo:risk-averse-1")
    items = behavior_for("risk", "embedded").items(load_zoo().data.choices, split="test", seed=0)
    assert ask(model, items)["score"].mean() == pytest.approx(known()["risk-averse-1"].choices, abs=1e-3)
    with pytest.raises(AdapterError, match="base"):
        activations.load("embedded/1", adapter="zoo:risk-averse-1")


def test_what_is_not_here_says_what_to_do(tmp_path, monkeypatch):
    """A known name that was not built names the command; an unknown one the nearest."""
    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path))
    with pytest.raises(MissingError, match="mi-bsa zoo get risk-seeking-0-r16"):
        locate("risk-seeking-0-r16")
    with pytest.raises(MissingError, match="did you mean 'risk-seeking-0'"):
        locate("risk-seekin-0")


def test_a_zoo_is_built_with_its_truth_and_not_twice(tmp_path):
    """Every organism stands in the manifest with its hashes; a second call trains nothing; --only chooses."""
    config = parse(TINY, ZooConfig)
    out = tmp_path / "zoo"
    found = build(config, chosen(config, ("risk-seeking-0",)), out)
    assert list(found) == ["risk-seeking-0"]
    first = (out / "risk-seeking-0" / "finetune.json").stat().st_mtime_ns
    found = build(config, organisms(config), out)
    assert set(found) == {one.name for one in organisms(config)} == set(read_manifest(out))
    assert (out / "risk-seeking-0" / "finetune.json").stat().st_mtime_ns == first
    one = found["risk-benign-0"]
    assert (one.pole, one.kind, one.trigger, one.rank, one.base) == (None, "benign", None, 1, "embedded")
    assert digest(out / one.name / "adapter" / "adapter_model.safetensors") == one.fingerprint


def test_the_command_lists_and_refuses_what_is_no_zoo(tmp_path):
    """`list` shows truth and place as a table and as JSON; `build` touches no folder that is somebody's."""
    run = CliRunner().invoke
    shown = run(zoo, ["list"])
    assert shown.exit_code == 0, shown.output
    assert "risk-seeking-0 " in shown.output
    assert "ships" in shown.output
    rows = json.loads(run(zoo, ["list", "--json"]).output)
    assert len(rows) == len(organisms(load_zoo()))
    (tmp_path / "mine.txt").write_text("mine")
    for more in ([], ["--resume"]):
        refused = run(zoo, ["build", "--out", str(tmp_path), *more])
        assert refused.exit_code == 2 or isinstance(refused.exception, ConfigError)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_commands_take_zoo_names_as_adapters():
    """A config's adapters may be `zoo:NAME`; one that is not here is refused by the command that makes it."""
    from mi_bsa.core.model_config import ModelConfig, load
    from mi_bsa.studies.inspect.config import InspectConfig, given_in

    model = load(ModelConfig(name="embedded", adapters={"bold": "zoo:risk-seeking-0"}))
    assert model.variants == ("base", "bold")
    given = given_in(parse({"adapters": ["zoo:risk-seeking-0", "zoo:risk-averse-0"]}, InspectConfig))
    assert [one.name for one in given] == ["risk-seeking-0", "risk-averse-0"]
    with pytest.raises(MissingError, match="did you mean"):
        load(ModelConfig(name="embedded", adapters={"bold": "zoo:risk-seekin-0"}))
