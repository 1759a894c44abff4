"""Configs: what is refused, and how the refusal reads."""

from pathlib import Path

import pytest
from pydantic import Field

from mi_bsa.core.config import Config, load, override, parse
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.study.registry import load_study


class Train(Config):
    """How adapters are trained."""

    rank: int = Field(default=4, ge=1)
    """Rank of the LoRA."""
    lr: float = 3e-3
    """Learning rate."""


class Small(Config):
    """A config for these tests."""

    study: str
    """Which study."""
    train: Train = Train()
    """Training."""
    seeds: list[int] = [0, 1]
    """Seeds."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "risk.yaml"
    file.write_text("study: behavior\ntrain: {lr: 1e-2}\n")
    return file


def test_defaults_are_resolved(path: Path):
    """A loaded config carries its defaults, and its dump validates to an equal config."""
    config = load(path, Small)
    assert config.train == Train(rank=4, lr=0.01)
    assert parse(config.dump(), Small) == config
    assert "rank: 4" in config.to_yaml()


def test_a_key_of_before_is_read_and_said():
    """An old name gives what the new one gives, in one line; both at once are refused."""
    from mi_bsa.causal.bridge_config import BridgeConfig
    from mi_bsa.core.errors import RenamedKeyWarning

    with pytest.warns(RenamedKeyWarning, match="'beside' is called 'controls' now"):
        old = parse({"study": "behavior", "beside": {"seeds": 2}}, BridgeConfig)
    assert old == parse({"study": "behavior", "controls": {"seeds": 2}}, BridgeConfig)
    with pytest.raises(ConfigError, match="both are given: keep controls"):
        parse({"study": "behavior", "beside": {}, "controls": {}}, BridgeConfig)


def test_fields_are_described():
    """A field's docstring is its description."""
    assert Train.model_fields["rank"].description == "Rank of the LoRA."


def test_config_is_frozen(path: Path):
    """A config cannot be changed after it was validated."""
    with pytest.raises(ValueError, match="frozen"):
        load(path, Small).study = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.rnak=8"], "train: unknown key 'rnak'; did you mean 'rank'\\?"),
        (["zzz=8"], "known keys: study, train, seeds"),
        (["train.rank=0"], "train.rank: .*greater than or equal to 1 .given: 0."),
        (["train.rank=x"], "train.rank: .*valid integer"),
        (["train.rank"], "key.path=value"),
        (["train.rank.deep=1"], "train.rank: .*"),
        (["seeds.5=1"], "index of a list of 2"),
        (["study.x=1"], "is a value and has no field"),
        (["seeds=[1"], "not valid YAML"),
    ],
)
def test_bad_values_say_the_remedy(path: Path, overrides: list[str], message: str):
    """A wrong key or value is one line with its dotted place and what to do."""
    path.write_text(path.read_text() + "seeds: [0, 1]\n")
    with pytest.raises(ConfigError, match=message) as caught:
        load(path, Small, overrides=overrides)
    assert "\n" not in str(caught.value)


def test_override_reaches_every_depth(path: Path):
    """--set writes nested values and list items, typed as YAML, and leaves its argument alone."""
    data = {"study": "a", "seeds": [0, 1]}
    changed = override(data, ["train.lr=3e-4", "seeds.1=7", "study='on'"])
    assert changed == {"study": "on", "seeds": [0, 7], "train": {"lr": 3e-4}}
    assert data == {"study": "a", "seeds": [0, 1]}


def test_missing_file_names_a_neighbor(path: Path):
    """A mistyped path names the nearest config beside it."""
    with pytest.raises(MissingError, match="did you mean .*risk.yaml"):
        load(path.with_name("rsik.yaml"), Small)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not valid YAML"), ("- 1", "is a mapping"), ("study: a\nstudy: b\n", "given twice")],
)
def test_bad_yaml_is_refused(path: Path, text: str, message: str):
    """A file that is no YAML mapping, or says a key twice, is refused."""
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(path, Small)


def test_yaml_merges_are_read(path: Path):
    """Anchors and merge keys work as in any YAML."""
    path.write_text("study: a\ntrain: &t {rank: 2}\n")
    assert load(path, Small).train.rank == 2


def test_unknown_study_lists_the_known(path: Path):
    """The top field `study` must name a study; a near one is told by its name."""
    with pytest.raises(ConfigError, match="one of: behavior, faithfulness"):
        load_study(path, overrides=["study=zzz"])
    with pytest.raises(ConfigError, match="did you mean 'behavior'"):
        load_study(path, overrides=["study=behaviour"])


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["steer", "embedded/denial"], "denial"),
        (["finetune", "embedded/risk_short"], "behavior"),
        (["backdoor", "audit", "embedded/risk_short"], "behavior"),
        (["report-adapter", "train", "embedded/denial"], "denial"),
    ],
)
def test_a_study_given_to_another_command_is_named(words, kind, tmp_path):
    """Its config is refused by what it is, and not by the first key that another command does not know."""
    from mi_bsa.cli.command import cli

    with pytest.raises(ConfigError, match=f"of a study of kind '{kind}'.*run `mi-bsa study`"):
        cli.main([*words, "--out", str(tmp_path / "out")], standalone_mode=False)
    assert not (tmp_path / "out").exists()
