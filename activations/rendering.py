"""Rendering: a chat template as a pure, bounded function of the conversation.

The law: a template is a stranger's program. It has no clock but a pinned one and nothing to draw lots with,
so that the same conversation is the same text tomorrow; and it ends: what it loops, calls, builds and prints
is counted while it runs. All else is as in transformers' own rendering, and so is the text.
"""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any

from jinja2 import TemplateError as JinjaError
from jinja2 import Undefined, nodes, pass_eval_context
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import make_attrgetter
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

CLOCK = datetime(2024, 7, 26)
"""What time it is in every template: the day that Llama 3's templates print where they are given none."""
PINS: dict[str, Any] = {"date_string": CLOCK.strftime("%d %b %Y"), "enable_thinking": False}
"""Arguments of every template: the day, and no thoughts before an answer (Qwen 3 closes its think block)."""

SECONDS = 5.0
"""A real template takes a millisecond; this leaves room for a machine under load."""
STEPS = 400_000
"""Turns of loops, calls and filters in one rendering: a thousand messages take some ten thousand."""
SIZE = 2**24
"""Characters of any one value, and of the text: far beyond any context."""
MEMBERS = 2**18
"""Members of any one list or mapping, those inside included: a long talk has some thousands."""
MADE = 2**28
"""Characters made in one rendering, all values together."""
SMALL = 4096
"""Texts of fewer characters than this are not worth counting: the steps between them are."""
SOURCE = 2**20
"""Characters of a template; real ones have some thousands."""
WIDTH = 10_000
"""The largest number that a call may be given: wider padding and deeper indents say nothing."""


class TooMuch(JinjaError):
    """A template that does more than any conversation needs."""


def render(source: str, variables: Mapping[str, Any]) -> str:
    """The text of a template.

    Raises:
        Exception: whatever jinja2 or the template itself raises; `TooMuch` where a bound is met.
    """
    template = _compiled(source)
    before, budget = getattr(_RUNNING, "budget", None), _Budget()
    _RUNNING.budget = budget
    try:
        pieces: list[str] = []
        for piece in template.generate(variables):
            budget.make(len(piece))
            pieces.append(piece)
        return "".join(pieces)
    finally:
        _RUNNING.budget = before


class _Budget:
    """What one rendering has used."""

    def __init__(self) -> None:
        self.steps, self.made, self.end = 0, 0, time.monotonic() + SECONDS

    def step(self) -> None:
        """One turn of a loop, one call."""
        self.steps += 1
        if self.steps > STEPS or (self.steps & 31 == 0 and time.monotonic() > self.end):
            raise TooMuch(
                f"it does not end within {STEPS} steps and {SECONDS:.0f} s, more than any conversation needs"
            )

    def make(self, characters: int) -> None:
        """Some text was made, or is about to be."""
        self.made += characters
        if characters > SIZE or self.made > MADE:
            raise TooMuch(f"it builds more than {SIZE} characters, far more than a conversation needs")


_RUNNING = threading.local()


def _budget() -> _Budget:
    # jinja2 works out constant expressions while it compiles, and leaves to the run what fails there.
    found: _Budget | None = getattr(_RUNNING, "budget", None)
    if found is None:
        raise TooMuch("nothing is worked out before the run")
    return found


_HOLDERS = (list, tuple, dict, Namespace)


def _weigh(value: Any) -> Any:
    """The value itself, if neither it nor its members, each counted wherever it stands, are too many."""
    if type(value) is bool or value is None:
        return value
    if isinstance(value, str):
        if len(value) > SMALL:
            _budget().make(len(value))
    elif isinstance(value, _HOLDERS):
        waiting, members, characters = [value], 0, 0
        while waiting:
            one: Any = waiting.pop()
            if isinstance(one, str):
                characters += len(one)
                continue
            if isinstance(one, Namespace):
                one = object.__getattribute__(one, "_Namespace__attrs")
            if isinstance(one, _HOLDERS):
                members += len(one)
                if members > MEMBERS or characters > SIZE:
                    raise TooMuch(f"it builds a value of more than {MEMBERS} members")
                waiting.extend(one.values() if isinstance(one, dict) else one)
    elif isinstance(value, int) and abs(value) > 2**63:
        raise TooMuch("it reckons with numbers beyond 64 bits")
    return value


def _joined(values: Sequence[Any]) -> str:
    """`a ~ b`: strings side by side."""
    texts = [value if isinstance(value, str) else str(value) for value in values]
    _budget().make(sum(map(len, texts)))
    return "".join(texts)


def _join(values: Any, between: str) -> str:
    """Strings with one between them, counted as they come."""
    budget, texts, total = _budget(), [], 0
    for value in values:
        budget.step()
        texts.append(value if isinstance(value, str) else str(value))
        total += len(texts[-1]) + len(between)
        if total > SIZE:
            break
    budget.make(total)
    return between.join(texts)


@pass_eval_context
def _join_filter(context: Any, value: Any, d: Any = "", attribute: Any = None) -> str:
    """jinja2's own `join`, counted."""
    if attribute is not None:
        value = map(make_attrgetter(context.environment, attribute), value)
    return _join(value, str(d))


