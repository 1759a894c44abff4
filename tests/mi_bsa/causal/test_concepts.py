"""Concept injection: a positive control by construction, false alarms, and words of the model's own."""

import numpy as np
import pytest

from mi_bsa.causal.introspection.concepts import ConceptsRun, measure, trials
from mi_bsa.cli import main
from mi_bsa.core import results
from mi_bsa.core.errors import BridgeError
from mi_bsa.core.model_config import load


@pytest.fixture(scope="module")
def settings():
    """The last block alone, two strengths."""
    return ConceptsRun(concepts=50, ways=("difference", "unembedding"), every=3, strengths=(1.0, 16.0))


@pytest.fixture(scope="module")
def given(settings):
    return trials(load(settings.model), settings)


def test_an_unembedding_row_behind_the_last_block_names_its_word(given, settings):
    """At the slot it is identified by construction; from other tokens behind the last block, never."""
    found = {
        (r.name.rpartition(".")[2], r.where.get("position"), r.where.get("kind"), r.where["method"]): r
        for r in measure(given, settings)
    }
    at_slot = found["identification", "slot", "chosen", "unembedding"]
    assert at_slot.value > 0.9
    assert at_slot.n == 50
    assert at_slot.p < 1e-6
    elsewhere = next(r for key, r in found.items() if key[:3] == ("identification", "question", "chosen"))
    assert elsewhere.value == pytest.approx(1 / 50)  # one word is likeliest whatever is added, and once right
    nothing = found["false_alarm", None, None, "nothing"]
    assert 0 <= nothing.value <= 1


def test_concepts_are_single_tokens_that_no_question_holds(given):
    """Each word is one token behind a space; questions do not name it."""
    words = given.model.tokenizer.get_vocab()
    assert [words["\u0120" + word] for word in given.words] == given.tokens.tolist()
    assert len(set(given.words)) == 50
    assert not {"word", "describes", "you"} & set(given.words)
    assert np.allclose(np.linalg.norm(given.vectors["unembedding", 2], axis=1), 1)


def test_too_few_words_are_told(settings):
    """How many there are, how many are wanted, and what to do."""
    with pytest.raises(BridgeError, match="lower `concepts`"):
        trials(load(settings.model), settings.model_copy(update={"concepts": 5000}))


def test_the_command_leaves_results(tmp_path, capsys):
    """A grid on the last block, told by position."""
    out = tmp_path / "concepts"
    given = ["--concepts", "50", "--every", "3", "--set", "strengths=[16.0]", "--set", "ways=[unembedding]"]
    with pytest.raises(SystemExit) as left:
        main(["concepts", *given, "--out", str(out)])
    said = capsys.readouterr()
    assert left.value.code in (0, None), said.err
    assert "identification" in said.out
    names = {one.name for one in results.read(out)}
    assert names == {
        f"introspection.concept.{name}" for name in ("detection", "identification", "false_alarm")
    }
