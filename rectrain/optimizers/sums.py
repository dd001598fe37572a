"""Sums of gradients over replicas, the same on each of them; of a table its touched rows, each once.

Letters: N rows of all replicas, U distinct rows, D width of a row.
"""

import tensorflow as tf

from rectrain.optimizers.gradients import merge_duplicates


def sum_over_replicas(gradients: list, variables: list) -> list:
    """
    Args:
        gradients: of each replica's part of the loss; tf.IndexedSlices for tables.  variables: the weights, in order.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return [merge_duplicates(g, v) for g, v in zip(gradients, variables, strict=True)]
    tables = [v for g, v in zip(gradients, variables, strict=True) if isinstance(g, tf.IndexedSlices)]
    sparse = [g for g in gradients if isinstance(g, tf.IndexedSlices)]
    dense = [g for g in gradients if not isinstance(g, tf.IndexedSlices)]
    over_workers = isinstance(context.strategy, tf.distribute.MultiWorkerMirroredStrategy)
    of_sparse, of_dense = (_gathered, _reduced) if over_workers else (_joined, _all_reduced)
    sums = {True: iter(of_sparse(context, sparse, tables) if sparse else []), False: iter(of_dense(context, dense))}
    return [next(sums[isinstance(g, tf.IndexedSlices)]) for g in gradients]


def _all_reduced(context, gradients: list) -> list:
    return context.all_reduce(tf.distribute.ReduceOp.SUM, gradients) if gradients else []


def _joined(context, gradients: list, tables: list) -> list:
    """Rows of all replicas side by side on the first one's device, where they are merged once for all.

    TensorFlow's own sum would leave that to each replica; by collectives it also crashes where no replica has looked up
    a row (tensorflow/tensorflow#65785).
    """

    def join(strategy, gradients):
        with tf.device(strategy.extended.worker_devices[0]):
            return [
                merge_duplicates(_side_by_side(strategy.experimental_local_results(g)), table)
                for g, table in zip(gradients, tables, strict=True)
            ]

    return context.merge_call(join, args=(gradients,))


def _side_by_side(parts) -> tf.IndexedSlices:
    values, indices = (tf.concat([getattr(p, name) for p in parts], axis=0) for name in ("values", "indices"))
    return tf.IndexedSlices(values, indices, parts[0].dense_shape)


def _reduced(context, gradients: list) -> list:
    """All of them as one vector: a message costs more than the numbers in it."""
    if not gradients:
        return []
    together = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat([tf.reshape(g, [-1]) for g in gradients], 0))
    parts = tf.split(together, [g.shape.num_elements() for g in gradients])
    return [tf.reshape(part, g.shape) for part, g in zip(parts, gradients, strict=True)]


def _gathered(context, gradients: list, tables: list) -> list:
    """Each process sends the rows that it has looked up, of all tables in one message, and merges those of all."""
    everything, start = context.all_gather(_packed(gradients), axis=0), 0
    parts: list[list] = [[] for _ in tables]
    for _ in range(context.num_replicas_in_sync):
        lengths = everything[start : start + len(tables)]
        start += len(tables)
        for i, table in enumerate(tables):
            size = lengths[i] * (1 + table.shape[1])
            parts[i].append(_unpacked(everything[start : start + size], lengths[i], table, gradients[i].dense_shape))
            start += size
    return [merge_duplicates(_side_by_side(of_table), table) for of_table, table in zip(parts, tables, strict=True)]


def _packed(gradients: list):
    """int32 vector: the number of rows of each table, then of each the rows' numbers and the bits of their values."""
    pieces = [tf.stack([tf.size(g.indices) for g in gradients])]
    for gradient in gradients:
        pieces += [gradient.indices, tf.reshape(tf.bitcast(gradient.values, tf.int32), [-1])]
    return tf.concat(pieces, axis=0)


def _unpacked(piece, num_rows, table, dense_shape) -> tf.IndexedSlices:
    values = tf.bitcast(tf.reshape(piece[num_rows:], (num_rows, table.shape[1])), tf.float32)
    return tf.IndexedSlices(values, piece[:num_rows], dense_shape)
