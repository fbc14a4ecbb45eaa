"""One suite over every registered rule: pure, blind to the chip, the same on its twin, and it learns.

It runs on rate and on spiking chips. A new rule joins by being registered. What is checked is
`spiketrain.testing`'s.
"""

import pytest

from root.plugins import available, load
from spiketrain.testing.rules import NEURONS, rule_cases
from spiking.feedback import Direct, Layered

RULES = available("rules")
PREDICTIONS = [f"dfc/{name}" for name in available("predictions")]
LAYERED = ["transposed/slope", "random/active", "kolen_pollack/measured", "identified_layers/active"]
RELAYED = [f"dfc/none/{name}" for name in LAYERED]


def cases(name, neuron):
    """Return the checks of a rule with its default settings.

    ``dfc/NAME`` is DFC with another prediction, ``dfc/NAME/FEEDBACK/GATE`` with layered feedback.
    """
    rule, *parts = name.split("/")
    groups = zip(("predictions", "feedback", "gates"), parts, strict=False)
    options = {group.rstrip("s"): load(group, part)() for group, part in groups}
    path = Layered() if len(parts) > 1 else Direct()
    return rule_cases(load("rules", rule)(**options), neuron, feedback=path, learns=not parts)


CASES = [
    pytest.param(case, id=f"{name}-{neuron}-{case}")
    for name in [*RULES, *PREDICTIONS, *RELAYED]
    for neuron in NEURONS
    for case in cases(name, neuron)
]


@pytest.mark.parametrize("case", CASES)
def test_a_rule_does_what_rules_promise(case):
    case()
