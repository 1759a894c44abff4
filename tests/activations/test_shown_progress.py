"""Progress: lines in a log at least so often, silence where it is wanted, and a callable instead of all."""

import re
import time

import numpy as np
import pandas as pd
import pytest

import probes
from activations import progress
from activations.progress import Shown, headed, quiet


def test_a_log_hears_of_a_piece_that_takes_long(monkeypatch, capsys):
    """Lines come while one piece is still at work, with the time left by the pace of this run alone."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.02)
    with Shown(None, "reading", "prompts") as tell:
        tell.begin(50, 100)
        time.sleep(0.05)
        tell(75, 100)
        time.sleep(0.05)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("reading: 50 of 100 prompts, 0.")  # seconds so far, on a busy machine
    assert "left" not in lines[0]
    assert lines[-1].startswith("reading: 75 of 100 prompts")
    assert re.search(r"about 0\.\d s left$", lines[-1])  # a third of what the last 25 took


def test_lines_of_work_beside_other_work_are_headed(capsys):
    """Each says whose it is."""
    with headed("train/0"), headed("deep"), Shown(None, "finetuning", "steps") as tell:
        tell.say("begun")
    assert capsys.readouterr().err == "train/0: deep: finetuning: begun\n"


@pytest.mark.parametrize("how", ["false", "quiet", "environment", "short"])
def test_nothing_is_said_where_it_is_not_wanted(how, monkeypatch, capsys):
    """False, `quiet()`, tqdm's own switch and work that is soon done leave a log empty."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 30.0 if how == "short" else 0.01)
    if how == "environment":
        monkeypatch.setenv("TQDM_DISABLE", "1")

    def work(given):
        with Shown(given, "reading", "prompts") as tell:
            tell(1, 2)
            time.sleep(0.03)

    if how == "quiet":
        with quiet():
            work(None)
    else:
        work(False if how == "false" else None)
    assert capsys.readouterr().err == ""


def test_a_callable_is_told_instead(capsys):
    """A callable hears every piece, and nothing is printed."""
    heard = []
    with Shown(lambda *told: heard.append(told), "probing", "sites") as tell:
        tell.begin(0, 2)
        tell(1, 2, 3.0)
        tell.say("folds")
    assert heard == [(1, 2, 3.0)]
    assert capsys.readouterr().err == ""


def test_a_sweep_says_beforehand_what_crossed_groups_cost(capsys):
    """Folds of two crossed columns are counted before they are fitted; one column says nothing."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"scenario": np.arange(144) % 12, "seed": np.arange(144) // 12})
    table["pole"] = rng.permutation(144) % 2
    x = {"resid_post.0": rng.normal(size=(144, 4)), "resid_post.1": rng.normal(size=(144, 4))}
    how = {"label": "pole", "methods": ["mean_difference"], "n_splits": 5, "n_shuffles": 2, "controls": False}
    probes.sweep(x, table, groups=["scenario"], **how)
    assert capsys.readouterr().err == ""
    probes.sweep(x, table, groups=["scenario", "seed"], **how)
    assert "25 folds and 100 inner ones at each of 2 sites, about " in capsys.readouterr().err
