"""Case S15: every changed bit of a cache is seen by the deep check."""

import shutil

import h5py
import numpy as np
import pytest
from small_cache import write

from activations.checks import survey
from activations.errors import StoreError
from activations.repack import repack
from activations.sharding import join, path
from activations.store import Store


def seen(file):
    """Whether opening or deep checking says that something is wrong."""
    try:
        return bool(Store(file).check(deep=True))
    except StoreError:
        return True


def everything(file):
    """All that plain h5py can read: attributes, names, shapes, types, values; an error is a change too."""
    found = {}

    def visit(name, item):
        found[name] = {key: repr(value) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            content = item[:].tolist() if item.dtype.hasobject else item[:].tobytes()
            found[name, "data"] = (item.shape, item.dtype.str, content)

    try:
        with h5py.File(file, "r") as opened:
            found["/"] = {key: repr(value) for key, value in opened.attrs.items()}
            opened.visititems(visit)
    except Exception as error:  # whatever h5py makes of a damaged file
        return repr(type(error))
    return found


def changed(change, file):
    with h5py.File(file, "r+") as opened:
        change(opened)
    return file


def _attribute(name, value):
    def change(file):
        file.attrs[name] = value

    return change


def _delete(name):
    def change(file):
        del file[name]

    return change


def _value(name, value):
    def change(file):
        file[name][0] = value

    return change


CHANGES = {
    "dtype": _attribute("dtype", "float16"),
    "dtype of no kind": _attribute("dtype", "gloat32"),
    "attention": _attribute("attention", "eager"),
    "scale": _attribute("adapter_scale", 2.0),
    "type of an attribute": _attribute("adapter_scale", 1),
    "created": _attribute("created", "2025-01-01T00:00:00Z"),
    "new attribute": _attribute("note", "mine"),
    "lost attribute": lambda file: file.attrs.__delitem__("positions"),
    "lost seal": lambda file: file.attrs.__delitem__("seal"),
    "lost digest of the seal": lambda file: file["plan"].attrs.__delitem__("seal"),
    "site": _delete("activations/resid_post/1"),
    "site with its checksums": lambda file: [
        _delete(f"{x}/resid_post/1")(file) for x in ("activations", "checksums")
    ],
    "checksums": _delete("checksums/resid_post/1"),
    "label": _delete("examples/topic"),
    "row column": _delete("rows/token_id"),
    "plan": _delete("plan"),
    "renamed label": lambda file: file.move("examples/topic", "examples/tropic"),
    "new label": lambda file: file.create_dataset("examples/mine", data=np.zeros(6)),
    "value of a label": _value("examples/pole", 5),
    "text of a label": _value("examples/topic", "topic 9"),
    "position": _value("rows/position", 0),
    "row of another example": _value("rows/example", 3),
    "row of no example": _value("rows/example", 99),
    "activation": _value("activations/resid_post/0", 0.5),
    "checksum": _value("checksums/resid_post/0", 1),
    "commit flag": _value("plan/done", 0),
    "digest of a column": lambda file: file["examples/pole"].attrs.__setitem__("sha256", "0" * 64),
}  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One good cache."""
    return write(tmp_path_factory.mktemp("s15") / "good.h5")


@pytest.mark.parametrize("name", list(CHANGES))
def test_every_kind_of_change_is_seen(name, cache, tmp_path):
    """Attributes, datasets, columns and flags: changed, lost, renamed or added."""
    assert not seen(cache)
    assert seen(changed(CHANGES[name], shutil.copy(cache, tmp_path / "c.h5"))), name


def test_the_byte_of_the_case(cache, tmp_path):
    """One byte of the `dtype` attribute, flipped in the file."""
    file = tmp_path / "c.h5"
    content = cache.read_bytes()
    at = content.index(b"dtype\0")
    where = content.index(b"float32", at)
    file.write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
    with pytest.raises(StoreError, match="'dtype' is 'gloat32'"):
        Store(file)


def test_the_attribute_is_named(cache, tmp_path):
    """The fault names the attribute."""
    file = changed(CHANGES["attention"], shutil.copy(cache, tmp_path / "c.h5"))
    assert Store(file).check(deep=True) == ["attribute 'attention' is not what was written"]
    assert Store(file).check() == []


def test_older_caches_still_open_and_say_so(cache, tmp_path, capsys):
    """A cache without a seal opens, is checked as far as it goes, and the command says so."""
    from mi_bsa.cli.command import main

    file = tmp_path / "old.h5"
    with h5py.File(cache) as sealed, h5py.File(file, "w") as old:  # nor a user block
        for name in sealed:
            sealed.copy(name, old)
        old.attrs.update({name: value for name, value in sealed.attrs.items() if name != "seal"})
        del old["plan"].attrs["seal"]
    assert not Store(file).sealed
    assert not seen(file)
    with pytest.raises(SystemExit) as stop:
        main(["cache", "check", str(file), "--deep"])
    assert stop.value.code == 0
    assert "attributes are not covered" in capsys.readouterr().out
    assert seen(changed(_value("activations/resid_post/0", 0.5), shutil.copy(file, tmp_path / "o2.h5")))
    assert seen(changed(_delete("activations/resid_post/1"), shutil.copy(file, tmp_path / "o3.h5")))


def test_joined_and_repacked_caches_are_sealed(tmp_path):
    """Shards that are joined, and copies, have seals of their own."""
    out = tmp_path / "all.h5"
    shards = [
        write(path(out, k, 2), seed=k, shard=f"{k}/2", names=[f"s{k}q{n}" for n in range(6)]) for k in (0, 1)
    ]
    joined = join(out, shards)
    assert joined.sealed
    assert joined.check(deep=True) == []
    for how in ("none", "gzip"):
        copy = repack(out, tmp_path / f"{how}.h5", compression=how)
        assert copy.sealed
        assert copy.check(deep=True) == []
        assert seen(changed(_attribute("attention", "eager"), copy.path))


def seen_apart(file):
    """The same in a process of its own, as the command does it: HDF5 may crash on a damaged file."""
    try:
        return bool(survey(file, deep=True)[0])
    except StoreError:
        return True


def _unseen(cache, folder, count, seed):
    """Random single bits over the whole file; those that the deep check does not see."""
    rng = np.random.default_rng(seed)
    content = cache.read_bytes()
    file = folder / f"flip-{seed}.h5"
    found = []
    for _ in range(count):
        bit = int(rng.integers(8 * len(content)))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        if not seen_apart(file):
            found.append(bit)
    return found


def test_random_bits_in_short(cache, tmp_path):
    """Sixty random bits of the file, unused space included."""
    assert _unseen(cache, tmp_path, 60, 0) == []


def test_a_bit_of_no_dataset_and_of_the_stamp(cache, tmp_path):
    """The stamp in the user block, its padding, and the file's last byte; plain h5py reads on as before."""
    content = cache.read_bytes()
    for at in (0, 60, 140, 500, 511, len(content) - 1):
        file = tmp_path / f"{at}.h5"
        file.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        assert seen_apart(file)
    assert everything(cache) == everything(shutil.copy(cache, tmp_path / "copy.h5"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_random_bits_in_full(cache, tmp_path, seed):
    """Two thousand random bits of the file in all."""
    assert _unseen(cache, tmp_path, 400, seed) == []
