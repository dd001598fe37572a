"""What all optimizers share: one rule, applied to a whole dense weight or to the rows of a table that a batch touched.

Letters: U unique touched rows, D width of a row.
"""

import keras
import tensorflow as tf

from rectrain.config import Range
from rectrain.errors import InputError
from rectrain.optimizers.gradients import gather_rows, merge_duplicates
from rectrain.optimizers.parts import num_workers, sharded

POSITIVE = Range(0, open_low=True)
NOT_NEGATIVE = Range(0)
BELOW_ONE = Range(0, 1, open_high=True)


class TouchedRowsOptimizer(keras.optimizers.Optimizer):
    """Keras optimizer whose cost follows the batch for sparse gradients, never the size of the table.

    A subclass gives `rule`. A `tf.IndexedSlices` gradient makes it gather the named rows of the weight and of each
    slot, apply the rule and scatter the results; a dense gradient gets the same rule on the whole weight.

    Args:
        learning_rate: float or LearningRateSchedule.
        name: given, as Keras would else count optimizers up through the process.
        slots: names, one variable of the weight's shape each, or as `initial_slot` makes it.
    """

    # Whether each number of a weight moves by its own gradient alone, whatever stands beside it in the row.
    elementwise = True

    # Set by GroupedOptimizer, which sums gradients over replicas, merges duplicates and clips before it calls `apply`.
    gradients_are_prepared = False

    def __init__(self, *, learning_rate, name: str, slots: tuple[str, ...]):
        super().__init__(learning_rate=learning_rate, name=name)
        # Keras' own reads the number of steps and sets the next one: of two workers at the same time one did not count.
        self._iterations.assign_add = tf_variable(self._iterations).assign_add  # type: ignore[method-assign]
        self._slot_names = slots
        self._slots: tuple[list[keras.Variable], ...] = ()  # one list a slot name, in the order of the weights

    def build(self, variables):
        super().build(variables)
        self._slots = tuple([self._add_slot(name, weight) for weight in variables] for name in self._slot_names)
        # Workers that move a row at the same time add what they change: to set it would undo the other's move.
        self._adds = num_workers() > 1

    def _add_slot(self, name: str, weight: keras.Variable) -> keras.Variable:
        with self._distribution_strategy.extended.colocate_vars_with(tf_variable(weight)):
            return self.add_variable(
                shape=self.slot_shape(name, weight),
                initializer=lambda shape, dtype: self.initial_slot(name, weight, shape, dtype),
                dtype=weight.dtype,
                name=f"{weight.path.replace('/', '_')}_{name}",
            )

    def slot_shape(self, name: str, weight: keras.Variable):
        return weight.shape

    def initial_slot(self, name: str, weight: keras.Variable, shape, dtype):
        """Its value before the first step."""
        return tf.zeros(shape, dtype)

    def rule(self, gradient, weight, *slots, learning_rate, path: str):
        """New values of one weight.

        Args:
            gradient, weight, slots: float (U, D) touched rows, or the shape of a dense weight.
            learning_rate: float ().
            path: of the weight, as in "linear/bias"; that of a table ends with "/table".
        Returns:
            (weight, *slots), shapes as received.
        """
        raise NotImplementedError

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        states = [tf_variable(variable), *(tf_variable(slot[index]) for slot in self._slots)]
        settings = {
            "learning_rate": tf.cast(learning_rate, variable.dtype),
            "path": self._trainable_variables[index].path,
        }
        gradient = tf.cast(gradient, variable.dtype)
        if isinstance(gradient, tf.IndexedSlices):
            rows = gradient.indices
            before = [gather_rows(state, rows) for state in states]
            values = self.rule(gradient.values, *before, **settings)
            for state, value_UD, old_UD in zip(states, values, before, strict=True):
                if self._adds:
                    state.scatter_add(tf.IndexedSlices(value_UD - old_UD, rows))
                else:
                    state.scatter_update(tf.IndexedSlices(value_UD, rows))
        else:
            self.update_dense(gradient, states, **settings)

    def update_dense(self, gradient, states: list[tf.Variable], *, learning_rate, path: str):
        """Moves a whole weight and its slots; a subclass may have a kernel that does it in one pass."""
        before = [tf.convert_to_tensor(state) for state in states] if self._adds else states
        values = self.rule(gradient, *before, learning_rate=learning_rate, path=path)
        for state, value, old in zip(states, values, before, strict=True):
            if self._adds:
                state.assign_add(value - old)
            else:
                state.assign(value)

    def named_state(self) -> dict[str, tf.Variable]:
        """{"iteration" or "<weight>/<slot>": variable}, names that depend on nothing else the process has built."""
        found: dict[str, list[tf.Variable]] = {}
        for name, slot in zip(self._slot_names, self._slots, strict=True):
            for weight, variable in zip(self._trainable_variables, slot, strict=True):
                found.setdefault(f"{weight.path}/{name}", []).append(tf_variable(variable))
        state = {path: sharded(parts, path) for path, parts in found.items()}
        return {"iteration": tf_variable(self._iterations), **state}

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Keras' hook between `apply` and `update_step`, in replica context.

        Keras sums over replicas here. Prepared gradients are sums already, and summing them again would multiply them
        by the number of replicas. All others are summed, and their repeated rows added up: a rule sees a row once.
        """
        if self.gradients_are_prepared:
            return grads_and_vars
        return [(merge_duplicates(g, v), v) for g, v in super()._all_reduce_sum_gradients(grads_and_vars)]


def tf_variable(variable) -> tf.Variable:
    """Under a strategy Keras hands `update_step` the tf.Variable, elsewhere the keras.Variable around it."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def require(bounds: Range, **knobs: float):
    """Raises InputError for the first knob out of bounds; GroupedOptimizer puts the section before the knob."""
    for knob, value in knobs.items():
        if not bounds.holds(value):
            raise InputError(f"{knob}={value}: expected a number in {bounds}.")
