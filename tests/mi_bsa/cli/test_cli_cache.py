"""`mi-bsa cache`: the whole life of a cache, and one clear line with exit code 2 for every mistake."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import activations
from activations import testing
from mi_bsa.cli.command import main
from mi_bsa.core import results
from mi_bsa.core.record import RunFolder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, an adapter and prompts."""
    root = tmp_path_factory.mktemp("cli")
    testing.build(root / "model")
    testing.build_adapter(root / "adapter", root / "model")
    (root / "prompts.jsonl").write_text("\n".join(json.dumps(row) for row in testing.prompts(9)))
    return root


def mi_bsa(*arguments: object) -> int:
    """Run the command in this process; its exit code."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


def flags(made: Path) -> list[object]:
    """The options that every build here shares."""
    return ["--model", made / "model", "--prompts", made / "prompts.jsonl", "--sites", "resid_post"]


def test_a_cache_lives_from_plan_to_repack(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """dry run, build with parity, info, check, resume, repack."""
    out = tmp_path / "acts.h5"
    common = ["cache", "build", *flags(made), "--adapter", made / "adapter", "--out", out]
    assert mi_bsa(*common, "--dry-run", "--positions", "slot") == 0
    assert "[[<|assistant|>]]" in capsys.readouterr().out
    assert not out.exists()
    assert mi_bsa(*common, "--parity", "2") == 0
    assert mi_bsa("cache", "info", out) == 0
    shown = capsys.readouterr().out
    assert "variant: adapter" in shown
    assert "parity with transformer_lens" in shown
    assert mi_bsa("cache", "info", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 9
    assert mi_bsa("cache", "check", out, "--deep") == 0
    assert mi_bsa(*common, "--parity", "2", "--resume") == 0
    assert mi_bsa("cache", "repack", out, "--out", tmp_path / "small.h5") == 0
    assert activations.Store(tmp_path / "small.h5").check(deep=True) == []


def test_answers_are_captured_as_they_are_made(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--answer-tokens for every variant, response positions by default; what does not go with it is said."""
    out, asked = tmp_path / "answers", tmp_path / "asked.jsonl"
    asked.write_text(json.dumps({"messages": [{"role": "user", "content": "which option ?"}]}) + "\n")
    common = ["cache", "build", *flags(made)[:2], "--prompts", asked, "--sites", "resid_post"]
    common += ["--adapter", made / "adapter", "--answer-tokens", "3"]
    assert mi_bsa(*common, "--out", out) == 0
    for name in ("base", "adapter"):
        store = activations.Store(out / f"{name}.h5")
        assert store.variant == name
        assert store.attributes["positions"] == "response"
        assert (store.rows["log_prob"] < 0).all()
    assert mi_bsa(*common, "--out", out, "--resume") == 0
    for more, said in ((["--dry-run"], "drop --dry-run"), (["--parity", "2"], "through hooks alone")):
        assert mi_bsa(*common, "--out", tmp_path / "b.h5", *more) == 2
        assert said in capsys.readouterr().err


def test_a_folder_gets_every_variant_and_shards_are_joined(made: Path, tmp_path: Path) -> None:
    """--out DIR, --variants, --shard, a YAML config and --set."""
    config = tmp_path / "cache.yaml"
    config.write_text(
        f"model: {made / 'model'}\nprompts: {made / 'prompts.jsonl'}\nadapter: {{k: {made / 'adapter'}}}\n"
    )
    assert mi_bsa("cache", "build", config, "--out", tmp_path / "all") == 0
    assert sorted(path.name for path in (tmp_path / "all").glob("*.h5")) == ["base.h5", "k.h5"]
    half = ["cache", "build", config, "--set", "sites=[resid_post.1]", "--variants", "k@0.5"]
    for part in ("1/2", "0/2"):
        assert mi_bsa(*half, "--out", tmp_path / "half.h5", "--shard", part) == 0
    joined = activations.Store(tmp_path / "half.h5")
    assert [str(site) for site in joined.sites] == ["resid_post.1"]
    assert joined.attributes["adapter_scale"] == 0.5


def numbers(folder: Path) -> dict[tuple[str, object], float]:
    """A run's results by name and variant."""
    return {(one.name, one.where["variant"]): one.value for one in results.read(folder)}


def test_a_cache_leaves_a_run_folder(made: Path, tmp_path: Path) -> None:
    """X.run beside X.h5, or the folder of caches itself; also where older caches lie, and part by part."""
    out = tmp_path / "a.h5"
    assert mi_bsa("cache", "build", *flags(made), "--out", out, "--parity", "2") == 0
    run = RunFolder.at(tmp_path / "a.run")
    assert run.record()["revisions"]["base, index"] == activations.Store(out).attributes["index_hash"]
    assert yaml.safe_load((run.path / "config.yaml").read_text())["sites"] == ["resid_post"]
    assert numbers(run.path)["cache.rows", "base"] == 9
    assert 0 <= numbers(run.path)["cache.parity", "base"] < 1e-3

    folder = [*flags(made), "--adapter", f"k={made / 'adapter'}", "--out", tmp_path / "all"]
    assert mi_bsa("cache", "build", *folder, "--variants", "base") == 0
    for name in ("config.yaml", "record.json", "results.json", "results.csv", "run.lock"):
        (tmp_path / "all" / name).unlink()  # as an older version left it
    assert mi_bsa("cache", "build", *folder, "--resume") == 0
    assert mi_bsa("cache", "build", *folder, "--variants", "k@0.5") == 0
    assert set(numbers(tmp_path / "all")) == {("cache.rows", one) for one in ("base", "k", "k@0.5")}
    assert (tmp_path / "all" / "config.1.yaml").is_file()

    parts = [*flags(made), "--out", tmp_path / "p.h5", "--shard"]
    assert mi_bsa("cache", "build", *parts, "1/2") == 0
    assert not (tmp_path / "p.run").exists()
    assert mi_bsa("cache", "build", *parts, "0/2") == 0
    assert numbers(tmp_path / "p.run") == {("cache.rows", "base"): 9}


