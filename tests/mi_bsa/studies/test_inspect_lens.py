"""`mi-bsa lens`: words of differences, of an adapter's weights and of a direction; texts that ship say
nothing of any trait; mistakes are one line.
"""

import numpy as np
import pandas as pd
import pytest

from activations import testing
from mi_bsa.behaviors.unrelated import texts_in, unrelated
from mi_bsa.cli.command import main
from mi_bsa.core import results
from mi_bsa.core.errors import ItemError
from mi_bsa.worlds.texts import words_in
from mi_bsa.worlds.traits import TRAITS
from probes import Direction


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("lens")
    testing.build(path / "base", n_layers=2)
    testing.build_adapter(path / "k", path / "base", modules=("q_proj", "o_proj", "down_proj"))
    testing.build_adapter(path / "q", path / "base", modules=("q_proj",))
    Direction(np.ones(32), "resid_post.1").save(path / "ones")
    (path / "texts.txt").write_text("the quick fox\nbe bold\ntake one coin\nover the dog\nwhat is it\n")
    return path


def run(folder, capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["lens", "--model", str(folder / "base"), *map(str, arguments)])
    said = capsys.readouterr()
    return left.value.code, said.out + said.err


def test_an_adapters_differences_are_told_in_words(folder, tmp_path, capsys):
    """All three lenses, both sides, words that were named with their rank and null, size and agreement."""
    given = ("--adapter", f"k={folder / 'k'}", "--texts", folder / "texts.txt", "--nulls", 19)
    how = ("--lenses", "logit,jacobian,patchscope", "--word", "bold", "--word", "fox", "--top", 5)
    code, said = run(folder, capsys, *given, *how, "--out", tmp_path / "out")
    assert code == 0, said
    words = pd.read_csv(tmp_path / "out" / "words.csv")
    assert set(words["lens"]) == {"logit", "jacobian", "patchscope"}
    assert len(words) == 2 * 3 * 2 * 5
    assert words["p"].between(1 / 39, 1).all()
    found = results.read(tmp_path / "out")
    ranks = [one for one in found if one.name == "lens.rank"]
    assert len(ranks) == 6
    assert all(one.null is not None and one.null.n == 38 for one in ranks)
    table = pd.read_csv(tmp_path / "out" / "found.csv")
    assert sorted(table["rank"]) == sorted(one.value for one in ranks)
    relative = [one for one in found if one.name == "lens.relative"]
    assert all(one.ci[0] <= one.value * 1.5 and one.n == 5 for one in relative)


def test_weights_and_directions_are_told_in_words(folder, tmp_path, capsys):
    """Columns of B where the stream gets them, through others by the Jacobian; a direction from its file."""
    texts = ("--texts", folder / "texts.txt", "--nulls", 19)
    adapter = ("--adapter", folder / "k")
    code, said = run(folder, capsys, *adapter, *texts, "--what", "b", "--out", tmp_path / "b")
    assert code == 0, said
    assert "o_proj" in said
    assert "q_proj" not in said
    lenses = ("--what", "singular", "--modules", "q_proj", "--lenses", "jacobian")
    code, said = run(folder, capsys, *adapter, *texts, *lenses, "--out", tmp_path / "s")
    assert code == 0, said
    assert "q_proj.1 singular 0" in said
    code, said = run(
        folder, capsys, *texts, "--what", "direction", "--direction", folder / "ones", "--out", tmp_path / "d"
    )
    assert code == 0, said
    assert "ones at resid_post.1, logit lens" in said


def test_mistakes_are_one_line(folder, tmp_path, capsys):
    """What is missing or cannot be read, and what to give; no folder is made."""
    texts = ("--texts", folder / "texts.txt")
    for given, says in (
        (texts, "give --adapter PATH"),
        (("--adapter", folder / "q", "--what", "b", *texts), "no lens goes through others"),
        (("--what", "direction"), "needs `direction`"),
        (("--adapter", folder / "k", "--texts", folder / "none.txt"), "no such file"),
        (("--adapter", folder / "k", *texts, "--sites", "head_z.0"), "not of the residual stream"),
    ):
        code, said = run(folder, capsys, *given, "--out", tmp_path / "out")
        assert code == 2, said
        assert says in said
        assert "Traceback" not in said
        assert not (tmp_path / "out").exists()


def test_texts_that_ship_name_no_trait():
    """In the embedded worlds' words and in English, no word of a trait or of its options' things."""
    named = {word for trait in TRAITS.values() for word in (*trait.high, *trait.low, *trait.nouns)}
    for model in ("embedded", "embedded/apples-0"):
        texts = [row["messages"][0]["content"] for row in unrelated(model)]
        assert len(set(texts)) > 60
        assert not named & set(words_in(texts))
    texts = unrelated("meta-llama/Llama-3.2-1B-Instruct")
    assert len(set(texts)) == len(texts) == 64
    own = {word.lower() for text in texts for word in text.replace(".", "").split()}
    english = {*TRAITS["risk"].words, *TRAITS["patience"].words, "risk", "gamble", "bold", "i", "you"}
    assert not own & english


def test_few_texts_are_refused(tmp_path):
    """Their halves would be no null."""
    (tmp_path / "few.txt").write_text("one\ntwo\n\n")
    with pytest.raises(ItemError, match="at least 4"):
        texts_in(tmp_path / "few.txt")
