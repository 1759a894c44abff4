"""What a behavior study says that its null directions cost is what they cost."""

import pytest
from smallest import BEHAVIOR

from activations import engine
from mi_bsa.causal import causal_steps, mediation, necessity, recovery
from mi_bsa.causal.state_or_prompt import state_or_prompt
from mi_bsa.core.config import parse
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.studies.behavior.sizes import describe_nulls, null_passes
from mi_bsa.study.steps import Cell

STEPS = {
    "recovery": lambda m, c, p: recovery.scored(recovery.measure(m, c.recovery, place=p)),
    "necessity": lambda m, c, p: necessity.ablate(m, c.necessity, place=p),
    "mediation": lambda m, c, p: mediation.mediate(m, c.mediation, place=p),
    "prompts": lambda m, c, p: state_or_prompt(m, p, c.state_or_prompt),
}
FIELDS = {"prompts": "state_or_prompt"}


def config(step, more):
    """The smallest study with more null directions in one step."""
    part = FIELDS.get(step, step)
    own = {**BEHAVIOR[part], "random": BEHAVIOR[part]["random"] + more}
    return parse({**BEHAVIOR, part: own}, BehaviorConfig, source="here")


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_null_directions_cost_what_is_said(smallest, step, monkeypatch):
    """Thirty more of them put as many more prompts through the model as the estimate has more."""
    folder, asked = smallest("behavior").finished, [0]
    given = engine.option_logits

    def counted(*arguments, **named):
        found = given(*arguments, **named)
        asked[0] += found.shape[0] * found.shape[1]
        return found

    monkeypatch.setattr(engine, "option_logits", counted)
    counts, said = [], []
    for more in (0, 30):
        own = config(step, more)
        material, place = causal_steps.ready(Cell(folder, own, step, ()))
        asked[0] = 0
        STEPS[step](material, own, place)
        counts.append(asked[0])
        said.append(null_passes(own)[step])
    assert counts[1] - counts[0] == said[1] - said[0]
    assert said[0] <= counts[0]


def test_the_cost_of_null_directions_is_told():
    """In prompts by step, in operations, and with the fields that set it."""
    own = parse({**BEHAVIOR, "model": "meta-llama/Llama-3.1-8B-Instruct", "behavior": "risk"}, BehaviorConfig)
    line = describe_nulls(own)
    assert f"at most {sum(null_passes(own).values()):,} prompts" in line
    assert "necessity.random" in line
    assert "e+1" in line
