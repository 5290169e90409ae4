"""Worked solutions of chapter 02, and wrong ones that its readers write."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

import tinynet as tn


def order(parents: Any, last: Any) -> Any:
    behind, stack = {last}, [last]
    while stack:
        for name in parents[stack.pop()]:
            if name not in behind:
                behind.add(name)
                stack.append(name)
    uses = Counter(name for user in behind for name in parents[user])
    ready, found = [last], []
    while ready:
        found.append(ready.pop())
        for name in parents[found[-1]]:
            uses[name] -= 1
            if uses[name] == 0:
                ready.append(name)
    return found


def order_by_depth_first(parents: Any, last: Any) -> Any:
    """A value is done when all behind it is: the reverse of that is an order."""
    done: dict[Any, None] = {}
    stack = [(last, False)]
    while stack:
        name, left = stack.pop()
        if left:
            done[name] = None
        elif name not in done:
            stack.append((name, True))
            stack += [(parent, False) for parent in parents[name] if parent not in done]
    return list(reversed(done))


def divide_backward(g: Any, a: Any, b: Any) -> Any:
    return g / b, -np.sum(g * a, axis=0) / b**2


def divide_backward_by_output(g: Any, a: Any, b: Any) -> Any:
    share = g / b
    return share, -(share * (a / b)).sum(0)


def centre_backward(g: Any, x: Any) -> Any:
    return g - g.mean(axis=1, keepdims=True)


def centre_backward_by_matrix(g: Any, x: Any) -> Any:
    k = x.shape[1]
    return g @ (np.eye(k) - np.ones((k, k)) / k)


def hessian_times(f: Any, x: Any, v: Any) -> Any:
    x = tn.tensor(x, requires_grad=True)
    (slope,) = tn.autograd.grad(f(x), x, create_graph=True)
    (product,) = tn.autograd.grad((slope * tn.tensor(v)).sum(), x, allow_unused=True)
    return np.zeros(x.shape) if product is None else product.numpy()


def hessian_times_with_cotangent(f: Any, x: Any, v: Any) -> Any:
    leaf = tn.tensor(x, requires_grad=True)
    first = tn.autograd.grad(f(leaf), leaf, create_graph=True)
    return tn.autograd.grad(first, leaf, grad_outputs=tn.tensor(v))[0].numpy()  # type: ignore[arg-type,union-attr]


def gradients(tape: Any) -> Any:
    found = [0.0] * (len(tape) - 1) + [1.0]
    for number in range(len(tape) - 1, -1, -1):
        for parent, slope in tape[number]:
            found[parent] += slope * found[number]
    return found


def gradients_by_users(tape: Any) -> Any:
    """Each value asks its users, which have larger numbers."""
    found = np.zeros(len(tape))
    found[-1] = 1
    for i in range(len(tape) - 2, -1, -1):
        users = range(i + 1, len(tape))
        found[i] = sum(slope * found[u] for u in users for p, slope in tape[u] if p == i)
    return found


RIGHT = {
    "02.by_hand": [44, 44.0],
    "02.order": [order, order_by_depth_first],
    "02.divide_backward": [divide_backward, divide_backward_by_output],
    "02.centre_backward": [centre_backward, centre_backward_by_matrix],
    "02.hessian_times": [hessian_times, hessian_times_with_cotangent],
    "02.planted_bug": [gradients, gradients_by_users],
}


def _once_each(parents: Any, last: Any) -> Any:
    found, stack = {}, [last]
    while stack:
        name = stack.pop()
        if name not in found:
            found[name] = True
            stack.extend(parents[name])
    return list(found)


def _recursive(parents: Any, last: Any) -> Any:
    done: list[Any] = []

    def visit(name: Any) -> None:
        if name not in done:
            for parent in parents[name]:
                visit(parent)
            done.append(name)

    visit(last)
    return done[::-1]


def _passing_sums(tape: Any) -> Any:
    found = [0.0] * len(tape)

    def visit(i: int, arrived: float) -> None:
        found[i] += arrived
        for parent, slope in tape[i]:
            visit(parent, slope * found[i])

    visit(len(tape) - 1, 1.0)
    return found


def _visited_once(tape: Any) -> Any:
    grads = [0.0] * len(tape)
    grads[-1] = 1.0
    visited, waiting = set(), [len(tape) - 1]
    while waiting:
        i = waiting.pop()
        if i not in visited:
            visited.add(i)
            for parent, slope in tape[i]:
                grads[parent] += slope * grads[i]
                waiting.append(parent)
    return grads


def _gradient_times(f: Any, x: Any, v: Any) -> Any:
    leaf = tn.tensor(x, requires_grad=True)
    return tn.autograd.grad(f(leaf), leaf)[0].numpy() * v  # type: ignore[union-attr]


def _not_recorded(f: Any, x: Any, v: Any) -> Any:
    leaf = tn.tensor(x, requires_grad=True)
    (slope,) = tn.autograd.grad(f(leaf), leaf)
    return tn.autograd.grad((slope * tn.tensor(v)).sum(), leaf)[0].numpy()  # type: ignore[union-attr,operator]


SHOWN = ("_visited_once",)  # the planted mistake itself

WRONG = {
    "02.by_hand": [(24, "too small"), (36, "too small"), (64, "too large")],
    "02.order": [
        (_once_each, "stands before"),
        (_recursive, "recursion"),
        (lambda parents, last: list(parents), "listed|stands before"),
        (lambda parents, last: order(parents, last)[::-1], "stands before"),
        (lambda parents, last: [last], "is missing"),
        (lambda parents, last: [last, *parents[last]], "more than once|is missing"),
        (lambda parents, last: 3, "a list of names"),
    ],
    "02.divide_backward": [
        (lambda g, a, b: (g / b, -g * a / b**2), "not summed over axis 0"),
        (lambda g, a, b: (g / b, np.sum(g * a, axis=0) / b**2), "sign"),
        (lambda g, a, b: (g / b, -np.mean(g * a, axis=0) / b**2), "average|mean"),
        (lambda g, a, b: (g / b, -np.sum(g * a, axis=0) / b), "wrong"),
    ],
    "02.centre_backward": [
        (lambda g, x: g, "wrong"),
        (lambda g, x: g - g.sum(axis=1, keepdims=True), "wrong"),
        (lambda g, x: g - g.mean(axis=0, keepdims=True), "axis"),
        (lambda g, x: g - x.mean(axis=1, keepdims=True), "wrong"),
    ],
    "02.hessian_times": [
        (_gradient_times, "not right"),
        (_not_recorded, "GraphError"),
        (lambda f, x, v: tn.func.hessian(f)(tn.tensor(x)).numpy(), "shape"),
    ],
    "02.planted_bug": [
        (_visited_once, "not right"),
        (_passing_sums, "not right"),
    ],
}
