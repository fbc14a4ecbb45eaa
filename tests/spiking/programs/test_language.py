"""What a neuron's text may be: every mistake is one message with line and column, nothing else is run."""

import pytest

from root.errors import InputError
from spiking.neurons import Equations

VALUES = {"tau_m": "20 ms", "theta": 1}
FLOW, SPIKE, RESET = "dv/dt = (current - v) / tau_m", "v > theta", "v = 0"

MISTAKES = {
    "an unknown name": (
        {"equations": "dv/dt = (current - v) / tau"},
        r"equations \(line 1, column 25\): got 'tau'.*'tau_m'",
    ),
    "in the second line": (
        {"equations": f"{FLOW} : 1\n  dw/dt = -w / tua_m : 1"},
        r"\(line 2, column 16\): got 'tua_m'",
    ),
    "after a comment and a semicolon": (
        {"reset": "# back\nv = 0; v += thetta"},
        r"reset \(line 2, column 13\): got 'thetta'.*'theta'",
    ),
    "a wrong unit": (
        {"equations": "dv/dt = current - v"},
        r"\(line 1, column 9\).*1/ms, the unit of dv/dt; it is 1",
    ),
    "units that disagree": (
        {"threshold": "v > tau_m"},
        r"threshold \(line 1, column 1\).*one unit, not of 1 and ms",
    ),
    "a unit in a function": ({"threshold": "exp(tau_m) > v"}, r"column 1\).*without a unit in exp"),
    "an unknown unit": ({"equations": f"{FLOW} : volt"}, r"\(line 1, column 33\): got 'volt'.*ms"),
    "no potential": ({"equations": "dw/dt = (current - w) / tau_m"}, "an equation dv/dt"),
    "no equation": ({"equations": ""}, "an equation dv/dt"),
    "no threshold": ({"threshold": ""}, "a threshold, for a neuron that spikes, or an emission"),
    "no reset": ({"reset": ""}, r"reset: got 'nothing'.*v = 0"),
    "no condition": ({"threshold": "v"}, r"threshold \(line 1, column 1\).*a condition"),
    "a condition for a number": ({"reset": "v = v > 1"}, r"reset \(line 1, column 5\)"),
    "a reset of nothing": ({"reset": "u = 0"}, r"reset \(line 1, column 1\).*changes v"),
    "a taken name": ({"equations": f"{FLOW}; goal_v = 1 : 1"}, r"column 32\): got 'goal_v'.*another name"),
    "a name twice": ({"equations": f"{FLOW}; dv/dt = 1 / tau_m"}, "not used twice"),
    "an unfinished line": (
        {"equations": "dv/dt = (current - v / tau_m"},
        r"line 1, column 9\).*an expression",
    ),
    "a call of something": ({"threshold": "v > abs.real(v)"}, "one of the functions"),
    "an attribute": ({"threshold": "v > v.real"}, r"column 5\): got 'v.real'"),
    "a subscript": ({"threshold": "v > v[0]"}, r"got 'v\[0\]'"),
    "a text": ({"threshold": "v > 'x'"}, "a number"),
    "an import": ({"threshold": "v > __import__('os').getpid()"}, "one of the functions"),
    "a function of a number": ({"threshold": "v > exp(1)"}, "Write the number"),
    "keywords": ({"threshold": "v > abs(x=v)"}, "1 argument"),
    "a chain of comparisons": ({"threshold": "0 < v < 1"}, "one comparison"),
    "a power": ({"equations": "dv/dt = -v**0.5 / tau_m"}, r"got 'v\*\*0.5'.*a power of 2, 3, 4"),
    "brackets without end": ({"threshold": "(" * 2000 + "v"}, "at most 1000"),
    "deep brackets": ({"threshold": "(" * 900 + "v"}, "an expression"),
    "letters of another alphabet": ({"threshold": "v > ϑ"}, r"column 5\): got 'ϑ'.*ASCII"),
    "a huge number": ({"threshold": f"v > 1{'0' * 400}"}, "a number"),
    "a refractory time that is none": ({"refractory": "theta"}, "the name of a time: tau_m"),
    "nothing to hold": ({"reset": "v -= theta", "refractory": "tau_m"}, "nothing: the reset assigns nothing"),
    "a start of nothing": ({"start": "u = uniform"}, r"start \(line 1, column 1\)"),
    "a start from a state": ({"start": "v = v + 1"}, r"start \(line 1, column 5\): got 'v'"),
    "two thresholds": ({"threshold": "v > 1; v > 2"}, "one expression"),
    "an emission beside a threshold": ({"emission": "v"}, "got 'both'"),
    "a reset without a threshold": (
        {"threshold": "", "emission": "v"},
        "reset: got 'v = 0'; allowed: nothing",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message(mistake):
    changes, message = MISTAKES[mistake]
    given = {"equations": FLOW, "threshold": SPIKE, "reset": RESET, **changes}
    with pytest.raises(InputError, match=message) as caught:
        Equations(values=VALUES, **given)
    assert caught.value.key.startswith("neuron.")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"tau_m": "20 mV", "theta": 1},
            "parameters.tau_m: got '20 mV'.*Potentials and currents have no unit",
        ),
        ({"tau_m": "long", "theta": 1}, "parameters.tau_m: got 'long'; allowed: a number"),
        ({"tau_m": "0 ms", "theta": 1}, "tau_m_ms: got 0.0; allowed: a finite number > 0"),
        ({"tau_m": "20 ms", "theta": 1, "spare": 2}, "parameters.spare: got 2; allowed: a name that is used"),
        ({"tau_m": "20 ms", "theta": 1, "tau_syn": 5}, "parameters.tau_syn: got 5; allowed: a time"),
        ({"tau_m": "20 ms", "theta": 1, "bias": 5}, "got 'bias'; allowed: another name"),
        ({"tau_m": "20 ms", "theta": 1, "v": 5}, "not used twice"),
        ({"tau_m": "20 ms", "theta": 1, "a b": 5}, "got 'a b'; allowed: a name"),
    ],
)
def test_a_parameter_that_is_not_allowed(values, message):
    with pytest.raises(InputError, match=message):
        Equations(FLOW, threshold=SPIKE, reset=RESET, values=values)


def test_units_are_taken_to_milliseconds():
    neuron = Equations(
        "dv/dt = rate * (current - v) - v / slow - v / fast",
        threshold=SPIKE,
        reset=RESET,
        values={"rate": "50 Hz", "slow": "0.1 s", "fast": "500us", "theta": "1.5"},
    )
    assert neuron.nominal == {
        "rate_per_ms": 0.05,
        "slow_ms": 100.0,
        "fast_ms": 0.5,
        "theta": 1.5,
        "bias": 0.0,
    }
