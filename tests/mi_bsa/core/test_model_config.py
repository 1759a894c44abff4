"""One model config for every command and study: what a bare string is, what is said twice, what keys hold."""

import json
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import ValidationError

from mi_bsa.asking.battery import BatteryConfig, adapters_of
from mi_bsa.causal.config import PatchRun, SteerRun
from mi_bsa.cli.cache import CacheConfig
from mi_bsa.cli.options import MODEL_FLAGS, settings_of
from mi_bsa.core.config import parse, read_yaml
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.core.model_config import ModelConfig, as_config, check_adapter, load
from mi_bsa.finetune import preflight
from mi_bsa.finetune.runs import FinetuneRun
from mi_bsa.studies.backdoor.audit import AuditConfig
from mi_bsa.studies.backdoor.commands import DetectConfig
from mi_bsa.studies.backdoor.search_run import SearchRunConfig
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.studies.grid.size import SizeConfig
from mi_bsa.studies.preferences.config import PreferencesConfig
from mi_bsa.studies.wrapper.config import AwarenessConfig
from mi_bsa.study.registry import load_study
from mi_bsa.study.steps import Step, plan


def test_a_bare_string_is_a_name_and_stays_one_in_keys():
    """The config of a name alone is all default, and counts in keys as that name."""
    config = BehaviorConfig.model_validate({"model": "embedded/1"})
    assert config.model == ModelConfig(name="embedded/1")
    assert str(config.model) == "embedded/1"
    assert config.keyed()["model"] == "embedded/1"
    assert config.dump()["model"]["attention"] == "auto"
    assert BehaviorConfig.model_validate(config.dump()) == config


def test_keys_are_those_of_older_configs():
    """dtype and device stand in a step's other fields, where they always did; what is new is in the model."""

    def fields(data: dict, *names: str) -> dict:
        config = BehaviorConfig.model_validate(data)
        (item,) = plan([Step("one", as_config, fields=names)], config=config, folder="nowhere")
        return dict(item.parts["fields"])

    names = ("model", "finetune.dtype", "finetune.device")
    plain = {"model": "embedded", "finetune.dtype": "float32", "finetune.device": "cpu"}
    assert fields({}, *names) == plain
    old = {"finetune": {"steps": 3, "dtype": "bfloat16", "device": "cuda"}}
    new = {"finetune": {"steps": 3}, "model": {"name": "embedded", "dtype": "bfloat16", "device": "cuda"}}
    assert fields(old, *names) == fields(new, *names)
    assert fields(new, *names)["model"] == "embedded"
    pinned = fields({"model": {"name": "a/b", "revision": "main", "attention": "eager"}}, "model")
    assert pinned == {"model": {"name": "a/b", "revision": "main", "attention": "eager"}}


@pytest.mark.parametrize(
    ("kind", "rest"),
    [
        (BehaviorConfig, {}),
        (FinetuneRun, {"behavior": "risk"}),
        (AwarenessConfig, {}),
        (PreferencesConfig, {}),
    ],
)
def test_what_a_finetune_says_of_its_base_is_the_models(kind, rest):
    """Said in either place it holds in both; said in both it must agree."""
    model = {"name": "embedded/preferences-0"}
    old = kind.model_validate({**rest, "model": model, "finetune": {"steps": 3, "dtype": "bfloat16"}})
    new = kind.model_validate({**rest, "model": {**model, "dtype": "bfloat16"}, "finetune": {"steps": 3}})
    assert old == new
    assert old.model.dtype == old.finetune.dtype == "bfloat16"
    twice = {**rest, "model": {**model, "device": "cpu"}, "finetune": {"steps": 3, "device": "cuda"}}
    with pytest.raises(ValidationError, match=r"say model\.device alone"):
        kind.model_validate(twice)


def test_every_training_of_a_study_loads_alike():
    """A second finetune of the same config runs where the model does, and keeps its own numbers."""
    config = PreferencesConfig.model_validate({"model": {"name": "embedded/preferences-0", "device": "cpu"}})
    assert (config.finetune.device, config.report_finetune.device) == ("cpu", "cpu")
    assert config.report_finetune.learning_rate == 1e-3


def test_several_models_are_loaded_alike():
    """A list of models may hold bare names and configs; they may not differ in type or device."""
    given = ["a", {"name": "b", "dtype": "bfloat16"}]
    config = SizeConfig.model_validate({"models": given})
    assert [str(one) for one in config.models] == ["a", "b"]
    assert {one.dtype for one in config.models} == {config.finetune.dtype} == {"bfloat16"}
    with pytest.raises(ValidationError, match="differ in dtype"):
        SizeConfig.model_validate({"models": [{"name": "a", "dtype": "float32"}, given[1]]})


