"""A cache is complete, exact, tied to what made it, and read by plain h5py."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import activations
from activations import hooks, sites, streaming, testing
from activations.errors import SiteError, StoreError
from activations.repack import repack
from activations.selection import select
from activations.writer import part_path

ALL = (
    "embed,resid_pre,resid_mid,resid_post,attn_out,mlp_out,head_z,mlp_act,final_norm,"
    "lora_a.q_proj,lora_out.down_proj"
)
ROWS = testing.prompts(11)


@pytest.fixture
def store(model: activations.Model, tmp_path: Path) -> activations.Store:
    """A small cache of the last token at every kind of site."""
    return activations.capture(model, ROWS, sites=ALL, out=tmp_path / "acts.h5", batch_tokens=200)


def test_plain_h5py_reads_the_public_contract(store: activations.Store, model: activations.Model) -> None:
    """Paths, shapes, tables and root attributes."""
    with h5py.File(store.path) as file:
        assert file["activations/resid_post/1"].shape == (11, model.d_model)
        assert file["activations/head_z/0"].shape == (11, model.n_heads, model.anatomy.d_head)
        assert file["activations/mlp_act/2"].shape == (11, 2 * model.d_model)
        assert file["activations/lora_a.q_proj/0"].shape == (11, 2)
        assert file["activations/final_norm"].shape == (11, model.d_model)
        assert set(file["rows"]) == {"example", "position", "token_id"}
        assert set(file["examples"]) == {"id", "prompt", "pole", "scenario", "weight"}
        assert file["examples/id"].asstr()[3] == "row-3"
        wanted = (
            "schema_version base_model base_fingerprint adapter_fingerprint adapter_scale variant "
            "index_hash tokenizer_fingerprint template_hash dtype attention "
            "layer_convention toolkit_version created"
        )
        assert set(wanted.split()) <= set(file.attrs)
        assert file.attrs["variant"] == "one"
        assert file.attrs["adapter_scale"] == 1.0
        assert file["activations/resid_post/1"].chunks is None
        assert file["activations/resid_post/1"].id.get_offset() is not None


def test_every_stored_number_is_what_one_prompt_alone_gives(
    store: activations.Store, model: activations.Model
) -> None:
    """Row by row against a forward pass without batch or padding."""
    for n, row in enumerate(model.rows(ROWS)):
        single = hooks.read(model, model.collate([row]), store.sites, hooks.whole)
        assert store.rows["position"][n] == len(row) - 1
        assert store.rows["token_id"][n] == row.ids[-1]
        for site in store.sites:
            assert testing.close(
                torch.from_numpy(store.read(site, rows=[n])[0]), single[site][0, -1], 1e-5
            ), str(site)


def test_several_positions_and_means_are_stored_in_file_order(
    model: activations.Model, tmp_path: Path
) -> None:
    """all, last-k and a mean without BOS."""
    every = activations.capture(
        model, ROWS, sites="resid_post.1", positions="all", out=tmp_path / "all.h5", batch_tokens=150
    )
    mean = activations.capture(
        model, ROWS, sites="resid_post.1", positions="mean", out=tmp_path / "mean.h5", batch_tokens=150
    )
    last = activations.capture(
        model, ROWS, sites="resid_post.1", positions="last:3", out=tmp_path / "last.h5", batch_tokens=150
    )
    frame, values = every.table(), every.read("resid_post", 1)
    assert frame["example"].is_monotonic_increasing
    assert (mean.rows["position"] == -1).all()
    for n in range(len(ROWS)):
        of_row = (frame["example"] == n).to_numpy()
        assert frame["position"][of_row].tolist() == list(range(of_row.sum()))
        assert np.allclose(mean.read("resid_post.1")[n], values[of_row][1:].mean(0), atol=1e-5)
        assert np.allclose(
            last.read("resid_post.1", rows=last.rows["example"] == n), values[of_row][-3:], atol=1e-6
        )


def test_variants_share_rows_and_give_deltas(model: activations.Model, tmp_path: Path) -> None:
    """Base, adapter and half an adapter beside each other; the base's file has no adapter sites."""
    found = activations.capture(
        model,
        ROWS,
        sites="resid_post,lora_out.down_proj",
        out=tmp_path / "caches",
        variants=["base", "one", "one@0.5"],
    )
    assert sorted(path.name for path in (tmp_path / "caches").iterdir()) == [
        "base.h5",
        "one.h5",
        "one@0.5.h5",
    ]
    assert len({one.index_hash for one in found.values()}) == 1
    assert found["one@0.5"].attributes["adapter_scale"] == 0.5
    assert found["base"].attributes["adapter_fingerprint"] == ""
    assert found["base"].layers("lora_out.down_proj") == ()
    others = activations.capture(
        model, ROWS, sites="embed,lora_out", out=tmp_path / "others", variants=["base", "one", "two"]
    )
    assert [len(others[name].sites) for name in ("base", "one", "two")] == [1, 1 + 4 * 3, 1 + 3]
    delta = found["one"].delta(found["base"], "resid_post", 2)
    assert np.array_equal(delta, found["one"].read("resid_post", 2) - found["base"].read("resid_post", 2))
    assert np.abs(delta).max() > 0
    with model.variant("base"):
        alone = activations.capture(model, ROWS, sites="resid_post", out=tmp_path / "alone.h5")
    assert np.array_equal(alone.read("resid_post", 2), found["base"].read("resid_post", 2))
    other = activations.capture(model, ROWS[:5], sites="resid_post", out=tmp_path / "fewer.h5")
    with pytest.raises(StoreError, match="index_hash.*never mixed"):
        other.delta(found["base"], "resid_post", 2)
    with model.variant("base"), pytest.raises(SiteError, match="adapter's variant"):
        activations.capture(model, ROWS, sites="lora_out.down_proj", out=tmp_path / "none.h5")


