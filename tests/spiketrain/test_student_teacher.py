"""The student-teacher task: one teacher, reproducible, learnable, but not by a line."""

import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor

from root.errors import InputError
from spiketrain.tasks.student_teacher import StudentTeacher


def test_all_samples_have_one_teacher():
    """What explains the training set explains the test set as well."""
    data = StudentTeacher(inputs=6, outputs=2, hidden=(12,)).load(None)
    model = MLPRegressor(hidden_layer_sizes=(60,), solver="lbfgs", max_iter=400, random_state=0).fit(
        data.x_train, data.y_train
    )
    linear = LinearRegression().fit(data.x_train, data.y_train)
    explained = model.score(data.x_test, data.y_test)
    assert explained > 0.98
    assert explained > linear.score(data.x_test, data.y_test) + 0.01


def test_outputs_fill_the_unit_interval():
    data = StudentTeacher().load(None)
    assert data.kind == "regression"
    assert data.x_train.shape == (4000, 15)
    assert data.y_test.shape == (1000, 5)
    torch.testing.assert_close(data.y_train.amin(0), torch.zeros(5).double())
    torch.testing.assert_close(data.y_train.amax(0), torch.ones(5).double())
    assert 0 <= data.y_test.min() <= data.y_test.max() <= 1


def test_the_seed_decides():
    one, same, other = (StudentTeacher(seed=seed).load(None) for seed in (1, 1, 2))
    assert torch.equal(one.y_train, same.y_train)
    assert not torch.equal(one.y_train, other.y_train)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"inputs": 0}, "inputs"),
        ({"hidden": ()}, "hidden"),
        ({"hidden": (3, 0)}, "hidden"),
        ({"seed": -1}, "seed"),
    ],
)
def test_senseless_teachers_are_refused(options, key):
    with pytest.raises(InputError, match=key):
        StudentTeacher(**options)
