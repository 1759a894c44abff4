"""What is planted is there: shares, effects and neighbors of built instances, measured on prompts that their
weights were not set on.
"""

import numpy as np
import pytest

from mi_bsa.studies.planted import PlantedCell, draw
from mi_bsa.studies.planted.cut import answers, effects
from mi_bsa.studies.planted.llama import instance
from mi_bsa.studies.planted.runs import judged
from mi_bsa.studies.planted.settings import Draws
from mi_bsa.studies.planted.truth import truth

DEBUG = 10_000
"""First of the instances that are not reported."""


@pytest.fixture(scope="module")
def planted():
    """Three instances: half of the report is carried by the choices' state, which move by .6."""
    cell = PlantedCell("grid", share=0.5, cowriting=0.6, effect=0.6, seeds=5)
    return [instance(draw(cell, DEBUG + n)) for n in range(3)]


def test_an_instance_is_its_cell_and_number():
    """The same number draws the same wiring; another number or cell another one."""
    assert draw("shared", 3) == draw("shared", 3)
    assert draw("shared", 3).report_logits != draw("shared", 4).report_logits
    assert draw("shared", 3).report_logits != draw("separate", 3).report_logits


def test_the_cell_is_what_is_measured(planted):
    """The share, by the planted weights alone, and the gap of choices are the cell's; the state is all that
    moves the choices. Of effects the mean: weights are set on other prompts than are asked, so that single
    instances lie .05 to .15 away.
    """
    gaps = []
    for one in planted:
        found = truth(one)
        assert found.share == pytest.approx(0.5, abs=0.1)
        assert found.carried == pytest.approx(found.share)
        assert found.choices == pytest.approx(1.0, abs=0.15)
        by_name = {r.name: r for r in effects(one.material)}
        gaps.append(by_name["behavior.effect"].value)
        assert by_name["self_report.effect"].value > 0.2
    assert np.mean(gaps) == pytest.approx(0.6, abs=0.08)


def test_wide_instances_are_of_the_cell_too():
    """At a width of 192 the share is the cell's, and every vector is as wide; settings refuse what has
    no room for features, or cannot be split into heads.
    """
    wiring = draw(PlantedCell("grid", 0.5, 0.6, 0.6, 3), DEBUG, Draws(width=192))
    wide = instance(wiring)
    assert wide.state.shape == (wide.material.model.d_model,) == (192,)
    assert truth(wide).share == pytest.approx(0.5, abs=0.1)
    for width in (32, 81):
        with pytest.raises(ValueError, match="width"):
            Draws(width=width)


def test_adapters_of_the_neighbor_move_its_choices_and_not_ours(planted):
    """They are a behavior of their own: .6 or more on the neighbor's choices, hardly anything on the planted
    trait's, and the other way round.
    """
    material = planted[1].material

    def gap(name, prefix):
        readout = material.readout(name)
        level = {
            arm: np.mean([material.levels(readout, variant=a)[0] for a in material.arms[f"{prefix}{arm}"]])
            for arm in ("seeking", "averse")
        }
        return level["seeking"] - level["averse"]

    for split in ("dev", "test"):
        assert gap(f"neighbor_choice-{split}", "wrong_") > 0.6
        assert abs(gap(f"neighbor_choice-{split}", "")) < 0.15
    assert abs(gap("choice-test", "wrong_")) < 0.15
    assert gap("choice-test", "") > 0.5


@pytest.mark.parametrize(
    ("world", "share", "carried"),
    [
        ("separate", 0.0, 0.0),
        ("another_block", 0.0, 0.0),
        ("shared_another_block", 1.0, 1.0),
        ("two_of_five", 1.0, 0.6),
    ],
)
def test_worlds_carry_what_they_say(world, share, carried):
    """Shares of worlds beside the grid, by the planted weights."""
    found = truth(instance(draw(world, DEBUG)))
    assert found.share == pytest.approx(share, abs=0.15)
    assert found.carried == pytest.approx(carried, abs=0.15)


def test_prompts_spread_as_drawn():
    """Log-odds of prompts that weights were not set on spread in the base about as drawn."""
    wiring = draw("shared", DEBUG + 27)
    table = answers(instance(wiring).material)
    odds = np.log(table["score"] / (1 - table["score"]))[
        (table["set"] == "choice-test") & (table["arm"] == "base")
    ]
    assert odds.std() < 3 * wiring.noise_logits


@pytest.mark.slow
def test_layers_are_told():
    """An adapter that is read later is observed, one that writes answers itself is not."""
    assert judged("early", DEBUG)["answer"] == "supported"
    assert judged("reverse", DEBUG)["answer"] == "not supported"
