"""The metric that picks the best checkpoint."""

import pytest

from rectrain.errors import InputError
from rectrain.tasks import Task
from rectrain.training.monitor import Monitor

CLICK, BUY = Task("click", "click", 0), Task("buy", "buy", 1, weight=3.0)
ONE, TWO = [CLICK], [CLICK, BUY]
SALES = Task("sales", "sales", 0, is_number=True)
CLICKS_BY_AUC = Task("click", "click", 0, metrics=("auc",))


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
        ("clik.auc", ONE, "there is no task 'clik'. Did you mean 'click'?"),
        ("auc", [SALES], "task 'sales' has no such metric; it has mse, r2"),
        ("mse", [SALES, CLICK], "task 'click' has no such metric; it has auc, logloss"),
        ("logloss", [CLICKS_BY_AUC], "task 'click' has no such metric; it has auc."),
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
    with pytest.raises(InputError, match=r"=buy.auc: task 'buy' has no such metric on the valid split: one class only"):
        monitor.value({"buy": {"auc": {"value": None, "reason": "one class only"}}}, "valid")


def test_several_tasks_are_averaged_by_the_weights_of_their_losses():
    unweighted = Task("seen", "click", 0, weight=0.0)
    monitor = Monitor("auc", [*TWO, unweighted], "trainer.monitor")
    assert monitor.name == "mean auc of click, buy"
    found = {"click": {"auc": {"value": 0.6}}, "buy": {"auc": {"value": 0.8}}, "seen": {"auc": {"value": 0.1}}}
    assert monitor.value(found, "valid") == pytest.approx((0.6 + 3 * 0.8) / 4)
    assert Monitor("seen.auc", [*TWO, unweighted], "trainer.monitor").value(found, "valid") == 0.1


def test_a_smaller_squared_error_is_a_gain():
    monitor = Monitor("mse", [SALES], "trainer.monitor")
    assert [monitor.improves(value) for value in (1.0, 0.5, 0.7)] == [True, True, False]
