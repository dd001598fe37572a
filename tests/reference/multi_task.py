"""Multi-task models for one row at a time, in float64, with the formulas of the papers: {task: list of B logits}."""

import numpy as np

from tests.reference.features import flat_features
from tests.reference.layers import logit, mlp, softmax


def expert(weights, x, *, name, index, units):
    """The output of one expert of a layer of experts. x: float (I,)."""
    for position, width in enumerate(units):
        kernel, bias = weights[f"{name}/kernel_{position}"], weights[f"{name}/bias_{position}"]
        if position == 0:
            part = slice(index * width, (index + 1) * width)
            x = x @ kernel[:, part] + bias[part]
        else:
            x = x @ kernel[index] + bias[index, 0]
        x = np.maximum(x, 0)
    return x


def gate(weights, x, *, name, index, num_experts):
    return softmax(x @ weights[f"{name}/kernel"][:, index * num_experts : (index + 1) * num_experts])


def tower(weights, task, x, *, tower_units):
    x = mlp(weights, x, num_layers=len(tower_units), batch_norm=False, name=f"tower_{task.name}") if tower_units else x
    return logit(weights, x, name=f"logit_{task.name}")


def _by_task(tasks, rows):
    return {task.name: [row[task.name] for row in rows] for task in tasks}


def shared_bottom(weights, schema, tasks, batch, *, hidden_units, tower_units, batch_norm, **_):
    rows = []
    for x in flat_features(weights, schema, batch):
        bottom = mlp(weights, x, num_layers=len(hidden_units), batch_norm=batch_norm)
        rows.append({task.name: tower(weights, task, bottom, tower_units=tower_units) for task in tasks})
    return _by_task(tasks, rows)


def mmoe(weights, schema, tasks, batch, *, num_experts, expert_units, tower_units, **_):
    rows = []
    for x in flat_features(weights, schema, batch):
        outputs = [expert(weights, x, name="experts", index=e, units=expert_units) for e in range(num_experts)]
        row = {}
        for k, task in enumerate(tasks):
            listens = gate(weights, x, name="gates", index=k, num_experts=num_experts)
            heard = sum(weight * output for weight, output in zip(listens, outputs, strict=True))
            row[task.name] = tower(weights, task, heard, tower_units=tower_units)
        rows.append(row)
    return _by_task(tasks, rows)


def ple(
    weights, schema, tasks, batch, *, num_levels, num_shared_experts, num_task_experts, expert_units, tower_units, **_
):
    rows = []
    for x in flat_features(weights, schema, batch):
        heard = {task.name: x for task in tasks} | {"of_all": x}
        for level in range(1, num_levels + 1):
            outputs = {}
            for name, value in heard.items():
                count = num_shared_experts if name == "of_all" else num_task_experts
                outputs[name] = [
                    expert(weights, value, name=f"experts_{level}_{name}", index=e, units=expert_units)
                    for e in range(count)
                ]
            gated = [name for name in heard if name != "of_all" or level < num_levels]
            heard = {name: _heard(weights, heard[name], outputs, name, level) for name in gated}
        rows.append({t.name: tower(weights, t, heard[t.name], tower_units=tower_units) for t in tasks})
    return _by_task(tasks, rows)


def _heard(weights, x, outputs, name, level):
    listened = [o for of in outputs.values() for o in of] if name == "of_all" else outputs[name] + outputs["of_all"]
    listens = gate(weights, x, name=f"gate_{level}_{name}", index=0, num_experts=len(listened))
    return sum(weight * output for weight, output in zip(listens, listened, strict=True))


def esmm(weights, schema, tasks, batch, *, tower_units, **_):
    clicks, conversions, joint = tasks
    rows = []
    for x in flat_features(weights, schema, batch):
        a, b = (tower(weights, task, x, tower_units=tower_units) for task in (clicks, conversions))
        p = 1 / (1 + np.exp(-a)) / (1 + np.exp(-b))
        rows.append({clicks.name: a, conversions.name: b, joint.name: np.log(p) - np.log1p(-p)})
    return _by_task(tasks, rows)
