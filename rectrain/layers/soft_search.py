"""Search of a long history for the steps that resemble a candidate.

Shape letters: B batch, T steps of the long history, C steps of a chunk of it, K steps to be found, D width of keys.
"""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

_CHUNK = 262_144  # steps of all rows whose vectors are held at a time


class SoftSearch(keras.layers.Layer):
    """What a step's key is multiplied with to give its score, (W_b key) . (W_a candidate): W_b^T W_a candidate.

    W_a and W_b start as the identity: the first score is the inner product of the two, so that steps of the candidate's
    own item and category come first. The paper does not say how they start; from random projections the search of
    experiment=tiny/sim_soft found a fifth of the related steps, from these nine tenths.

    Source: Pi et al. 2020, "Search-based User Interest Modeling with Lifelong Sequential Behavior Data for
        Click-Through Rate Prediction", arXiv:2006.05639, equation 1 (general search unit, soft search).
    Call arguments:
        query: float (B, D), the candidate.
    Returns:
        float (B, D).
    """

    def build(self, query_shape):
        width = query_shape[-1]
        self.candidate_kernel, self.step_kernel = (
            self.add_weight(shape=(width, width), initializer=keras.initializers.Identity(), name=name)
            for name in ("candidate", "step")
        )

    def call(self, query):
        return ops.matmul(ops.matmul(query, self.candidate_kernel), ops.transpose(self.step_kernel))


def score_weighted_sum(aims, keys, valid):
    """Sum of the real steps, each times its score: what trains the search, as finding the best has no gradient.

    Args:
        aims: float (B, D), of SoftSearch.  keys: float (B, T, D).  valid: bool (B, T).
    Returns:
        float (B, D); zeros for an empty history.
    """
    scores_B1T = ops.matmul(aims[:, None], ops.swapaxes(keys, 1, 2)) * ops.cast(valid, keys.dtype)[:, None]
    return ops.matmul(scores_B1T, keys)[:, 0]


def best_steps(scores_of: Callable, valid, num_found: int):
    """The real steps with the highest scores, chunk by chunk, so that memory does not grow with the history.

    Args:
        scores_of: (start, stop), int32 scalars -> float32 (B, stop - start), scores of the steps start to stop - 1.
        valid: bool (B, T).
        num_found: K.
    Returns:
        int32 (B, K), best first; bool (B, K), False where there were fewer real steps than K.
    """
    batch, length = tf.unstack(tf.shape(valid))
    chunk = tf.maximum(_CHUNK // tf.maximum(batch, 1), 1)

    def better(start, scores_BK, steps_BK):
        stop = tf.minimum(start + chunk, length)
        scores_BC = tf.where(valid[:, start:stop], scores_of(start, stop), -float("inf"))
        steps_BC = tf.broadcast_to(tf.range(start, stop), tf.shape(scores_BC))
        scores_BK, places_BK = tf.math.top_k(tf.concat([scores_BK, scores_BC], axis=1), num_found)
        steps_BK = tf.gather(tf.concat([steps_BK, steps_BC], axis=1), places_BK, batch_dims=1)
        return stop, scores_BK, steps_BK

    none_BK = tf.fill((batch, num_found), -float("inf")), tf.zeros((batch, num_found), tf.int32)
    invariants = (tf.TensorShape([]), *[tf.TensorShape([None, num_found])] * 2)
    _, scores_BK, steps_BK = tf.while_loop(
        lambda start, *_: start < length, better, (tf.constant(0), *none_BK), shape_invariants=invariants
    )
    return steps_BK, scores_BK > -float("inf")


def evenly_spaced_steps(valid, num_steps: int):
    """At most `num_steps` real steps, all there are or else spread evenly over the history.

    Args:
        valid: bool (B, T), the real steps first.
    Returns:
        int32 (B, num_steps); bool (B, num_steps), False where there were fewer.
    """
    lengths_B1 = tf.reduce_sum(tf.cast(valid, tf.int32), axis=1, keepdims=True)
    numbers = tf.range(num_steps)
    steps = tf.where(lengths_B1 > num_steps, numbers * lengths_B1 // num_steps, numbers)
    found = numbers < lengths_B1
    return tf.where(found, steps, 0), found
