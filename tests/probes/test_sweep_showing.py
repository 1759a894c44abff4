"""What a sweep and a direction show of themselves."""

import numpy as np
import pandas as pd

import probes


def test_a_sweep_shows_its_choice_and_draws_itself():
    """A line with the chosen cell and its score, the highest cells as a table, the figure as an image."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 30)
    table = pd.DataFrame({"pole": y, "scenario": np.arange(60) // 2 % 15})
    arrays = {f"resid_post.{k}": rng.normal(size=(60, 8)) + k * np.outer(y, np.ones(8)) for k in range(3)}
    sweep = probes.sweep(
        arrays, table, label="pole", groups=["scenario"], methods=("lda",), controls=False, progress=False
    )
    assert f"best {sweep.best.cell}" in repr(sweep)
    assert len(repr(sweep)) < 300
    shown = sweep._repr_html_()
    assert shown.count("<tr") < 25
    assert "resid_post" in shown
    assert sweep.plot()._repr_png_().startswith(b"\x89PNG")


def test_a_direction_shows_where_it_lives():
    """Its site, width, sign and norm, and not its numbers."""
    direction = probes.Direction(np.ones(64), "resid_post.3", sign="pole = 1", scale=2.0)
    shown = "Direction(resid_post.3, d_model 64, sign: pole = 1, norm 8, typical norm of the site 2)"
    assert repr(direction) == shown
    assert "<table>" in direction._repr_html_()