def test_attention_patterns_are_read_from_eager_models_only(
    folders: dict[str, Path], model: activations.Model, tmp_path: Path
) -> None:
    """Rows sum to one over real keys; sdpa refuses; what was used is recorded."""
    eager = activations.load(folders["base"], attention="eager")
    store = activations.capture(eager, ROWS, sites="pattern.1", out=tmp_path / "pattern.h5", batch_tokens=150)
    longest = max(len(row) for row in eager.rows(ROWS))
    values = store.read("pattern", 1)
    assert values.shape == (11, eager.n_heads, longest)
    assert np.allclose(values.sum(-1), 1.0, atol=1e-5)
    assert (values[0, :, store.rows["position"][0] + 1 :] == 0).all()
    assert store.attributes["attention"] == "eager"
    with pytest.raises(SiteError, match="attention='eager'"):
        activations.capture(model, ROWS, sites="pattern.1", out=tmp_path / "none.h5")


def test_sixteen_bits_are_exact_or_refused(
    folders: dict[str, Path], model: activations.Model, tmp_path: Path
) -> None:
    """bfloat16 keeps its bits, float16 refuses what it cannot hold, and float32 values are never rounded to
    bfloat16 unasked."""
    short = activations.load(folders["base"], dtype="bfloat16")
    store = activations.capture(short, ROWS, sites="resid_post.1", out=tmp_path / "bf16.h5")
    with h5py.File(store.path) as file:
        bits = file["activations/resid_post/1"][:]
        assert bits.dtype == np.uint16
        assert file.attrs["dtype"] == "bfloat16"
    assert np.array_equal(
        torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).float().numpy(), store.read("resid_post.1")
    )
    half = activations.capture(model, ROWS, sites="resid_post.1", out=tmp_path / "f16.h5", dtype="float16")
    assert half.read("resid_post.1").dtype == np.float16
    big = activations.add((np.full(model.d_model, 1e5, np.float32), "resid_post.1"), units="raw")
    with activations.edit(model, big), pytest.raises(StoreError, match="beyond float16"):
        activations.capture(model, ROWS, sites="resid_post.1", out=tmp_path / "over.h5", dtype="float16")
    with pytest.raises(StoreError, match="would round"):
        activations.capture(model, ROWS, sites="resid_post.1", out=tmp_path / "none.h5", dtype="bfloat16")


