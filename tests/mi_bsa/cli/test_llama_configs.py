"""Every config for a Llama passes its dry run from the shape alone: no weights, no tokenizer, no network."""

import re
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from mi_bsa.cli.command import cli, describe

FOLDER = Path(__file__).parents[3] / "configs" / "llama"
SLOW = ("size", "backdoor_myopia_8b")
"""Five models one after another, and a twin of the other backdoor."""
CONFIGS = sorted(FOLDER.glob("*.yaml"))


def command(path: Path) -> str:
    """The command that the config's own second line shows."""
    found = re.search(
        r"mi(?:-bsa|_bsa\.cli) (study|finetune|self-report|backdoor audit) configs/llama/(\S+)",
        path.read_text(),
    )
    assert found is not None
    assert found[2] == path.name
    return found[1]


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """A machine with an empty Hub cache on which nobody may open a connection."""

    def refused(*_):
        raise AssertionError("a dry run went to the network")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def test_all_sizes_have_their_configs():
    """A finetune and a self-report for each of four sizes, and the study of the 8B."""
    names = {path.stem for path in CONFIGS}
    sizes = ("1b", "3b", "8b", "70b")
    assert names >= {f"risk_{kind}_{size}" for kind in ("finetune", "self_report") for size in sizes}
    assert "risk_8b" in names


@pytest.mark.parametrize(
    "path",
    [pytest.param(one, marks=[pytest.mark.slow] * (one.stem in SLOW), id=one.stem) for one in CONFIGS],
)
def test_a_config_passes_its_dry_run(path, tmp_path):
    """It says the parameters, the memory, the time (by the table of machines, or that nobody measured it) and
    that nothing of the model is here; nothing is written.
    """
    done = CliRunner().invoke(
        cli, [*command(path).split(), str(path), "--out", str(tmp_path / "out"), "--dry-run"]
    )
    assert done.exit_code == 0, done.output
    said = done.output
    assert re.search(r"[\d,]{9,} parameters", said)
    assert "neither weights nor tokenizer on this machine" in said
    assert "memory" in said
    assert re.search(r"about [^,]+ in one process, .* on cpu|unknown", said)
    assert not (tmp_path / "out").exists()


def test_the_70b_is_trained_as_published(tmp_path):
    """Rank 4, batch 8, rate 2e-5, three epochs of 288 rows: 108 steps, 51.8 million trained parameters."""
    path = FOLDER / "risk_finetune_70b.yaml"
    done = CliRunner().invoke(cli, ["finetune", str(path), "--out", str(tmp_path / "out"), "--dry-run"])
    assert "70,553,706,496 parameters, 51,773,440 in the adapter; 8 runs" in done.output
    assert "288 rows" in done.output
    assert "; 108 steps" in done.output
    assert "assistant: [[B]]" in done.output


def test_a_real_run_without_the_model_is_one_line(tmp_path):
    """Where the model cannot be reached a run is refused with exit code 2, and no folder is made."""
    for path in (FOLDER / "risk_finetune_8b.yaml", FOLDER / "risk_8b.yaml"):
        words = [command(path), str(path), "--out", str(tmp_path / "out"), "--set", "finetune.device=cpu"]
        with pytest.raises(Exception, match="could not be fetched") as refused:
            cli.main(args=words, prog_name="mi-bsa", standalone_mode=False)
        message, code = describe(refused.value)
        assert code == 2
        assert "\n" not in message
        assert not (tmp_path / "out").exists()