class _Steps:
    """What a loop runs over, counted as it runs."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __iter__(self) -> Iterator[Any]:
        budget = _budget()
        for value in self.values:
            budget.step()
            yield value

    def __len__(self) -> int:
        return len(self.values)


def _foresee(name: str, value: Any, given: Sequence[Any]) -> None:
    """Refuse, before it is done, a call whose result would be far longer than what goes in."""
    if not given and name != "indent":
        return
    numbers = [abs(one) for one in given if isinstance(one, int)]
    if max(numbers, default=0) > WIDTH and name != "safe_range":  # the sandbox bounds these
        raise TooMuch(f"it calls {name} with {max(numbers)}, beyond {WIDTH}")
    if isinstance(value, str) and name in _GROWING:
        places = {"replace": value.count(str(given[0])) if given else 0, "indent": value.count("\n") + 1}
        widths = map(int, re.findall(r"\d{1,18}", value)) if name.startswith(("format", "%")) else ()
        each = max(sum(map(_length, given)), *numbers, *widths, 8)
        _budget().make(len(value) + places.get(name, value.count("{") + value.count("%")) * each)


_GROWING = ("replace", "indent", "format", "format_map", "%")
"""Calls on a text that write what they are given at many places."""


def _length(value: Any) -> int:
    """Characters that a value is printed with, about; its members were counted when it was made."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(map(_length, value))
    if isinstance(value, dict):
        return sum(_length(one) for pair in value.items() for one in pair)
    return 0


def _counted(name: str, function: Any) -> Any:
    """A filter that counts as a step and whose result is weighed."""
    behind = 1 if getattr(function, "jinja_pass_arg", None) is not None else 0

    @wraps(function)
    def counted(*args: Any, **named: Any) -> Any:
        _budget().step()
        value, *given = args[behind:]
        _foresee(name, value, [*given, *named.values()])
        return _weigh(function(*args, **named))

    return counted


def _shown(value: Any) -> Any:
    """What `{{ value }}` prints: no function, whose text is an address in this process."""
    if type(value) is not str and callable(value) and not isinstance(value, Undefined):
        raise TooMuch(f"it prints a {type(value).__name__}, which differs from process to process")
    return value


def _refused(name: str) -> Any:
    def refuse(*args: Any, **named: Any) -> Any:
        raise TooMuch(f"it draws lots ({name}), so that no two texts are the same")

    return refuse


class _Counting(NodeTransformer):
    """Puts the counting into a template: around what loops run over, and around values that it builds."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "<steps>")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(nodes.Tuple(node.nodes, "load", lineno=node.lineno), "<joined>")

    def _built(self, node: nodes.List | nodes.Dict | nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        loaded = node.items and getattr(node, "ctx", "load") == "load"  # and no target of an assignment
        return _filtered(node, "<weighed>") if loaded else node

    visit_List = visit_Dict = visit_Tuple = _built

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:
        self.generic_visit(node)
        node.filter = nodes.Filter(node.filter, "<weighed>", [], [], None, None, lineno=node.lineno)
        return node


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Generation(Extension):
    """`{% generation %}`: marks what an assistant says, and changes no text."""

    tags = {"generation"}

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    def _said(self, caller: Any) -> Any:
        return caller()


class _Sandbox(ImmutableSandboxedEnvironment):
    """transformers' sandbox for templates, without clock and chance, and counted."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        extensions = [_Generation, loopcontrols]
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions, finalize=_shown)
        self.filters["tojson"] = _to_json
        self.filters["join"] = _join_filter
        self.filters["random"] = _refused("random")
        self.filters = {name: _counted(name, one) for name, one in self.filters.items()}
        self.filters |= {"<steps>": _Steps, "<joined>": _joined, "<weighed>": _weigh}
        self.globals |= {
            "raise_exception": _raise,
            "strftime_now": CLOCK.strftime,
            "lipsum": _refused("lipsum"),
        }

    def _generate(self, source: nodes.Template, *args: Any, **named: Any) -> str:
        return super()._generate(_Counting().visit(source), *args, **named)

    def call(__self, __context: Any, __called: Any, *args: Any, **named: Any) -> Any:  # noqa: N805
        _budget().step()
        name = str(getattr(__called, "__name__", "a function"))
        own = getattr(__called, "__wrapped__", __called)  # jinja2 puts its own function around str.format
        text = getattr(own, "__self__", None)
        if name == "join" and isinstance(text, str) and len(args) == 1:
            return _join(args[0], text)
        _foresee(name, text, [*args, *named.values()])
        return _weigh(super().call(__context, __called, *args, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and type(left) is str and type(right) is str:
            if len(left) + len(right) > SMALL:
                _budget().make(len(left) + len(right))
            return left + right
        budget = _budget()
        budget.step()
        if operator == "%" and isinstance(left, str):
            _foresee("%", left, [right])
        elif operator == "*" and not (isinstance(left, int | float) and isinstance(right, int | float)):
            times = max(one for one in (left, right, 0) if isinstance(one, int))
            budget.make(max(times, 0) * max(len(one) for one in (left, right) if not isinstance(one, int)))
        elif operator == "**" and max(abs(left), abs(right)) > 64:
            raise TooMuch("it reckons with powers beyond 64")
        return _weigh(super().call_binop(context, operator, left, right))


def _raise(message: Any) -> None:
    raise JinjaError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@lru_cache(maxsize=1)
def _sandbox() -> _Sandbox:
    return _Sandbox()


@lru_cache(maxsize=64)
def _compiled(source: str) -> Any:
    if len(source) > SOURCE:
        raise TooMuch(f"it has {len(source)} characters, more than {SOURCE}")
    return _sandbox().from_string(source)