@pytest.mark.parametrize("names", [["thesis.tex"], ["config.yaml", "thesis.tex"]])
def test_a_folder_of_somebody_else_is_left(names: list[str], made: Path, tmp_path: Path) -> None:
    """Neither a folder of caches nor X.run takes a place where other files are."""
    for folder, out in (("all", tmp_path / "all"), ("x.run", tmp_path / "x.h5")):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text("mine: 1\n")
        assert mi_bsa("cache", "build", *flags(made), "--out", out) == 2
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == names
        assert not (tmp_path / "x.h5").exists()


def truncated(root: Path) -> list[object]:
    """A prompts file that was cut off."""
    (root / "cut.jsonl").write_text((root / "prompts.jsonl").read_text()[:-9])
    return [*flags(root)[:2], "--prompts", root / "cut.jsonl"]


def rows(*lines: object) -> Callable[[Path], list[object]]:
    """A prompts file of these rows."""

    def make(root: Path) -> list[object]:
        (root / "rows.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
        return [*flags(root)[:2], "--prompts", root / "rows.jsonl"]

    return make


MISTAKES: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "unknown model": (lambda root: ["--model", "embeded", *flags(root)[2:]], "did you mean 'embedded'"),
    "no model": (lambda root: flags(root)[2:], "--model"),
    "vanished adapter": (lambda root: [*flags(root), "--adapter", root / "gone"], "does not exist"),
    "no prompts file": (lambda root: [*flags(root), "--prompts", root / "none.jsonl"], "does not exist"),
    "truncated prompts": (truncated, "cut off"),
    "a row without the key": (rows({"id": "a", "pole": 1}), "exactly one of"),
    "labels of mixed types": (rows({"text": "a", "p": 1}, {"text": "b", "p": "x"}), "mixed types"),
    "an empty prompt": (rows({"text": " "}), "empty prompt"),
    "longer than the context": (rows({"text": "coins " * 400}), "context of 256"),
    "unknown site": (lambda root: [*flags(root), "--sites", "residual.3"], "use one of these"),
    "unknown layer": (lambda root: [*flags(root), "--sites", "resid_post.40"], "layers 0 to 2"),
    "unknown position": (lambda root: [*flags(root), "--positions", "end"], "use last"),
    "unknown backend": (lambda root: [*flags(root), "--backend", "jax"], "use one of these"),
    "wrong shard": (lambda root: [*flags(root), "--shard", "2"], "is not I/N"),
    "wrong field": (lambda root: [*flags(root), "--set", "site=x"], "sites"),
    "read-only folder": (lambda root: [*flags(root), "--out", "/proc/acts.h5"], "can be written"),
    "file for a folder": (
        lambda root: [*flags(root), "--variants", "base,base", "--out", root / "x.h5"],
        "folder",
    ),
}


@pytest.mark.parametrize("name", list(MISTAKES))
def test_a_mistake_is_one_line_and_exit_code_2(
    name: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and nothing is created."""
    root = tmp_path / "work"
    shutil.copytree(made, root)
    arguments, remedy = MISTAKES[name]
    given = arguments(root)
    out = [] if "--out" in given else ["--out", tmp_path / "out.h5"]
    assert mi_bsa("cache", "build", *given, *out) == 2
    shown = capsys.readouterr().err
    assert remedy in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "out.h5").exists()


def test_a_damaged_cache_is_reported(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The deep check names the example; the exit code is 2."""
    out = tmp_path / "acts.h5"
    assert mi_bsa("cache", "build", *flags(made), "--out", out) == 0
    assert mi_bsa("cache", "build", *flags(made), "--out", out) == 2
    assert "never overwritten" in capsys.readouterr().err
    offset = activations.Store(out).view("resid_post.1").offset  # type: ignore[attr-defined]
    with open(out, "r+b") as plain:
        plain.seek(offset + 40 * 4)
        plain.write(b"\x07")
    assert mi_bsa("cache", "check", out) == 0
    assert mi_bsa("cache", "check", out, "--deep") == 2
    assert "example 1 does not match" in capsys.readouterr().out
    assert mi_bsa("cache", "repack", out, "--out", tmp_path / "b.h5") == 2
    (tmp_path / "text.h5").write_text("x")
    assert mi_bsa("cache", "info", tmp_path / "text.h5") == 2
