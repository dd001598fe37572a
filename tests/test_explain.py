"""What is said of a row's history: the weights are those that the score was made with, the texts those of the log."""

import json

import keras
import numpy as np
import pytest

from rectrain.data.texts import gap_text
from rectrain.evaluation.explain import explainer, spread_evenly
from rectrain.layers.din import step_values
from rectrain.layers.pooling import weighted_sum
from tests import samples
from tests.reference.layers import set_random_weights
from tests.test_models import KNOBS, build

ATTENDING = ["din", "din_self_attention", "sim_hard", "sim_soft"]


@pytest.mark.parametrize("name", ATTENDING)
def test_weights_times_steps_are_what_the_attention_gives(name):
    """For attention without heads; the mean over heads of several is checked by its sum."""
    schema = samples.with_histories()
    changed = {"exact_search": "din"} if "exact_search" in KNOBS[name] else {}
    model = build(name, schema, **changed)
    set_random_weights(model, seed=1)
    batch = samples.batch(schema, 7, seed=2)
    told = explainer(model)({key: batch[key] for key in model.input})
    for attention, seen in told.items():
        layer = model.get_layer(attention)
        valid = np.asarray(seen["valid"])
        weights = np.where(valid, np.asarray(seen["weights"]), 0)
        np.testing.assert_array_equal(np.asarray(seen["weights"]), weights)
        (history,) = layer._inbound_nodes[0].arguments.args
        probe = keras.Model(model.input, {"steps": step_values(history), "pooled": layer(history)})
        found = probe({key: batch[key] for key in model.input})
        np.testing.assert_allclose(weighted_sum(weights, found["steps"]), found["pooled"], rtol=1e-4, atol=1e-4)


def test_rows_are_spread_evenly():
    assert spread_evenly(10, 3) == [0, 3, 6]
    assert spread_evenly(2, 5) == [0, 1]


@pytest.mark.parametrize(
    ("bucket", "said"),
    [
        (0, "(missing)"),
        (1, "later"),
        (2, "at the same moment"),
        (3, "about 1.5 s ago"),
        (16, "about 3.4 h ago"),
        (26, "about 146 days ago"),
    ],
)
def test_gaps_in_words(bucket, said):
    assert gap_text(bucket) == said


@pytest.mark.parametrize("model", ["din", "sim_hard"])
def test_the_command_tells_the_history_of_its_rows(rectrain, tmp_path, model):
    small = ["data.sample.rows=3000", "model.hidden_units=[8]", "model.attention_units=[4]", "trainer.epochs=1"]
    code, _, err = rectrain("data=movielens", f"model={model}", *small, f"hydra.run.dir={tmp_path}/run")
    assert code == 0, err
    code, out, err = rectrain("evaluate", f"run={tmp_path}/run", "explain=20")
    assert code == 0, err
    assert "20 rows, in the page" in out
    found = json.loads((tmp_path / "run/evaluation-test.json").read_text(encoding="utf-8"))
    steps = [s for row in found["explanations"] for s in row["histories"]["attention_history"]]
    assert len(found["explanations"]) == 20
    assert steps
    assert set(steps[0]) == {"weight", "item", "genre", "gap", "action"}
    assert all(step["gap"].endswith("ago") for step in steps)
    assert {step["action"] for step in steps} <= {"4", "4.5", "5", "(not in the vocabulary)"}
    if model == "sim_hard":
        for row in found["explanations"]:
            genres = {step["genre"] for step in row["histories"]["exact_search"]}
            assert genres <= {row["fields"]["genre"]}
    page = (tmp_path / "run/evaluation-test.html").read_text(encoding="utf-8")
    assert "What the model saw in histories" in page
