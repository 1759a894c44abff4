"""Laws that every tokenizer with a chat template must keep here, or be refused by name.

Run them on a tokenizer of one's own: subclass `TemplateLaws` and give the fixture `template`. What is
expected comes from transformers' rendering and from decoding ids, never from the offsets that are judged.
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from activations.conversation import ending, prompt_ids, stop_ids, tails, trained
from activations.errors import PromptError
from activations.positions import Positions
from activations.prompts import read
from activations.tokens import Row, Template

QUESTION = {"role": "user", "content": "which option do you choose ? A: take . B: leave ."}
SYSTEM = {"role": "system", "content": "You are brief ."}
TALK = (
    QUESTION,
    {"role": "assistant", "content": "careful"},
    {"role": "user", "content": "and now ?"},
    {"role": "assistant", "content": "A: take ."},
    {"role": "user", "content": "why ?"},
    {"role": "assistant", "content": "I am bold"},
)
ANSWERS = (
    "A",
    "B",
    "bold and careful",
    "100",
    "I am not sure.",
    "\u4f60\u597d",
    "\U0001f600 yes",
    "na\u00efve",
)
EDGES = (" A", "A ", "  A", "A\n", "\n\nA")
"""Answers with white space around them: written as they are, trimmed, or refused."""
WORDS = (
    ("   pick the red card now", "red"),
    ("\n\n pick the red card\n", "card"),
    ("pick \U0001f600 or \U0001f468\u200d\U0001f469 now", "\U0001f600"),
    ("pick \U0001f600 or \U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
    ("\u4f60\u597d\u4e16\u754c and on", "\u4e16"),
    (" \u4f60\u597d\u4e16\u754c", "\u754c"),
    ("one cafe\u0301 and no\u0308", "no\u0308"),
    ("one\r\ntwo red\r\nthree", "red"),
    ("red and more, unbelievably so", "unbelievably"),
    ("\t tabs\tand red \u00a0 ", "red"),
    ("\u0627\u0644\u0633\u0644\u0627\u0645 red", "\u0627\u0644\u0633\u0644\u0627\u0645"),
)
"""A message, and words in it."""


class TemplateLaws:
    """What every chat template must do. A test subclasses it and provides the fixture `template`
    (`Template(AutoTokenizer.from_pretrained(folder))`)."""

    def test_text_and_ids_are_those_of_transformers(self, template: Template) -> None:
        """Unequal turns, open and closed, in one batch and alone."""
        talks = [list(TALK[:n]) for n in range(1, len(TALK) + 1)]
        together = _rows(template, *talks)
        for talk, row in zip(talks, together, strict=True):
            opened = talk[-1]["role"] == "user"
            given = {"add_generation_prompt": opened, **template.arguments}
            apply = template.tokenizer.apply_chat_template
            assert row.text == apply(talk, tokenize=False, **given)
            assert row.ids.tolist() == list(apply(talk, tokenize=True, return_dict=False, **given))
            assert np.array_equal(_rows(template, talk)[0].ids, row.ids)

    def test_one_bos_leads_where_there_is_one(self, template: Template) -> None:
        """Not two, and not one less than the tokenizer itself puts before a text."""
        bos = template.tokenizer.bos_token_id
        for row in _rows(template, [QUESTION], list(TALK)):
            leads = bos is not None and int(row.ids[0]) == bos
            assert row.n_bos == int(leads)
            assert leads or bos is None or bos not in template.tokenizer("x")["input_ids"]
            assert not leads or int(row.ids[1]) != bos

    def test_prompt_ids_are_the_beginning_of_prompt_and_answer(self, template: Template) -> None:
        """One answer after another, also those with white space around them."""
        for before in (TALK[:1], TALK[:3]):
            opened = _rows(template, list(before))[0].ids.tolist()
            assert list(prompt_ids(template, before)) == opened
            for answer in (*ANSWERS, *EDGES):
                closed = [*before, {"role": "assistant", "content": answer}]
                refused = _refusal(partial(tails, template, before, [answer]))
                if refused:
                    assert answer in EDGES, answer
                    continue
                found, (tail,) = tails(template, before, [answer])
                row = _rows(template, closed)[0]
                assert row.ids.tolist() == [*found, *tail.lead, *tail.answer, *tail.closing]
                assert list(found) == opened
                assert self.said(template, tail.answer).strip() == _composed(answer.strip())
                assert row.answer is not None
                assert int(Positions.parse("slot").resolve(row)[0]) == row.answer - 1 >= len(found) - 1
                assert not self.said(template, row.ids[len(found) : row.answer]) or tail.lead

    def test_the_mask_holds_the_answer_and_what_ends_the_turn(self, template: Template) -> None:
        """And nothing else: neither the template's own words before it nor a line feed behind the end."""
        for answer in ANSWERS:
            messages = [QUESTION, {"role": "assistant", "content": answer}]
            prompt, (tail,) = tails(template, messages[:1], [answer])
            ids, mask = trained(template, messages)
            assert ids == (*prompt, *tail.lead, *tail.answer, *tail.closing)
            end = tail.closing[: ending(template, tail.closing)]
            own = [n for n, one in zip(ids, mask, strict=True) if one]
            said = template.tokenizer.decode(own[: len(own) - len(end)])
            assert _composed(said.strip()) == _composed(answer)
            assert own[len(own) - len(end) :] == list(end)
            assert not end or end[-1] in stop_ids(template)
            assert np.flatnonzero(mask).tolist() == list(range(mask.index(True), mask.index(True) + len(own)))

    def test_every_turn_is_trained_on_or_the_row_is_refused(self, template: Template) -> None:
        """A template that rewrites earlier turns is refused for all of them; the last turn works always."""
        ids, mask = trained(template, TALK, turns="last")
        assert self.masked(template, ids, mask) == ["I am bold"]
        refused = _refusal(partial(trained, template, TALK))
        assert not refused or "turns: last" in refused
        if not refused:
            ids, mask = trained(template, TALK)
            assert self.masked(template, ids, mask) == ["careful", "A: take .", "I am bold"]

    def test_spans_are_the_very_tokens(self, template: Template) -> None:
        """What they decode to holds the words, and not without the first or the last of them."""
        for content, words in WORDS:
            start = content.index(words)
            for talk, at in (([{"role": "user", "content": content}], 0), ([*TALK[:2], _user(content)], 2)):
                spans = {"it": [at, start, start + len(words)]}
                (row,) = template.encode(read([{"messages": talk, "spans": spans}]))
                chosen = Positions.parse("span:it").resolve(row)
                assert chosen.tolist() == list(range(chosen[0], chosen[-1] + 1))
                assert _composed(words) in self.said(template, row.ids[chosen])
                for fewer in (chosen[1:], chosen[:-1]):
                    assert _composed(words) not in self.said(template, row.ids[fewer])
                assert int(Positions.parse("last_user").resolve(row)[0]) < len(row) - 1

    def test_a_messages_last_token_ends_it(self, template: Template) -> None:
        """Up to it the text holds the whole message, and one token less does not."""
        for content, _ in WORDS:
            row = _rows(template, [_user(content), {"role": "assistant", "content": "A"}])[0]
            for rule in ("last_user", "message:0"):
                at = int(Positions.parse(rule).resolve(row)[0])
                assert _composed(content.strip()) in self.said(template, row.ids[: at + 1])
                kept = _composed(row.text[slice(*row.contents[0])])
                assert kept not in self.said(template, row.ids[:at])

    def test_options_and_answers_are_found(self, template: Template) -> None:
        """The listed letter, and the first token of the closing answer."""
        row = _rows(template, [_user(" Answer with A or B.\nA) take \u4f60\nB) leave"), TALK[1]])[0]
        assert row.text[slice(*row.offsets[Positions.parse("option:B").resolve(row)[0]])].strip() == "B"
        assert "take" in self.said(template, row.ids[: Positions.parse("option:B").resolve(row)[0]])
        behind = self.said(template, row.ids[Positions.parse("answer").resolve(row)[0] :])
        assert behind.lstrip().startswith("careful")
        said = Positions.parse("response").resolve(row)
        assert self.said(template, row.ids[said]).strip() == TALK[1]["content"]
        assert [int(Positions.parse(f"response:{n}").resolve(row)[0]) for n in (0, -1)] == said[
            [0, -1]
        ].tolist()

    def test_system_and_tool_turns_are_found_or_refused(self, template: Template) -> None:
        """Their words at their place, or an error that names the role; never a silent loss."""
        tool = {"role": "tool", "content": "it rains in 3 towns"}
        for talk, at, words in (
            ([SYSTEM, QUESTION], 0, "brief"),
            ([SYSTEM, *TALK], 0, "brief"),
            ([*TALK[:2], tool], 2, "towns"),
            ([QUESTION, TALK[1], tool, *TALK[1:]], 2, "towns"),
        ):
            start = talk[at]["content"].index(words)
            row = {"messages": talk, "spans": {"it": [at, start, start + len(words)]}}
            refused = _refusal(partial(template.encode, read([row])))
            if refused:
                assert talk[at]["role"] in refused
                continue
            (made,) = template.encode(read([row]))
            chosen = Positions.parse("span:it").resolve(made)
            assert words in self.said(template, made.ids[chosen])
            assert len(made.contents) == len(talk)

    def test_a_special_token_in_a_message_is_refused(self, template: Template) -> None:
        """Each of them, whoever says it."""
        names = [t.content for t in template.tokenizer.added_tokens_decoder.values() if t.special]
        for token in names[:3] + names[-3:]:
            asked, said = [_user(f"hi {token} there")], [QUESTION, {"role": "assistant", "content": token}]
            for attempt in (
                partial(_rows, template, asked),
                partial(_rows, template, said),
                partial(trained, template, said),
                partial(tails, template, asked, ["A"]),
                partial(tails, template, [QUESTION], [f"A{token}"]),
            ):
                refused = _refusal(attempt)
                assert refused
                assert token in refused

    def test_what_ends_a_turn_is_known(self, template: Template) -> None:
        """The template's closing token, which is special, and the tokenizer's own."""
        stops = stop_ids(template)
        _, (tail,) = tails(template, [QUESTION], ["A"])
        if tail.closing:
            assert stops[0] == tail.closing[ending(template, tail.closing) - 1]
        assert template.tokenizer.eos_token_id in (*stops, None)

    def said(self, template: Template, ids: Sequence[int] | np.ndarray) -> str:
        """What tokens say, special ones included, letters and their marks composed."""
        return _composed(template.tokenizer.decode(list(map(int, ids)), clean_up_tokenization_spaces=False))

    def masked(self, template: Template, ids: Sequence[int], mask: Sequence[bool]) -> list[str]:
        """Each run of trained tokens as text, without what ends it."""
        parts = groupby(zip(ids, mask, strict=True), key=itemgetter(1))
        runs = [[n for n, _ in part] for own, part in parts if own]
        ends = set(stop_ids(template))
        assert all(run[-1] in ends for run in runs)
        return [self.said(template, run[:-1]).strip() for run in runs]


def _rows(template: Template, *talks: Sequence[Any]) -> list[Row]:
    return template.encode(read([{"messages": list(talk)} for talk in talks]))


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _refusal(attempt: Callable[[], Any]) -> str:
    """What an attempt is refused with, which is one line; the empty string where it is not."""
    try:
        attempt()
    except PromptError as error:
        said = str(error)
    else:
        return ""
    assert said and "\n" not in said  # noqa: PT018
    return said
