"""The metric that picks the best checkpoint."""

import pytest

from rectrain.errors import InputError
from rectrain.tasks import Task
from rectrain.training.monitor import Monitor

ONE, TWO = [Task("click", 0)], [Task("click", 0), Task("buy", 1)]


@pytest.mark.parametrize(
    ("metric", "values", "gains"),
    [
        ("auc", [0.7, 0.8, 0.79, 0.79, 0.81], [True, True, False, False, True]),
        ("logloss", [0.5, 0.4, 0.41, 0.39], [True, True, False, True]),
        ("pcoc", [1.3, 0.9, 0.5, 1.01], [True, True, False, True]),
    ],
)
def test_a_gain_has_the_direction_of_the_metric(metric, values, gains):
    monitor = Monitor(metric, ONE, "trainer.monitor")
    assert [monitor.improves(v) for v in values] == gains


def test_evaluations_without_gain_are_counted_from_the_last_gain():
    monitor = Monitor("auc", ONE, "trainer.monitor")
    counts = []
    for value in [0.7, 0.6, 0.7, 0.8, 0.75]:
        monitor.improves(value)
        counts.append(monitor.evaluations_without_gain)
    assert counts == [0, 1, 2, 0, 1]
    assert monitor.best == 0.8


@pytest.mark.parametrize(
    ("name", "tasks", "message"),
    [
        ("acu", ONE, "no such metric. Did you mean 'auc'?"),
        ("clik.auc", ONE, "the dataset has no label 'clik'. Did you mean 'click'?"),
        ("auc", TWO, "say of which task: click.auc, buy.auc"),
    ],
)
def test_names_that_do_not_exist_are_refused(name, tasks, message):
    with pytest.raises(InputError) as error:
        Monitor(name, tasks, "trainer.monitor")
    assert str(error.value).startswith(f"trainer.monitor={name}: ")
    assert message in str(error.value)


def test_a_metric_that_does_not_exist_on_the_split_says_why():
    monitor = Monitor("buy.auc", TWO, "trainer.monitor")
    assert monitor.value({"buy": {"auc": {"value": 0.6}}}, "valid") == 0.6
    with pytest.raises(InputError, match=r"buy\.auc: the valid split has no such metric: one class only"):
        monitor.value({"buy": {"auc": {"value": None, "reason": "one class only"}}}, "valid")
