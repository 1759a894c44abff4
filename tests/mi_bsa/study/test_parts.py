"""Steps of a part: they see its folder, its config and their own names, and their keys know of no part."""

from pathlib import Path

from graph_of_steps import Small

from mi_bsa.study.execute import execute
from mi_bsa.study.steps import Cell, Step, plan, within


class Parts(Small):
    """Two studies of one config, the second twice as strong."""

    def part(self, name: str) -> Small:
        return Small(strength=float(name[-1]) + 1)


def write(cell: Cell) -> float:
    (cell.folder / "given.txt").write_text(cell.step)
    return float(cell.config.strength)


def twice(cell: Cell) -> float:
    return 2 * cell.value("a/write") + len(cell.after)


def total(cell: Cell) -> float:
    return float(sum(cell.values().values()))


ALONE = [
    Step("a/write", write, fields=("strength",), outputs=("given.txt",)),
    Step("twice", twice, after=("a/write",)),
]
BOTH = [step for part in ("part-0", "part-1") for step in within(part, ALONE)]
WHOLE = [*BOTH, Step("total", total, after=("part-0/twice", "part-1/twice"))]


def test_each_part_is_the_study_by_itself(tmp_path: Path):
    done = execute(WHOLE, config=Parts(), folder=tmp_path)
    assert done.values["total"] == (2 * 1 + 1) + (2 * 2 + 1)
    assert (tmp_path / "part-1" / "given.txt").read_text() == "a/write"
    alone = plan(ALONE, config=Small(strength=2.0), folder=tmp_path / "alone")
    own = [item.key for item in plan(WHOLE, config=Parts(), folder=tmp_path) if item.step.part == "part-1"]
    assert own == [item.key for item in alone]


def test_parts_resume_to_nothing_and_are_made_again_alone(tmp_path: Path):
    execute(WHOLE, config=Parts(), folder=tmp_path)
    assert execute(WHOLE, config=Parts(), folder=tmp_path).ran == ()
    (tmp_path / "part-0" / "given.txt").unlink()
    again = execute(WHOLE, config=Parts(), folder=tmp_path)
    assert "part-0/a/write" in again.ran
    assert "part-1/a/write" not in again.ran
