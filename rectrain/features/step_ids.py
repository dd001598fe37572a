"""The steps of a history as rows of the fused table.

Shape letters: B batch, T steps, K steps chosen, S features that steps share, R kinds of steps with rows of their own.
"""

from dataclasses import dataclass

import tensorflow as tf

from rectrain.schema import History, Step


@dataclass(frozen=True)
class StepIds:
    """Table rows of some steps, what belongs to one step side by side, as its vectors will lie."""

    name: str
    history: History
    keys: tf.Tensor  # int32 (B, T, S), of the features that the steps share
    extras: tf.Tensor | None  # int32 (B, T, R), of their own; None: not read, or there are none
    valid: tf.Tensor  # bool (B, T)

    def by_name(self) -> dict[str, tf.Tensor]:
        """{step: int32 (B, T)} of all that is read."""
        kinds = [(self.keys, shared_steps(self.history))]
        kinds += [] if self.extras is None else [(self.extras, own_steps(self.history))]
        return {step.name: ids[..., i] for ids, steps in kinds for i, step in enumerate(steps)}

    def at(self, name: str, steps, found) -> "StepIds":
        """The steps int32 (B, K) where bool (B, K) is True, padding elsewhere."""

        def chosen(ids, kinds):
            padding = [step.offset for step in kinds]
            return tf.where(found[..., None], tf.gather(ids, steps, batch_dims=1), padding)

        keys = chosen(self.keys, shared_steps(self.history))
        extras = None if self.extras is None else chosen(self.extras, own_steps(self.history))
        return StepIds(name, self.history, keys, extras, found)


def steps_of_batch(history: History, batch, *, extras: bool) -> StepIds:
    """All steps of a history; without `extras` only what they share with features."""

    def side_by_side(kinds):
        return tf.stack([batch[f"{history.name}_{step.name}"] for step in kinds], axis=-1)

    own = own_steps(history) if extras else []
    return StepIds(
        name=history.name,
        history=history,
        keys=side_by_side(shared_steps(history)),
        extras=side_by_side(own) if own else None,
        valid=batch[f"{history.name}_valid"],
    )


def shared_steps(history: History) -> list[Step]:
    """Those that share the rows of a feature."""
    return [step for step in history.steps if step.feature is not None]


def own_steps(history: History) -> list[Step]:
    """Those with rows of their own, such as the gap."""
    return [step for step in history.steps if step.feature is None]
