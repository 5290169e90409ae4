"""Worked solutions of chapter 01, and wrong ones that its readers write."""

from __future__ import annotations

from typing import Any

import numpy as np


def second_difference(f: Any, x: Any, h: Any) -> Any:
    return (f(x + h) - 2 * f(x) + f(x - h)) / h**2


def second_difference_of_slopes(f: Any, x: Any, h: Any) -> Any:
    right = (f(x + h) - f(x)) / h
    left = (f(x) - f(x - h)) / h
    return (right - left) / h


def slope_along(f: Any, x: Any, v: Any) -> Any:
    return f(x + 1e-30j * v).imag / 1e-30


def slope_along_in_any_unit(f: Any, x: Any, v: Any) -> Any:
    tiny = 2.0**-100
    moved = x.astype(complex)
    moved.imag = tiny * v
    return np.imag(f(moved)) / tiny


def normalise_backward(g: Any, x: Any) -> Any:
    r = np.sqrt(np.sum(x * x, axis=1, keepdims=True))
    return (g - x / r * np.sum(g * x / r, axis=1, keepdims=True)) / r


def normalise_backward_by_matrix(g: Any, x: Any) -> Any:
    rows = []
    for g_row, row in zip(g, x, strict=True):
        r = np.linalg.norm(row)
        rows.append((np.eye(len(row)) / r - np.outer(row, row) / r**3) @ g_row)
    return np.array(rows)


def numeric_gradient(f: Any, x: Any, h: Any) -> Any:
    x = x.astype(float)
    dx = np.zeros(x.size)
    for i in range(x.size):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        dx[i] = (f(up) - f(down)) / (2 * h)
    return dx


def numeric_gradient_by_units(f: Any, x: Any, h: Any) -> Any:
    steps = h * np.eye(len(x))
    return np.array([f(x + step) - f(x - step) for step in steps]) / (2 * h)


RIGHT = {
    "01.by_hand": [8 / 9, 0.889],
    "01.second_difference": [second_difference, second_difference_of_slopes],
    "01.best_step": [2.7e-4, (24 * 2.0**-52) ** 0.25],
    "01.slope_along": [slope_along, slope_along_in_any_unit],
    "01.normalise_backward": [normalise_backward, normalise_backward_by_matrix],
    "01.planted_bug": [numeric_gradient, numeric_gradient_by_units],
}


def _copied_only(f: Any, x: Any, h: Any) -> Any:
    dx = np.zeros_like(x)
    for i in range(x.size):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        dx[i] = (f(up) - f(down)) / (2 * h)
    return dx


def _there_and_not_back(f: Any, x: Any, h: Any) -> Any:
    dx = np.zeros(x.size)
    for i in range(x.size):
        before = f(x)
        x[i] += h
        dx[i] = (f(x) - before) / h
    return dx


WRONG = {
    "01.by_hand": [(4.0, "too large"), (-4 / 9, "too small"), (16 / 9, "too large")],
    "01.second_difference": [
        (lambda f, x, h: (f(x + h) - 2 * f(x) + f(x - h)) / h, "not right"),
        (lambda f, x, h: (f(x + 2 * h) - 2 * f(x + h) + f(x)) / h**2, "not right"),
        (lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h), "not right"),
    ],
    "01.best_step": [(1.5e-8, "too small"), (6.1e-6, "too small"), (7e-4, "too large")],
    "01.slope_along": [
        (lambda f, x, v: (f(x + 1e-6 * v) - f(x - 1e-6 * v)) / 2e-6, "off by"),
        (lambda f, x, v: f(x + 1e-30j).imag / 1e-30, "not right"),
        (lambda f, x, v: f(x + 1e-30j * v) / 1e-30, "complex ones came"),
    ],
    "01.normalise_backward": [
        (lambda g, x: g / np.linalg.norm(x, axis=1, keepdims=True), "norm"),
        (lambda g, x: normalise_backward(g, x) / len(x), "wrong"),
        (
            lambda g, x: (
                (g - x * np.sum(g * x, axis=1, keepdims=True))
                / np.linalg.norm(x, axis=1, keepdims=True)
            ),
            "wrong",
        ),
    ],
    "01.planted_bug": [
        (_copied_only, "whole numbers"),
        (_there_and_not_back, "written into"),
        (lambda f, x, h: [(f(x + h * u) - f(x)) / h for u in np.eye(len(x))], "not right"),
    ],
}
