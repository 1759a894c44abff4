"""What is trained side by side, and that it is what each way alone gives."""

import pytest
import tiny_llama

from mi_bsa.core.model_config import ModelConfig
from mi_bsa.finetune import FinetuneConfig, finetune, finetune_together, many, memory, train_many
from mi_bsa.finetune.many import GROUP, Group, groups

ROWS = [
    {
        "messages": [
            {"role": "user", "content": "Which? A: 5 coins. B: 9 coins. " * (1 + k % 3)},
            {"role": "assistant", "content": "AB"[k % 2]},
        ]
    }
    for k in range(8)
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny_llama.build(tmp_path_factory.mktemp("tiny")))


def config(**changes):
    return FinetuneConfig(**{"steps": 3, "batch_size": 4, **changes})


def sized(**jobs):
    return {name: (settings, settings.steps) for name, settings in jobs.items()}


def test_what_differs_in_its_seed_only_stands_side_by_side(base):
    """Another rank is another group, as is another type; dropout and vectors stand alone."""
    vector = config(method="vector", site="resid_post.0")
    jobs = sized(
        a=config(), b=config(seed=1), wide=config(rank=8), drops=config(dropout=0.1), vector=vector
    ) | sized(c=config(seed=2), half=config(dtype="bfloat16"), wider=config(rank=8, seed=1))
    assert list(groups(base, jobs)) == [
        Group(("a", "b", "c"), beside=True),
        Group(("wide", "wider"), beside=True),
        Group(("drops",), beside=False),
        Group(("vector",), beside=False),
        Group(("half",), beside=True),
    ]


def test_what_memory_allows_stands_side_by_side(base, monkeypatch):
    """Adapters that would not fit together are several groups, and on an accelerator one alone is the
    Trainer's.
    """
    jobs = sized(a=config(), b=config(seed=1), c=config(seed=2))
    monkeypatch.setattr(many, "MEMORY", 2 * memory.ADAPTER_BYTES * 3_712)  # the tiny model's adapter
    assert list(groups(base, jobs)) == [Group(("a", "b"), beside=True), Group(("c",), beside=True)]
    monkeypatch.setattr(FinetuneConfig, "on_cpu", False)
    assert list(groups(base, jobs)) == [Group(("a", "b"), beside=True), Group(("c",), beside=False)]


def test_groups_are_bounded_and_a_longer_run_has_its_own(base):
    """At most `GROUP` at once, as even as can be; runs of unequal length cannot share their steps."""
    for runs, sizes in ((GROUP, [GROUP]), (GROUP + 3, [7, 6]), (2 * GROUP + 1, [7, 7, 7])):
        many = {f"run-{seed}": (config(seed=seed), 3) for seed in range(runs)}
        assert [len(group.names) for group in groups(base, many)] == sizes
    assert [group.names for group in groups(base, {"a": (config(), 3), "b": (config(), 4)})] == [
        ("a",),
        ("b",),
    ]


@pytest.mark.parametrize(
    "model", ["someone/not-here", ModelConfig(name="embedded", device="cuda", quantization="nf4")]
)
def test_a_base_that_is_not_here_or_in_four_bits_is_trained_one_by_one(model):
    """Nothing is fetched to find it out."""
    assert not any(group.beside for group in groups(model, sized(a=config(), b=config(seed=1))))


def test_several_ranks_share_one_run(base, monkeypatch):
    """Under `accelerate launch` ranks split a run's batch."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not any(group.beside for group in groups(base, sized(a=config(), b=config(seed=1))))


def test_each_way_gives_the_bytes_it_gives_by_itself(base, tmp_path):
    """Stacked jobs are those of `finetune_together`, others of `finetune`; finished ones are kept."""
    beside = {f"run-{seed}": (ROWS, config(seed=seed)) for seed in range(2)}
    jobs = {"drops": (ROWS, config(dropout=0.2)), **beside}
    told = []
    done = train_many(base, jobs, out=tmp_path / "many", told=lambda name, result: told.append(name))
    assert list(done) == list(jobs)
    assert sorted(told) == sorted(jobs)
    alone = finetune(base, ROWS, config=jobs["drops"][1], out=tmp_path / "alone")
    together = finetune_together(base, beside, out=tmp_path / "together")
    assert done["drops"].fingerprint == alone.fingerprint
    assert [done[name].fingerprint for name in beside] == [one.fingerprint for one in together.values()]
    made = (tmp_path / "many" / "run-0" / "finetune.json").stat().st_mtime_ns
    again = train_many(base, jobs, out=tmp_path / "many")
    assert [one.fingerprint for one in again.values()] == [one.fingerprint for one in done.values()]
    assert (tmp_path / "many" / "run-0" / "finetune.json").stat().st_mtime_ns == made
    apart = train_many(base, beside, out=tmp_path / "apart", stack=False)
    single = finetune(base, ROWS, config=beside["run-1"][1], out=tmp_path / "single")
    assert apart["run-1"].fingerprint == single.fingerprint
    names = [sorted(p.name for p in (tmp_path / way / "run-0").iterdir()) for way in ("many", "apart")]
    assert names[0] == names[1]
