"""Plans with time: a pace and the work of a step give its seconds, on machines of the table too."""

from dataclasses import replace

import pytest

from mi_bsa.core.shape import shape_of
from mi_bsa.study.pace import MACHINES, Pace, Work, stated, table
from mi_bsa.study.steps import Planned, Step
from mi_bsa.study.totals import describe, timed

PACE = Pace(
    "a", asked=1.0, edited=2.0, read=4.0, trained=1.0, generated=1.0, source="s", fit=3.0, host=2.0, busy=4.0
)


def nothing(cell: object) -> None:
    """A step's function."""


def test_seconds_are_work_at_a_pace():
    """Each kind of token at its own rate, adapters and the rest beside."""
    assert PACE.seconds(Work(asked=1, edited=2, read=4, trained=1, generated=1, seconds=1, fits=1)) == 10
    steps = [Step("ask/a", nothing, work=Work(asked=5)), Step("rest", nothing, seconds=4)]
    found = timed(steps, {"": PACE})
    assert found[0].seconds == 5
    assert found[1].seconds == pytest.approx(4 * 50_000 / 4)


def test_the_table_says_its_sources_and_orders_the_machines():
    """Every machine has a source; a larger model takes longer, and the processor longest."""
    assert set(table()) == set(MACHINES)
    assert all(one["source"] for one in table().values())
    small, large = shape_of("meta-llama/Llama-3.2-1B"), shape_of("meta-llama/Llama-3.1-8B")
    one = {name: stated(name, small, dtype="bfloat16", batch=800) for name in MACHINES}
    assert one["h100"].read > one["a100"].read > one["cpu"].read
    assert stated("h100", large, dtype="bfloat16", batch=800).trained < one["h100"].trained


def test_totals_stand_first_by_kind():
    """The sum, the machine, and how busy it is; then kinds of step, the longest first."""
    steps = [Step(name, nothing, seconds=took) for name, took in (("ask/a", 1), ("ask/b", 2), ("fit/a", 60))]
    planned = [Planned(step, {}, "", "new", step.seconds) for step in steps]
    lines = describe(planned, pace=replace(PACE, needs="memory: much")).splitlines()
    assert lines[0].startswith("3 of 3 steps to run: about 63 s in one process")
    assert "about 4 min by the clock" in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == ["fit", "ask", "memory:"]
