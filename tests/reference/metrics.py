"""NumPy twins of rectrain.evaluation.metrics, written from the definitions: quadratic, row by row, no sorting."""

import numpy as np


def auc(labels, scores):
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in scores[labels == 1] for n in scores[labels == 0]]
    return np.mean(wins)


def structural_components(labels, scores):
    """DeLong et al. 1988, V10 of each positive and V01 of each negative."""
    positives, negatives = scores[labels == 1], scores[labels == 0]
    psi = (positives[:, None] > negatives[None]) + 0.5 * (positives[:, None] == negatives[None])
    return psi.mean(axis=1), psi.mean(axis=0)


def delong_covariance(labels, *score_sets):
    """Covariance of the AUCs of several score sets on the same rows."""
    components = [structural_components(labels, scores) for scores in score_sets]
    v10, v01 = (np.array(part) for part in zip(*components, strict=True))
    return np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]


def average_precision(labels, scores, weights):
    """Mean over positives of the precision at their score, each row counting `weights` times."""
    total = 0.0
    for label, score, weight in zip(labels, scores, weights, strict=True):
        above = scores >= score
        total += label * weight * (weights * labels)[above].sum() / weights[above].sum()
    return total / (weights * labels).sum()


def average_precision_error(labels, scores, step=1e-4):
    """Infinitesimal jackknife, each derivative by a row's weight taken as a finite difference."""
    derivatives = []
    for row in range(len(labels)):
        nudge = np.zeros(len(labels))
        nudge[row] = step
        ups_and_downs = [average_precision(labels, scores, 1 + sign * nudge) for sign in (1, -1)]
        derivatives.append((ups_and_downs[0] - ups_and_downs[1]) / (2 * step))
    return np.linalg.norm(derivatives)


def gauc(labels, scores, groups):
    total = rows = 0
    for group in set(groups.tolist()):
        inside = groups == group
        if 0 < labels[inside].sum() < inside.sum():
            total += inside.sum() * auc(labels[inside], scores[inside])
            rows += inside.sum()
    return total / rows


def row_losses(labels, scores, epsilon):
    losses = []
    for label, score in zip(labels.tolist(), scores.tolist(), strict=True):
        probability = min(max(score, epsilon), 1 - epsilon)
        losses.append(-np.log(probability if label == 1 else 1 - probability))
    return np.array(losses)


def normalized_entropy(labels, scores, epsilon):
    rate = labels.mean()
    return row_losses(labels, scores, epsilon).mean() / row_losses(labels, np.full(len(labels), rate), epsilon).mean()


def roc_points(labels, scores):
    """(fpr, tpr) at every threshold, from no row to all."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(scores.tolist()), reverse=True):
        above = scores >= threshold
        points.append((above[labels == 0].mean(), above[labels == 1].mean()))
    return np.array(points)