@pytest.mark.filterwarnings("ignore:.*names the base.*")  # one of the bases is another, as it should be
def test_a_cache_is_never_overwritten_nor_mixed(
    store: activations.Store, model: activations.Model, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Existing without resume; resumed with the same request; resumed with another adapter, prompts, sites or
    positions."""
    again = {"sites": ALL, "out": store.path, "batch_tokens": 200}
    with pytest.raises(StoreError, match="never overwritten"):
        activations.capture(model, ROWS, **again)
    before = store.path.read_bytes()
    assert len(activations.capture(model, ROWS, **again, resume=True)) == 11
    assert store.path.read_bytes() == before
    with model.variant("two"), pytest.raises(StoreError, match="adapter_fingerprint"):
        activations.capture(model, ROWS, **(again | {"sites": "lora_out.down_proj"}), resume=True)
    with model.variant("one@0.5"), pytest.raises(StoreError, match="adapter_scale"):
        activations.capture(model, ROWS, **again, resume=True)
    with pytest.raises(StoreError, match="index_hash"):
        activations.capture(model, ROWS[:-1], **again, resume=True)
    with pytest.raises(StoreError, match="made differently"):
        activations.capture(model, ROWS, **(again | {"sites": "resid_post"}), resume=True)
    with pytest.raises(StoreError, match="positions"):
        activations.capture(model, ROWS, **again, positions="slot", resume=True)
    with pytest.raises(StoreError, match="examples/pole"):
        activations.capture(model, [{**row, "pole": 1 - row["pole"]} for row in ROWS], **again, resume=True)
    for kind, change in (
        ("base_fingerprint", {"seed": 9}),
        ("attention", {"attention": "eager"}),
        ("template_hash", {"date": 1}),
    ):
        other = activations.load(
            testing.build(tmp_path / kind, seed=change.get("seed", 0)),
            adapter={"one": folders["one"]},
            attention=change.get("attention", "sdpa"),
            template_arguments={"date_string": "1 May 1999"} if "date" in change else None,
        )
        other.name = model.name
        with pytest.raises(StoreError, match=kind):
            activations.capture(other, ROWS, **again, resume=True)


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_a_repacked_cache_holds_the_same_bits(
    store: activations.Store, tmp_path: Path, compression: str
) -> None:
    """Compressed, checked, and read alike."""
    small = repack(store.path, tmp_path / "small.h5", compression=compression)
    assert small.check(deep=True) == []
    for site in store.sites:
        assert np.array_equal(small.read(site, rows=[3, 1, 1]), store.read(site)[[3, 1, 1]])
    assert small.table().equals(store.table())
    with pytest.raises(StoreError, match="never overwritten"):
        repack(store.path, small.path)


def test_readers_agree(store: activations.Store) -> None:
    """NumPy, memory map, torch Dataset in worker processes, DataFrame."""
    values = store.read("resid_post", 1)
    assert np.array_equal(store.view("resid_post.1"), values)
    assert not store.view("resid_post.1").flags.writeable
    assert np.array_equal(store.read("resid_post", 1, rows=[5, 2, 2]), values[[5, 2, 2]])
    assert np.array_equal(store.read("resid_post", 1, rows=slice(2, 5)), values[2:5])
    assert np.array_equal(store.read("resid_post", 1, rows=store.table().pole == 1), values[1::2])
    data = store.dataset("resid_post.1", label="pole")
    loaded = list(torch.utils.data.DataLoader(data, batch_size=4, num_workers=0))
    assert np.array_equal(torch.cat([x for x, _ in loaded]).numpy(), values)
    assert torch.cat([y for _, y in loaded]).tolist() == store.table().pole.tolist()
    assert store.to_dataframe().columns.tolist() == [
        "example",
        "position",
        "token_id",
        "id",
        "prompt",
        "pole",
        "scenario",
        "weight",
    ]  # noqa: E501
    assert store.typical_norm("resid_post", 1) == pytest.approx(
        float(np.median(np.linalg.norm(values, axis=1)))
    )
    with pytest.raises(StoreError, match="capture that site"):
        store.read("resid_post", 7)
    with pytest.raises(StoreError, match="do not lie within"):
        store.read("resid_post", 1, rows=[11])


def test_what_is_no_cache_is_named(tmp_path: Path) -> None:
    """Another HDF5 file, a text file, nothing."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    (tmp_path / "text.h5").write_text("hello")
    for name, remedy in (
        ("other.h5", "cache build"),
        ("text.h5", "capture it again"),
        ("none.h5", "does not exist"),
    ):
        with pytest.raises(StoreError, match=remedy) as error:
            activations.Store(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_plan_is_shown_before_anything_is_stored(model: activations.Model, tmp_path: Path) -> None:
    """Rows, bytes, time, three prompts with the chosen tokens marked."""
    plan = activations.dry_run(model, ROWS, sites="resid_post", positions="slot", batch_tokens=200)
    assert (plan.n_rows, plan.n_bytes, len(plan.rendered)) == (11, 11 * 3 * 32 * 4, 3)
    assert "[[<|assistant|>]]" in plan.rendered[0]
    assert plan.seconds > 0
    assert "11 prompts" in str(plan)
    assert list(tmp_path.iterdir()) == []


def test_a_parity_receipt_is_kept(model: activations.Model, tmp_path: Path) -> None:
    """Largest and relative difference of each backend at every site."""
    store = activations.capture(model, ROWS, sites="resid_post,head_z.1", out=tmp_path / "p.h5", parity=3)
    receipt = json.loads(store.attributes["parity"])
    assert receipt["prompts"] == 3
    for backend in ("nnsight", "transformer_lens"):
        assert set(receipt["backends"][backend]) == {
            "resid_post.0",
            "resid_post.1",
            "resid_post.2",
            "head_z.1",
        }
        assert all(
            entry["max"] < 1e-5 and entry["relative"] < 1e-5
            for entry in receipt["backends"][backend].values()
        )


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_other_backends_store_the_same(model: activations.Model, tmp_path: Path, backend: str) -> None:
    """capture(backend=...)."""
    request = {"sites": "resid_post,head_z.1", "batch_tokens": 200}
    ours = activations.capture(model, ROWS, out=tmp_path / "hooks.h5", **request)
    theirs = activations.capture(model, ROWS, out=tmp_path / "theirs.h5", backend=backend, **request)
    assert all(np.allclose(ours.read(site), theirs.read(site), atol=1e-5) for site in ours.sites)
    assert theirs.attributes["backend"] == backend


def test_edits_are_seen_by_a_capture(model: activations.Model, tmp_path: Path) -> None:
    """Reading inside an edit; TransformerLens, which would not see it, refuses."""
    from activations.errors import BackendError

    vector = np.ones(model.d_model, np.float32)
    plain = activations.capture(model, ROWS, sites="resid_post.1", out=tmp_path / "plain.h5")
    with activations.edit(model, activations.add((vector, "resid_post.1"), units="raw")):
        edited = activations.capture(model, ROWS, sites="resid_post.1", out=tmp_path / "edited.h5")
        with pytest.raises(BackendError, match="backend='hooks'"):
            activations.capture(
                model, ROWS, sites="resid_post.1", out=tmp_path / "none.h5", backend="transformer_lens"
            )
    assert np.allclose(edited.read("resid_post.1") - plain.read("resid_post.1"), 1.0, atol=1e-5)


def test_a_request_is_checked_before_any_forward_pass(
    model: activations.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong sites, positions, types, names: nothing is run and nothing is created."""
    monkeypatch.setattr(hooks, "read", lambda *_: pytest.fail("a forward pass was made"))
    for wrong in (
        {"sites": "resid_post.9"},
        {"positions": "nowhere"},
        {"dtype": "int8"},
        {"backend": "jax"},
        {"out": tmp_path / "x"},
        {"shard": (4, 2)},
    ):
        with pytest.raises(activations.ActivationsError):
            activations.capture(model, ROWS, **({"sites": "resid_post", "out": tmp_path / "x.h5"} | wrong))  # type: ignore[arg-type]
    with pytest.raises(activations.ActivationsError, match="context of 256"):
        activations.capture(model, [{"text": "coins " * 300}], sites="resid_post", out=tmp_path / "x.h5")
    assert list(tmp_path.iterdir()) == []


def test_the_index_hash_depends_on_tokens_and_positions_only(model: activations.Model) -> None:
    """Labels do not change it; ids, words and rules do."""
    rows = model.rows(ROWS)
    base = select(rows, "last").index_hash
    assert select(model.rows([{**row, "pole": 5} for row in ROWS]), "last").index_hash == base
    assert select(rows, "slot").index_hash != base
    assert select(model.rows(ROWS[::-1]), "last").index_hash != base
    assert sites.LAYER_CONVENTION
    assert streaming.SYNC_SECONDS > 0
    assert part_path(Path("a.h5")).name == "a.h5.part"
