"""The compiled part of the loop: steps of training and scoring, run by a tf.distribute strategy."""

import keras
import numpy as np
import tensorflow as tf

from rectrain.optimizers.groups import GroupedOptimizer
from rectrain.optimizers.parts import in_parts
from rectrain.tasks import Task
from rectrain.training.losses import loss_sum
from rectrain.training.precision import float32_layers


class Steps:
    """Training and scoring steps of one model.

    Everything that touches a batch goes through `strategy.run`, so the loop is the same on one device and on many.
    """

    def __init__(self, model: keras.Model, tasks: list[Task], optimizer: GroupedOptimizer, strategy):
        self.model = model
        self.tasks = tasks
        self.optimizer = optimizer
        self.strategy = strategy
        self._inputs = list(model.input)
        self._weights = in_parts(model.trainable_variables)
        self.rows_trained: tf.Variable | None = None
        if isinstance(strategy, tf.distribute.experimental.ParameterServerStrategy):
            with strategy.scope():  # no part of what is learned: what a lost worker had done of a unit is counted too
                self.rows_trained = tf.Variable(0, trainable=False, dtype=tf.int64, name="rows_trained")
        specs = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in model.input.items()}
        # The signature makes one trace serve batches of all sizes.
        self._score = tf.function(self._score_batch, input_signature=[specs], autograph=False)
        self._train_batch = tf.function(self._train_one, reduce_retracing=True, autograph=False)

    def distribute(self, dataset):
        """An iterator for `train` over a tf.data.Dataset of this process' batches, cut into shares of its replicas."""
        num_replicas = len(self.strategy.extended.worker_devices)
        if num_replicas == 1 and isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return iter(dataset)  # a distributed iterator would ask the other processes at each step whether all go on
        shares = dataset if num_replicas == 1 else _shares(dataset, num_replicas)
        return iter(self.strategy.distribute_datasets_from_function(lambda _: shares))

    def train(self, iterator, num_steps: int) -> np.ndarray:
        """`num_steps` steps on the next batches of a distributed iterator.

        Returns:
            losses: float32 (num_steps,), mean loss of each step's examples. The first one that is not finite ends
                the call; those behind it are zeros.
        """
        if not isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return self.train_steps(iterator, tf.constant(num_steps)).numpy()
        # TensorFlow lets an exchange between processes have one size within a loop; that of the rows looked up varies.
        losses = np.zeros(num_steps, np.float32)
        for step in range(num_steps):
            losses[step] = self._train_next(iterator)
            if not np.isfinite(losses[step]):
                break
        return losses

    @tf.function(autograph=False)
    def _train_next(self, iterator):
        return self._train_one(next(iterator))

    @tf.function(autograph=False)
    def train_steps(self, iterator, num_steps):
        """The same as one compiled loop."""

        def going_on(step, finite, losses):
            return (step < num_steps) & finite

        def next_step(step, finite, losses):
            loss = self._train_one(next(iterator))
            return step + 1, tf.math.is_finite(loss), losses.write(step, loss)

        # Written out: AutoGraph, which would make this of a Python loop, does not work under every Python version.
        losses = tf.TensorArray(tf.float32, size=num_steps, element_shape=())
        return tf.while_loop(going_on, next_step, (0, True, losses))[2].stack()

    def train_batch(self, batch: dict):
        """One step on a packed batch."""
        names = (*self._inputs, "labels", "weight")
        self._train_batch({name: tf.convert_to_tensor(batch[name]) for name in names})

    def _train_one(self, batch):
        per_replica = self.strategy.run(self._replica_step, (batch,))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)

    def _replica_step(self, batch):
        rows = tf.cast(tf.shape(batch["labels"])[0], tf.float32)
        global_rows = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, rows)
        with tf.GradientTape() as tape:
            logits = self.model({name: batch[name] for name in self._inputs}, training=True)
            loss = loss_sum(self.tasks, logits, batch["labels"], batch["weight"]) / global_rows
        self.optimizer.apply(tape.gradient(loss, [w.value for w in self._weights]), self._weights)
        if self.rows_trained is not None:
            self.rows_trained.assign_add(tf.shape(batch["labels"], tf.int64)[0])
        return loss

    def score(self, batch) -> dict:
        """Predictions for a packed batch: {task: float32 (B,)}, a probability or a number as the label is."""
        with float32_layers(self.model):
            return self._score({name: batch[name] for name in self._inputs})

    def _score_batch(self, inputs: dict) -> dict:
        """Each replica scores a share of the rows, which are put side by side again; of several processes the first."""
        alone = len(self.strategy.extended.worker_devices) == 1
        if alone or isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return self.predictions(inputs)  # other processes have other batches, and not as many: no step of theirs
        of_replicas = self.strategy.experimental_local_results(self.strategy.run(self._score_share, (inputs,)))
        return {task.name: tf.concat([scores[task.name] for scores in of_replicas], axis=0) for task in self.tasks}

    def _score_share(self, inputs: dict) -> dict:
        context = tf.distribute.get_replica_context()
        rows = tf.shape(next(iter(inputs.values())))[0]
        start, stop = ((context.replica_id_in_sync_group + i) * rows // context.num_replicas_in_sync for i in (0, 1))
        return self.predictions({name: column[start:stop] for name, column in inputs.items()})

    def predictions(self, inputs: dict) -> dict:
        """What `score` computes, of the model's inputs, to be traced; the layers compute as they are set to."""
        logits = self.model(inputs, training=False)
        return {t.name: logits[t.name] if t.is_number else tf.sigmoid(logits[t.name]) for t in self.tasks}


def _shares(dataset, num_replicas: int):
    """Each batch as `num_replicas` shares in a row, equal but for a row; those of a short batch may be empty."""

    def cut(batch):
        rows = tf.shape(batch["labels"], tf.int64)[0]

        def share(i):
            start, stop = i * rows // num_replicas, (i + 1) * rows // num_replicas
            return {name: column[start:stop] for name, column in batch.items()}

        return tf.data.Dataset.range(num_replicas).map(share)

    return dataset.flat_map(cut)
