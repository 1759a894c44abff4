"""What values show of themselves, and caches that have no path of their own."""

import gc
import pickle

import numpy as np
import pytest

import activations
from activations import testing
from activations.errors import StoreError
from activations.metrics import logit_difference


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    testing.build(folder / "base")
    for name in ("k", "j"):
        testing.build_adapter(folder / name, folder / "base", seed=ord(name))
    return activations.load(folder / "base", adapter={"k": folder / "k", "j": folder / "j"})


@pytest.fixture(scope="module")
def prompts():
    return testing.prompts(6)


def fits(value, *words):
    """One short line with these words, and a small table without markup of its own."""
    line, table = repr(value), value._repr_html_()
    assert "\n" not in line
    assert len(line) < 300
    assert all(word in line for word in words), line
    assert table.startswith("<b>")
    assert "<script" not in table
    return True


def test_a_model_shows_itself_in_a_line(model):
    """Its shape, its type, its place, what is active, and its adapters; not its modules."""
    assert fits(model, "layers", "d_model", "active base", "adapters k, j")
    with model.variant("k"):
        assert fits(model, "active k")


def test_what_is_shown_is_escaped():
    """A name that holds markup is text in a notebook."""
    from activations.showing import table

    assert "&lt;script&gt;" in table("<script>", {"a": "<script>", "none": None})


def test_a_cache_without_a_path_is_that_of_a_file(model, prompts, tmp_path):
    """What is captured in memory equals what a file holds bit for bit, and it passes the deep check."""
    held = activations.capture(model, prompts, sites="resid_post")
    kept = activations.capture(model, prompts, sites="resid_post", out=tmp_path / "a.h5")
    assert fits(held, "in memory", "rows", "variant base")
    assert fits(kept, "a.h5")
    assert held.check(deep=True) == []
    assert held.index_hash == kept.index_hash
    for site in kept.sites:
        np.testing.assert_array_equal(held.read(site), kept.read(site))


def test_a_cache_without_a_path_goes_with_its_last_store(model, prompts):
    """Variants share a folder, which is there while one of them is, and not longer; a copy that another
    process made removes nothing.
    """
    stores = activations.capture(model, prompts, sites="resid_post", variants=["base", "k"])
    assert set(stores) == {"base", "k"}
    base, folder = stores["base"], stores["base"].path.parent
    again = pickle.loads(pickle.dumps(base))
    del stores, again
    gc.collect()
    assert len(base) == len(prompts)
    assert folder.is_dir()
    del base
    gc.collect()
    assert not folder.exists()


def test_a_cache_without_a_path_is_not_resumed(model, prompts):
    """It is of one process and of one call."""
    for how in ({"resume": True}, {"shard": (0, 2)}):
        with pytest.raises(StoreError, match="give out="):
            activations.capture(model, prompts, sites="resid_post", **how)


def test_a_second_run_of_a_cell_says_what_to_do(model, prompts, tmp_path):
    """In words of the library first."""
    activations.capture(model, prompts, sites="resid_post.0", out=tmp_path / "a.h5")
    with pytest.raises(StoreError, match=r"resume=True \(--resume\).*out= away"):
        activations.capture(model, prompts, sites="resid_post.0", out=tmp_path / "a.h5")
    again = activations.capture(model, prompts, sites="resid_post.0", out=tmp_path / "a.h5", resume=True)
    assert len(again) == len(prompts)


def test_a_patch_map_draws_itself(model):
    """A line, and a figure: a row a layer, a column a token, a panel a head; shown without pyplot."""
    rows = testing.prompts(2, shortest=4, longest=4)
    metric = logit_difference([3, 3], [5, 5])
    found = activations.patch_map(
        model, rows, metric=metric, sites="resid_post", source="k", target="base", align="position"
    )
    assert fits(found, "k -> base", "resid_post")
    figure = found.plot()
    assert len(figure.axes) == 2
    assert figure.axes[0].images[0].get_array().shape == found.recovery[:, :, 0].shape
    assert figure._repr_png_().startswith(b"\x89PNG")
    heads = activations.patch_map(
        model, rows, metric=metric, sites="head_z", by_head=True, positions="together", source="k",
        target="base", align="position",
    )  # fmt: skip
    assert len(heads.plot().axes) == len(heads.heads) + 1


def test_packages_list_their_names():
    """`dir` of a package names what it exports, and nothing that was imported beside."""
    import mi_bsa
    import probes

    for package in (activations, probes, mi_bsa):
        assert dir(package) == sorted(package.__all__)