def test_float16_is_for_reading_only():
    """Nothing is trained in float16; a battery or a cache may run in it."""
    model = {"name": "embedded", "dtype": "float16"}
    with pytest.raises(ValidationError, match="use bfloat16"):
        BehaviorConfig.model_validate({"model": model})
    assert BatteryConfig.model_validate({"model": model, "behavior": "risk"}).model.dtype == "float16"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (BatteryConfig, {"behavior": "risk"}),
        (DetectConfig, {"backdoored": ["a"]}),
        (SearchRunConfig, {"adapters": ["a"]}),
    ],
)
def test_older_spellings_beside_the_model(kind, data):
    """`dtype` and `device` at the top mean the model's."""
    config = kind.model_validate({**data, "dtype": "bfloat16", "device": "cuda"})
    assert (config.model.dtype, config.model.device) == ("bfloat16", "cuda")
    assert config.model.name == kind.model_fields["model"].default.name
    with pytest.raises(ValidationError, match="mean the same"):
        kind.model_validate({**data, "dtype": "bfloat16", "model": {"name": "x", "dtype": "float32"}})


def test_older_spellings_of_a_cache():
    """A cache's config keeps its flat names; its own `dtype` is the stored one."""
    flat = {
        "adapter": "a",
        "model_dtype": "bfloat16",
        "attention": "eager",
        "revision": "r",
        "dtype": "float32",
    }
    config = CacheConfig.model_validate({"model": "m", "prompts": "p.jsonl", **flat})
    assert config.model == ModelConfig.model_validate(
        {
            "name": "m",
            "adapters": {"adapter": "a"},
            "dtype": "bfloat16",
            "attention": "eager",
            "revision": "r",
        }
    )
    assert config.dtype == "float32"


@pytest.mark.parametrize("said", ["finetune.dtype=float32", "model.dtype=float32"])
@pytest.mark.parametrize("where", ["model", "finetune"])
def test_set_wins_in_either_spelling(said, where):
    """`--set` says the last word, whichever way the file says it."""
    data = {"model": {"name": "embedded"}, "finetune": {"steps": 3}}
    data[where]["dtype"] = "bfloat16"
    config = parse(data, BehaviorConfig, overrides=[said])
    assert (config.model.dtype, config.finetune.dtype) == ("float32", "float32")


def test_set_reaches_into_a_bare_name():
    """A model that is given by its name, in a list, or not at all still has fields to set."""
    assert parse({"model": "a"}, BehaviorConfig, overrides=["model.attention=eager"]).model.name == "a"
    config = parse({"models": ["a", "b"]}, SizeConfig, overrides=["models.1.revision=main"])
    assert config.models[1] == ModelConfig(name="b", revision="main")
    left_out = parse({"adapters": ["a"]}, SearchRunConfig, overrides=["model.dtype=bfloat16"])
    assert left_out.model == ModelConfig(name="embedded/habits-0", dtype="bfloat16")
    with pytest.raises(ConfigError, match="is a value and has no field"):
        parse({"behavior": "risk"}, BehaviorConfig, overrides=["behavior.foo=1"])


CONFIGS = Path(__file__).parents[3] / "configs"
KINDS = {
    "finetune": FinetuneRun,
    "self_report": BatteryConfig,
    "steer": SteerRun,
    "patch": PatchRun,
    "backdoor_search": SearchRunConfig,
    "backdoor_audit": AuditConfig,
    "published_risk": FinetuneRun,
}
"""What a config without a `study` is, by a part of its name."""


@pytest.mark.parametrize(
    "path", sorted(CONFIGS.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_shipped_config_takes_the_models_options(path):
    """Dtype and device can be set in the model, whatever the file says of them."""
    if path.parent.name in ("accelerate", "planted"):  # no model is named in them
        return
    said = ["model.dtype=bfloat16", "model.device=cpu", "model.attention=eager"]
    if "models:" in path.read_text():
        several = range(min(2, len(read_yaml(path)["models"])))
        said = [text.replace("model.", f"models.{n}.") for text in said for n in several]
        said = [text for text in said if "attention" in text] + [
            "finetune.dtype=bfloat16",
            "finetune.device=cpu",
        ]
    if "study: wrapper" in path.read_text():
        said = [f"awareness.{text}" for text in said] if "awareness: null" not in path.read_text() else []
    if path.stem in ("variety", "size") and path.parent.name == "embedded":
        said = ["finetune.dtype=bfloat16"]  # bases that are built
    if "places:" in path.read_text():
        said = [text.replace("model.", "places.0.model.") for text in said]
    data = read_yaml(path)
    if "study" in data:
        config = load_study(path, overrides=said)
    else:
        kind = next(kind for name, kind in KINDS.items() if name in path.stem)
        config = parse(data, kind, overrides=said)
    node = getattr(config, "awareness", None) or config
    models = getattr(node, "models", None) or [getattr(node, "model", None)]
    if "places:" in path.read_text():
        models = [config.places[0].model]
    for model in models[:2]:
        if said and isinstance(model, ModelConfig):
            assert (model.dtype, model.device, model.attention) == ("bfloat16", "cpu", "eager")


def test_text_carries_all_of_it():
    """Steps' arguments hold a model as one string: its name, or its options as JSON."""
    assert ModelConfig(name="a").text == "a"
    whole = ModelConfig(name="a/b", revision="main", quantization="nf4")
    assert json.loads(whole.text) == {"name": "a/b", "revision": "main", "quantization": "nf4"}
    assert as_config(whole.text) == whole


def test_adapters_of_the_config_are_asked_or_refused():
    """What asks takes them, by their names' arm and seed; what trains starts from a plain base."""
    model = {"name": "embedded", "adapters": {"seeking-3": "x", "bold": "y"}}
    config = BatteryConfig.model_validate({"model": model, "behavior": "risk"})
    assert adapters_of(config) == {"seeking-3": ("seeking", 3, Path("x")), "bold": ("bold", 0, Path("y"))}
    for kind, rest in ((BehaviorConfig, {}), (SearchRunConfig, {"adapters": ["a"]})):
        with pytest.raises(ValidationError, match="plain base"):
            kind.model_validate({**rest, "model": model})


def test_a_dry_run_waits_for_runs_that_have_not_begun(tmp_path):
    """An adapter of a run that does not exist yet is awaited; one that a finished run lacks is refused."""
    awaited = tmp_path / "run" / "adapters" / "k-0" / "adapter"
    model = ModelConfig(name="embedded", adapters={"k": awaited})
    assert preflight.try_model(model).endswith("not there yet: k")
    assert preflight.loaded_small(model) is None
    with pytest.raises(MissingError, match="does not exist"):
        preflight.check(BatteryConfig(model=model, behavior="risk"))
    (tmp_path / "run").mkdir()
    with pytest.raises(MissingError, match="does not exist"):
        preflight.try_model(model)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "a", "device": "cpu", "device_map": "auto"}, "give one of them"),
        ({"name": "a", "adapters": {"base": "x"}}, "rename it"),
        ({"name": "a", "dtyp": "float32"}, "did you mean 'dtype'"),
        ({"name": "a", "attention": "flash"}, "sdpa"),
        ({"name": ""}, "at least 1"),
        ({"dtype": "float32"}, "required"),
    ],
)
def test_mistakes(data, message):
    """One line with the remedy."""
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate(data)


