"""C7, and dates: a chat template is a stranger's program; it ends, and says the same text every day.

Loops, doublings, floods, recursion and giant numbers are refused in one line within seconds and without the
memory; clocks are pinned, and lots and addresses refused.
"""

import resource
import time
from datetime import datetime
from typing import Any

import pytest

from activations import testing
from activations.conversation import prompt_ids
from activations.errors import PromptError, TemplateError
from activations.prompts import read
from activations.tokens import Template

TALK = [{"role": "user", "content": "hi"}]
GROW = "{% set ns = namespace(x='ab') %}{% for i in range(99) %}"
HOSTILE = {
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "a flood": "{% for i in range(99999) %}{% for j in range(99999) %}aaaaaaaaaaaaa{% endfor %}{% endfor %}",
    "doubling by ~": GROW + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "doubling by +": GROW + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "doubling blocks": GROW + "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
    "doubling lists": GROW + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "doubling mappings": GROW + "{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}{{ ns.x }}",
    "replacing": GROW + "{% set ns.x = ns.x.replace('a', 'aaaa') %}{% endfor %}",
    "multiplying text": "{{ 'a' * 10000000000 }}",
    "multiplying lists": "{{ [0] * 9999999999 }}",
    "a power": "{{ 10 ** 10 ** 10 }}",
    "squaring": "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "padding": "{{ 'a' | center(10000000000) }}",
    "padding by a method": "{{ 'a'.ljust(9999999999) }}",
    "a format": "{{ '%9999999999d' % 1 }}",
    "a format by a method": "{{ '{:>9999999999}'.format(1) }}",
    "a format by a filter": "{{ '%9999999999d' | format(1) }}",
    "joining": "{{ range(99999) | join('a'.ljust(9999)) }}",
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "a tree of macros": "{% macro f(n) %}{% if n %}{{ f(n-1) ~ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "a recursive loop": "{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "deep brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "a long source": "a" * 2**21,
    "only when asked": "{% if messages[0]['content'] == 'hi' %}" + GROW + "{% set ns.x = ns.x ~ ns.x %}"
    "{% endfor %}{% endif %}",
}
SLOW = {
    "sorting": "{% for i in range(99999) %}{% set x = range(99999) | sort(reverse=true) %}{% endfor %}",
    "splitting": "{% set x = 'a ' * 9999 %}{% for i in range(99999) %}{% set y = x.split() %}{% endfor %}",
}
RANDOM = {
    "lots": "{{ [1, 2, 3] | random }}",
    "filler": "{{ lipsum() }}",
    "an address": "{{ raise_exception }}",
    "a method's address": "{{ messages.copy }}",
}


def template(source: str, **arguments: Any) -> Template:
    """The tests' tokenizer with another chat template in front of its own."""
    tokenizer = testing.tokenizer()
    tokenizer.chat_template = source + testing.TEMPLATE
    return Template(tokenizer, arguments=arguments)


def refused(source: str) -> str:
    """What a template is refused with, by both ways in, in little time."""
    made = template(source)
    start = time.process_time()
    with pytest.raises(TemplateError) as error:
        made.encode(read([{"messages": TALK}]))
    assert time.process_time() - start < 12
    with pytest.raises(PromptError):
        prompt_ids(made, TALK)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in ("a tree of macros",)])
def test_a_template_that_does_not_end_is_refused(name: str) -> None:
    """Without eating memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "chat template refuses" in refused(HOSTILE[name])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB: one GiB


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a tree of macros", *SLOW])
def test_a_template_that_takes_long_is_refused(name: str) -> None:
    """Within its seconds."""
    assert "does not end" in refused({**HOSTILE, **SLOW}[name])


@pytest.mark.parametrize("name", list(RANDOM))
def test_a_template_whose_text_changes_is_refused(name: str) -> None:
    """By lot, or from process to process."""
    refused(RANDOM[name])


@pytest.mark.parametrize(
    "source",
    [
        "{{ strftime_now('%d %b %Y') }}",
        "{{ strftime_now('%H:%M:%S.%f') }}",
        "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
        "{{ date_string }}",
        "{% macro now() %}{{ strftime_now('%Y-%m-%d') }}{% endmacro %}{{ now() }}",
    ],
)
def test_the_day_and_the_time_are_pinned(source: str) -> None:
    """Whatever day it is the text is one of 26 July 2024, and equal twice."""
    made = template(source + "|")
    first = made.render(TALK).partition("|")[0]
    time.sleep(0.002)
    assert made.render(TALK).partition("|")[0] == first
    assert any(part in first for part in ("26 Jul 2024", "00:00:00.000000", "2024-07-26"))
    assert datetime.now().strftime("%d %b %Y") not in first


def test_what_a_user_gives_wins_and_is_in_the_hash() -> None:
    """Another date, or thoughts before the answer; an argument that is no plain value is refused."""
    source = "{{ date_string }}|{{ enable_thinking }}|"
    plain, given = template(source), template(source, date_string="01 Jan 2025", enable_thinking=True)
    assert plain.render(TALK).startswith("26 Jul 2024|False|")
    assert given.render(TALK).startswith("01 Jan 2025|True|")
    assert plain.hash != given.hash
    with pytest.raises(TemplateError, match="give strings"):
        template(source, date_string=object())


def test_right_templates_are_as_before() -> None:
    """Loops, macros, namespaces, filters, `generation` marks and loop controls: transformers' own text."""
    source = (
        "{% macro turn(m) -%}<{{ m.role | upper }}>{{ m.content | trim | replace('a', 'b') }}{%- endmacro %}"
        "{% set ns = namespace(seen=0, all=[]) %}{% for m in messages %}{% if loop.index > 90 %}{% break %}"
        "{% endif %}{% generation %}{{ turn(m) }}{% endgeneration %}{% set ns.seen = ns.seen + 1 %}"
        "{% set ns.all = ns.all + [m.role] %}{{ loop.index0 % 2 }}{{ loop.last }}"
        "{{ loop.length }}{% endfor %}"
        "{{ ns.seen }}{{ ns.all | unique | join(', ') }}{{ messages | join('-', attribute='role') }}"
        "{{ ', '.join(ns.all) }}{{ {'a': 1, 'b': [1, 2]} | tojson(indent=2) }}"
        "{{ messages[-1].content.split('a')[0] ~ 1 ~ none ~ 'x' }}{{ '%s-%03d' | format('a', 7) }}"
        "{{ '{:>5}'.format('a') }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
        "{{ missing }}{% set b %}x{{ 1 }}{% endset %}{{ b }}{{ 'a' * 3 }}{{ 2 ** 3 }}{{ 7 % 4 }}{{ 1.5 + 1 }}"
    )
    made = template(source)
    talk = [{"role": ("user", "assistant")[n % 2], "content": f" cat {n} \u2028"} for n in range(201)]
    expected = made.tokenizer.apply_chat_template(
        talk, tokenize=False, add_generation_prompt=True, **made.arguments
    )
    assert made.render(talk) == expected


def test_a_very_long_talk_is_within_the_bounds() -> None:
    """Two thousand turns."""
    talk = [{"role": ("user", "assistant")[n % 2], "content": "which one ? " * 20} for n in range(2001)]
    assert len(template("").render(talk)) > 400_000
