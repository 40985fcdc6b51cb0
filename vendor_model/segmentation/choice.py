"""Which regions are the object: a random walk, cut where the photo changes most."""

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import spsolve

from vendor_model.segmentation.regions import RegionGraph

P = dict(
    sigma=0.5,
    power=1.0,
    sink=3e-4,
    border=0.02,
    alpha=0.5,
    colour=0.01,
    rounds=2,
    cap=0.5,
    fw=(1, 1, 1, 1),
    dl=1.0,
    ck=12.0,
)


def edge_weights(graph):
    delta = np.linalg.norm(
        (graph.features[graph.pairs[:, 0]] - graph.features[graph.pairs[:, 1]]) * np.array(P["fw"]), axis=1
    )
    contrast = graph.contrast + P["dl"] * delta
    sigma = P["sigma"] * np.average(contrast, weights=graph.length)
    return contrast, np.exp(-((contrast / sigma) ** P["power"])) + 1e-4


def walk(
    weights,
    graph,
    hold,
    pull,
):
    """Probability in 0..1 of each region: solves (L + hold) u = pull."""
    n = len(graph.area)
    a, b = graph.pairs.T
    w = weights * graph.length
    degree = np.bincount(a, w, n) + np.bincount(b, w, n)
    lap = coo_matrix((np.concatenate([-w, -w]), (np.concatenate([a, b]), np.concatenate([b, a]))), (n, n))
    return spsolve((lap + diags(degree + hold)).tocsc(), pull, permc_spec="MMD_AT_PLUS_A")


def best_level(u, graph, weights, must, never):
    n = len(u)
    order = np.argsort(-u, kind="stable")
    rank = np.empty(n, int)
    rank[order] = np.arange(n)
    a, b = graph.pairs.T
    enter, leave = np.minimum(rank[a], rank[b]), np.maximum(rank[a], rank[b])

    def total(v):
        return np.cumsum(np.bincount(enter, v, n) - np.bincount(leave, v, n))

    cut = total(weights * graph.length)
    length = total(graph.length) + 1e-6
    area = np.cumsum(graph.area[order])
    score = cut / length / (area / area[-1]) ** P["alpha"]
    valid = area < P["cap"] * area[-1]
    if len(must):
        valid &= np.arange(n) >= rank[must].max()
    if len(never):
        valid &= np.arange(n) < rank[never].min()
    score = np.where(valid, score, np.inf)
    best = int(np.argmin(score))
    return rank <= best


def colour_odds(graph, inside, outside):
    f = graph.features / P["ck"]
    d = ((f[:, None] - graph.palette[None] / P["ck"]) ** 2).sum(-1)
    soft = np.exp(-d)
    soft /= soft.sum(1, keepdims=True) + 1e-9
    fore = (soft * (graph.area * inside)[:, None]).sum(0)
    back = (soft * (graph.area * outside)[:, None]).sum(0)
    fore = fore / fore.sum() + 1e-3
    back = back / back.sum() + 1e-3
    return soft @ (fore / (fore + back))


def choose_regions(graph, positive, negative, outside, has_box):
    contrast, weights = edge_weights(graph)
    n = len(graph.area)
    big = 1e4
    total = graph.area.sum()
    mean_len = np.sqrt(total / n)
    hold = P["sink"] * graph.area
    hold[graph.frame] += P["border"] * mean_len
    pull = np.zeros(n)
    seeds_hold = np.zeros(n)
    seeds_pull = np.zeros(n)
    if has_box:
        seeds_hold[outside] = big
    seeds_hold[negative] = big
    if len(positive):
        seeds_hold[positive] = big
        seeds_pull[positive] = big
    else:
        pull += P["sink"] * graph.area * 5
        hold += P["sink"] * graph.area * 5
    never = np.unique(np.concatenate([negative[~np.isin(negative, positive)], np.flatnonzero(outside)]))
    never = never[~np.isin(never, positive)]
    u = walk(weights, graph, hold + seeds_hold, pull + seeds_pull)
    chosen = best_level(u, graph, weights, positive, never)
    for _ in range(P["rounds"]):
        odds = colour_odds(graph, chosen, ~chosen)
        k = P["colour"] * graph.area
        u = walk(weights, graph, hold + seeds_hold + k, pull + seeds_pull + k * odds)
        chosen = best_level(u, graph, weights, positive, never)
    chosen[positive] = True
    chosen[never] = False
    return chosen
