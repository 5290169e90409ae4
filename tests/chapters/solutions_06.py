"""Worked solutions of chapter 06, and wrong ones that its readers write."""

from __future__ import annotations

from typing import Any

import numpy as np


def conv1d(a: Any, w: Any, stride: Any) -> Any:
    places = (a.shape[2] - 3) // stride + 1
    parts = [a[:, :, stride * p : stride * p + 3] for p in range(places)]
    return np.stack([np.einsum("ncu,ocu->no", part, w) for part in parts], axis=2)


def conv1d_by_windows(a: Any, w: Any, stride: Any) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(a, 3, axis=2)[:, :, ::stride]
    return np.einsum("ncpu,ocu->nop", windows, w)


def conv1d_backward(g: Any, a: Any, w: Any) -> Any:
    da, dw = np.zeros_like(a), np.zeros_like(w)
    for p in range(g.shape[2]):
        seen = slice(2 * p, 2 * p + 3)
        dw += np.einsum("no,ncu->ocu", g[:, :, p], a[:, :, seen])
        da[:, :, seen] += np.einsum("no,ocu->ncu", g[:, :, p], w)
    return da, dw


def conv1d_backward_by_taps(g: Any, a: Any, w: Any) -> Any:
    da, dw, reach = np.zeros_like(a), np.zeros_like(w), 2 * g.shape[2]
    for u in range(3):
        taken = a[:, :, u : u + reach : 2][:, :, : g.shape[2]]
        dw[:, :, u] = np.einsum("nop,ncp->oc", g, taken)
        da[:, :, u : u + reach : 2] += np.einsum("nop,oc->ncp", g, w[:, :, u])
    return da, dw


def mean_pool_backward(g: Any, a: Any) -> Any:
    return np.kron(g, np.full((2, 2), 0.25))


def mean_pool_backward_by_shape(g: Any, a: Any) -> Any:
    n, c, h, w = a.shape
    spread = np.broadcast_to(g[:, :, :, None, :, None] / 4, (n, c, h // 2, 2, w // 2, 2))
    return spread.reshape(a.shape)


def dilated_backward(g: Any, a: Any, w: Any) -> Any:
    da = np.zeros_like(a)
    for u in range(3):
        da[2 * u : 2 * u + len(g)] += w[u] * g
    return da, np.array([g @ a[2 * u : 2 * u + len(g)] for u in range(3)])


def dilated_backward_by_place(g: Any, a: Any, w: Any) -> Any:
    da, dw = np.zeros_like(a), np.zeros_like(w)
    for p, slope in enumerate(g):
        dw += slope * a[p : p + 5 : 2]
        da[p : p + 5 : 2] += slope * w
    return da, dw


def overlapping_backward(g: Any, a: Any) -> Any:
    da = np.zeros_like(a)
    for p in range(g.shape[1]):
        np.add.at(da, (np.arange(len(a)), p + np.argmax(a[:, p : p + 3], axis=1)), g[:, p])
    return da


def overlapping_backward_by_row(g: Any, a: Any) -> Any:
    da = np.zeros_like(a)
    for row, numbers in enumerate(a):
        for p in range(len(numbers) - 2):
            best = max(range(p, p + 3), key=lambda i, numbers=numbers: numbers[i])
            da[row, best] += g[row, p]
    return da


RIGHT = {
    "06.outputs": [16, 16.0],
    "06.conv1d": [conv1d, conv1d_by_windows],
    "06.conv1d_backward": [conv1d_backward, conv1d_backward_by_taps],
    "06.mean_pool_backward": [mean_pool_backward, mean_pool_backward_by_shape],
    "06.dilated_backward": [dilated_backward, dilated_backward_by_place],
    "06.planted_bug": [overlapping_backward, overlapping_backward_by_row],
}


def _put(g: Any, a: Any, w: Any) -> Any:
    da, dw = np.zeros_like(a), np.zeros_like(w)
    for p in range(g.shape[2]):
        seen = slice(2 * p, 2 * p + 3)
        dw += np.einsum("no,ncu->ocu", g[:, :, p], a[:, :, seen])
        da[:, :, seen] = np.einsum("no,ocu->ncu", g[:, :, p], w)
    return da, dw


def _put_largest(g: Any, a: Any) -> Any:
    da = np.zeros_like(a)
    rows = np.arange(len(a))
    for p in range(a.shape[1] - 2):
        da[rows, p + a[:, p : p + 3].argmax(axis=1)] = g[:, p]
    return da


def _in_the_first_window(g: Any, a: Any) -> Any:
    da = np.zeros_like(a)
    rows = np.arange(len(a))
    for p in range(a.shape[1] - 2):
        da[rows, a[:, p : p + 3].argmax(axis=1)] += g[:, p]
    return da


WRONG = {
    "06.outputs": [(17, "too large"), (14, "too small")],
    "06.conv1d": [
        (lambda a, w, stride: conv1d(a, w, 1), "shape"),
        (lambda a, w, stride: conv1d(a, w[:, :, ::-1], stride), "not right"),
        (lambda a, w, stride: conv1d(a, w, stride).transpose(1, 0, 2), "shape|not right"),
    ],
    "06.conv1d_backward": [
        (_put, "a"),
        (
            lambda g, a, w: (conv1d_backward(g, a, w[:, :, ::-1])[0], conv1d_backward(g, a, w)[1]),
            "a",
        ),
    ],
    "06.mean_pool_backward": [
        (lambda g, a: np.kron(g, np.ones((2, 2))), "factor|4"),
        (lambda g, a: g / 4, "shape"),
    ],
    "06.dilated_backward": [
        (
            lambda g, a, w: (
                np.convolve(g, np.kron(w[::-1], [1, 0])[:-1]),
                dilated_backward(g, a, w)[1],
            ),
            "a",
        ),
    ],
    "06.planted_bug": [
        (_in_the_first_window, "wrong: (?!.*one call too many)"),
        (_put_largest, "overwrites"),
    ],
}
