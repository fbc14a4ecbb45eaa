"""Names of populations and connections, and values that go by them."""

import copy
import pickle

import pytest
import torch

from root.errors import InputError
from spiketrain.naming import connection_names, layer_names, named, of_network, with_names
from spiketrain.testing.problems import pair
from spiking.named import Named, by_name
from spiking.naming import named_weights
from spiking.network import bidirectional, chain
from spiking.neurons import LIF
from spiking.presentation import Weights
from spiking.simulators.torch import TorchSimulator


def test_a_value_has_a_name_and_a_place() -> None:
    values = Named(("a", "b"), (1, 2))
    assert values["a"] == values[0] == 1
    assert values[-1:] == (2,)
    assert list(values.items()) == [("a", 1), ("b", 2)]
    for same in (copy.deepcopy(values), pickle.loads(pickle.dumps(values))):
        assert (same, same.names) == (values, values.names)
    with pytest.raises(InputError, match=r"name: got 'aa'.*did you mean 'a'"):
        values["aa"]
    with pytest.raises(InputError, match="names: "):
        Named(("a",), (1, 2))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": 1}, "changes: got 'nothing for b'"),
        ({"a": 1, "b": 2, "bb": 3}, r"changes\.bb: .*did you mean 'b'"),
        ((1,), "changes: got '1 of them'; allowed: one for each of a, b, or None"),
        (Named(("b", "c"), (1, 2)), r"changes\.c: "),
    ],
)
def test_everything_must_be_spoken_of(given, said) -> None:
    with pytest.raises(InputError, match=said):
        by_name("changes", ("a", "b"), given, ", or None")


def test_what_is_given_by_name_is_put_in_order() -> None:
    assert by_name("changes", ("a", "b"), {"b": 2, "a": 1}, "") == (1, 2)
    assert by_name("changes", ("a", "b"), Named(("b", "a"), (2, 1)), "")["b"] == 2
    assert by_name("changes", ("a", "b"), [1, 2], "").names == ("a", "b")


def test_a_recording_goes_by_names() -> None:
    problem = pair(bidirectional(chain([6, 5, 4, 3], LIF(bias=1.2))), 2, 2, 30)
    seen = problem.run(TorchSimulator())["controlled"]
    assert seen.rates.names == ("input", "hidden 1", "hidden 2", "output")
    assert torch.equal(seen.rates["hidden 2"], seen.rates[2])
    assert torch.equal(seen.basal["output"], seen.basal[2])
    assert torch.equal(seen.traces["spikes"]["hidden 1"], seen.traces["spikes"][0])
    assert len(seen.traces["control"]) == 1
    assert problem.network.connection_names[-1] == "hidden 2->hidden 1"


def test_files_have_the_names_and_old_ones_are_read() -> None:
    network = chain([3, 4, 2], LIF())
    one = torch.ones(1)
    weights = named_weights(network, Weights((one, 2 * one), (3 * one, 4 * one), (5 * one, 6 * one)))
    stored = named(weights)
    assert list(stored) == [
        *("forward.input->hidden", "forward.hidden->output"),
        *("bias.hidden", "bias.output", "feedback.hidden", "feedback.output"),
    ]
    old = {
        f"{group}.{i}": stored[name]
        for group, names in of_network(network).items()
        for i, name in enumerate(names, 1)
    }
    assert with_names(old, of_network(network)) == stored
    assert with_names(stored, of_network(network)) == stored
    odd = {"forward.9": one, "forward.0": one, "other.1": one}
    assert with_names(odd, of_network(network)) == odd


def test_a_config_says_the_names() -> None:
    graph = {"populations": {"maps": {}, "out": {}}, "connections": {"first": {}, "last": {}}}
    assert layer_names(2, graph) == ("input", "maps", "out")
    assert connection_names(2, graph) == ("first", "last")
    assert connection_names(2, {"layers": [1, 2, 3]}) == ("input->hidden", "hidden->output")