def test_an_adapter_that_is_not_there(tmp_path, monkeypatch):
    """A folder must be there; owner/name is a Hub id unless the owner is a folder of this machine."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for path in ("gone", "runs/gone", str(tmp_path / "x" / "gone")):
        with pytest.raises(MissingError, match="does not exist"):
            check_adapter("k", Path(path))
    check_adapter("k", Path("owner/name"))
    with pytest.raises(MissingError, match="does not exist"):
        load("embedded", {"k": Path("runs/gone")})


def test_flags_are_spelled_alike():
    """Every command that loads a model has the same flags with the same help."""
    seen: dict = {}
    for words in (
        ["finetune"],
        ["self-report"],
        ["patch"],
        ["steer"],
        ["cache", "build"],
        *(["backdoor", one] for one in ("detect", "recognize", "elicit", "search", "audit")),
    ):
        name = words[0].replace("-", "_")
        command = getattr(import_module(f"mi_bsa.cli.{name}"), name)
        command = command.commands[words[1]] if len(words) > 1 else command
        options = {option.name: option for option in command.params}
        for name in MODEL_FLAGS:
            if name == "adapter" and name not in options:
                continue
            seen.setdefault(name, set()).add((options[name].opts[0], options[name].help))
    assert all(len(said) == 1 for said in seen.values()), seen


def test_flags_win_over_the_file(tmp_path):
    """A flag says what the file says otherwise, in either spelling."""
    config = tmp_path / "c.yaml"
    config.write_text("model: {name: gone, dtype: bfloat16}\nitems: {behavior: risk}\nsource: base\n")
    flags = {"model": "embedded", "model_dtype": "float32", "adapter": ("k=x",), "device": None}
    read = settings_of(PatchRun, config, flags, ())
    assert read.model == ModelConfig.model_validate({"name": "embedded", "adapters": {"k": "x"}})
    config.write_text("model: gone\nbackdoored: [a]\ndtype: bfloat16\n")
    assert settings_of(DetectConfig, config, flags | {"adapter": ()}, ()).model == ModelConfig(
        name="embedded"
    )
    flags = {"model": None, "adapter": ("x",), "model_dtype": None, "dtype": "bfloat16"}
    config.write_text("model: m\nprompts: p\nadapter: {old: y}\ndevice: cpu\n")
    read = settings_of(CacheConfig, config, flags, ("device=cuda",))
    assert (read.model.adapters, read.model.device, read.dtype) == (
        {"adapter": Path("x")},
        "cuda",
        "bfloat16",
    )
    with pytest.raises(ConfigError, match="different names"):
        settings_of(PatchRun, None, {"adapter": ("x", "y")}, ())


def test_an_adapter_may_be_a_hub_id(monkeypatch):
    """`owner/name` in a config goes to the Hub, whose absence is one line; a folder stays a folder."""
    from activations.errors import AdapterError

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(AdapterError, match="could not be fetched from the Hub"):
        load(ModelConfig(name="embedded", adapters={"one": Path("nobody/such-adapter")}))
    with pytest.raises(MissingError, match="mend the path"):
        load(ModelConfig(name="embedded", adapters={"one": Path("one")}))
