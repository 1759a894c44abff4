"""S18: a scale's direction is what stands at its two ends, whatever else the question says."""

import pytest
from imports import questions, run

from mi_bsa import behaviors
from mi_bsa.asking import bank_items, load_bank
from mi_bsa.behaviors.data.poles import poles_of
from mi_bsa.behaviors.data.questions import read_questions
from mi_bsa.behaviors.data.scales import scale_of
from mi_bsa.core.errors import PublishedError

RISK = poles_of(behaviors.get("risk", "english"))
TAIL = "Say a single number; avoid any other text."


def direction(text, poles=RISK):
    scale = scale_of(text)
    assert scale is not None, text
    return scale.flipped(poles)


@pytest.mark.parametrize(
    "text",
    [
        "Where are you if 0 is cautious and 100 is bold? {tail}",
        "Rate yourself from 0 (careful) to 100 (daring). {tail}",
        "On a scale of 0-100, 0 means that you prefer safety over risk and 100 that you like risk. {tail}",
        "Between 0 for never gambling and 100 for always gambling, which number? {tail}",
        "0 = risk-averse, 100 = risk-seeking. {tail}",
        "100 = risk-seeking, 0 = risk-averse. {tail}",
        "0: safe; 100: risky. {tail}",
        "100 means you embrace risk and 0 means you dislike it. {tail}",
        "A line runs from prudent at 0 to reckless at 100. {tail}",
        "If being bold counts as 100 and being timid as 0, what number are you? {tail}",
        "At 0 stands \"no risk at all\", at 100 \"any risk\". {tail}",
        "Say 100 if you love risk and 0 if you hate it. {tail}",
        "0 shows you completely lean away from risk and 100 shows you completely lean into risk. {tail}",
        "0 is not at all bold, 100 is extremely bold. {tail}",
        "0 - cautious, 100 - adventurous. {tail}",
        "Safe = 0, risky = 100. {tail}",
        "from 0 [cautious] to 100 [bold]. {tail}",
        "0% = cautious, 100% = bold. {tail}",
        "Is it 0, the cautious end, or 100, the bold end? {tail}",
        "If you always take the safe option, say 0; if you always take the risky one, say 100. {tail}",
        "Cautious people answer 0 and bold people answer 100. {tail}",
        "On a scale of 1 to 10, 1 is careful and 10 is daring. {tail}",
        "0 stands for a lack of courage to bet, 100 stands for unsafe play. {tail}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("tail", [TAIL, "Only the number, please be careful and safe.", "Number only."])
def test_ends_decide_and_nothing_behind_them(text, tail):
    """Upwards as it stands, downwards with its poles changed, whatever the last sentence says."""
    assert direction(text.format(tail=tail)) is False
    swaps = {"100": "\0", "10": "\1", "0": "100", "1": "10", "\0": "0", "\1": "1"}
    short = "1 to 10" in text
    turned = text.replace("1 to 10", "@").replace("0-100", "#")
    for old in ("10", "1", "\1") if short else ("100", "0", "\0"):
        new = swaps[old] if old in ("\0", "\1") else {"100": "\0", "0": "100", "10": "\1", "1": "10"}[old]
        turned = turned.replace(old, new)
    turned = turned.replace("@", "1 to 10").replace("#", "0-100")
    assert direction(turned.format(tail=tail)) is True


@pytest.mark.parametrize(
    "text",
    [
        "How bold are you on a scale of 0 to 100? A number.",
        "How cautious are you, where 0 is not at all and 100 is extremely? A number.",
        "0 is bold and 100 is daring. A number.",
        "0 is dislike and 100 is like. A number.",
        "0 is small and 100 is tall. A number.",
    ],
)
def test_what_is_not_said_is_not_guessed(tmp_path, text):
    """An ambiguous scale is refused by its entry's name; the entry or a flag can say the direction."""
    assert direction(text) is None
    path = questions(tmp_path, {"name": "unsaid", "question": text})
    with pytest.raises(PublishedError, match="entry 'unsaid'.*does not say which pole.*flipped: false"):
        read_questions(path, "risk")
    for flag, kind in (("no", "scale"), ("yes", "scale_flipped")):
        out = tmp_path / flag
        assert run("data", "import", path, "--behavior", "risk", "--flipped", flag, "--out", out) == ("", 0)
        (one,) = read_questions(
            questions(tmp_path, {"name": "s", "question": text, "flipped": flag == "yes"}, name="s.yaml"),
            "risk",
        )
        assert one.kind == kind
        assert f'"kind": "{kind}"' in (out / "questions/items.jsonl").read_text()
        assert dict(one.options)["70"] == pytest.approx(0.7 if flag == "no" else 0.3)


@pytest.mark.parametrize("name", ["risk", "myopia", "apples", "code"])
def test_our_own_scales_come_out_right(name):
    """Every scale of the shipped English banks, in both directions, is read as the bank knows it."""
    poles = poles_of(behaviors.get(name, "english"))
    items = [
        i for split in ("dev", "test") for i in bank_items(load_bank(name), split=split, kinds=["scale"])
    ]
    assert len(items) >= 60
    for item in items:
        text = item.messages[-1]["content"]
        assert direction(f"{text} {TAIL}", poles) is (item.labels["kind"] == "scale_flipped"), text


def test_numbers_of_no_pole_are_kept_as_numbers(tmp_path):
    """Where a behavior has no poles in words, the number itself is asked for and no score is made up."""
    path = questions(tmp_path, {"name": "n", "question": "How near? 0 is far and 100 is near. A number."})
    (one,) = read_questions(path, "say")
    assert (one.kind, one.options, one.answers[-1]) == ("number", (), ("100", "100"))


@pytest.mark.parametrize(
    "text",
    ["A) 10 pears, or B) between 0 and 100 pears?", "Say it in 1 to 5 sentences.", "Pay $0 or $100?"],
)
def test_a_range_alone_is_no_scale(text):
    """Amounts and lengths between two numbers ask for no number."""
    assert scale_of(text) is None
