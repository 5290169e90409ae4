"""L-BFGS: state for the rules in `derivations/lbfgs.py` and `derivations/line_search.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.derivations import lbfgs as rule
from tinynet.derivations.line_search import Point, strong_wolfe
from tinynet.errors import ArgumentError, ShapeError
from tinynet.grad_mode import enable_grad
from tinynet.optim.optimizer import Closure, Optimizer
from tinynet.tensor import Tensor


class LBFGS(Optimizer):
    """w ← w − t H g, with H the inverse curvature that the last steps showed.

    One call of `step(closure)` makes up to max_iter iterations. The closure clears the gradients,
    computes the loss on all the data (not on a new mini-batch each time), calls backward and
    returns the loss.

    lr                  the step length t, or the first guess of the line search
    max_iter            iterations in one call of `step`
    max_eval            evaluations in one call; None means max_iter · 5 // 4
    tolerance_grad      it stops where no entry of the gradient is larger
    tolerance_change    it stops where the loss, or no weight, changed by more
    history_size        pairs of steps and gradient changes that are kept, 2n numbers each
    line_search_fn      'strong_wolfe', or None to step by lr as it is

    There is one parameter group, and no option per parameter. Raises ArgumentError for a second
    group, a negative lr or tolerance, a count below 1, and a step without a closure.

    >>> import tinynet as tn
    >>> w = tn.tensor([-1.0, 1.5], dtype=tn.float64, requires_grad=True)
    >>> optimizer = LBFGS([w], max_iter=60, line_search_fn="strong_wolfe")
    >>> def closure():  # Rosenbrock's valley
    ...     optimizer.zero_grad()
    ...     loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure); w
    tensor([1.0000, 1.0000], dtype=float64, requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add the one group there is. Raises ArgumentError for a second one."""
        if self.param_groups:
            raise ArgumentError("LBFGS has one parameter group: its direction joins all weights")
        super().add_param_group(param_group)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for name in ("max_iter", "max_eval", "history_size"):
            if not group[name] >= 1:
                raise ArgumentError(f"{name} is at least 1", got=f"{name} = {group[name]}")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ArgumentError(
                "there is no such line search",
                expected="'strong_wolfe' or None",
                got=repr(group["line_search_fn"]),
            )

    def step(self, closure: Closure | None = None) -> Any:
        """Make up to max_iter iterations; returns what the closure returned first."""
        if closure is None:
            raise ArgumentError(
                "LBFGS evaluates the loss several times in a step",
                hint="optimizer.step(closure), where closure clears the gradients, computes the "
                "loss, calls backward and returns the loss",
            )
        with enable_grad():
            first = closure()
        self._stepped = True
        group, state = self.param_groups[0], self.state.setdefault(self._order()[0], {})
        for name in ("func_evals", "n_iter"):
            state.setdefault(name, 0)
        state["func_evals"] += 1
        loss, g, evaluations = float(first), self._gradient(), 1
        if _largest(g) <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = self._direction(state, g)
            state["d"], state["prev_flat_grad"], state["prev_loss"] = Tensor(d), Tensor(g), loss
            t = group["lr"]
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(np.sum(np.abs(g))))
            state["t"] = t
            slope = _dot(g, d)
            if slope > -group["tolerance_change"]:
                break
            before = Point(0.0, loss, slope, g)
            if group["line_search_fn"] is None:
                self._write([p.array for p in self._order()], t, d)
                if iteration == group["max_iter"]:
                    break  # the next call evaluates here, perhaps on other data
                after, used = self._point(closure, t, d), 1
            else:
                budget = group["max_eval"] - evaluations
                after, used = self._search(closure, before, t, d, budget)
            loss, g, state["t"] = after.value, after.gradient, float(after.t)
            evaluations += used
            state["func_evals"] += used
            change = group["tolerance_change"]
            if evaluations >= group["max_eval"] or _largest(g) <= group["tolerance_grad"]:
                break
            if abs(after.t) * _largest(d) <= change or abs(loss - before.value) < change:
                break
        return first

    def _direction(self, state: dict[str, Any], g: Any) -> Any:
        """−H g, after the newest pair (s, y) has been taken up."""
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"] = [], [], []
            state["H_diag"] = 1.0
            return np.negative(g)
        changes, steps, rhos = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = g - state["prev_flat_grad"].array, state["d"].array * state["t"]
        ys = float(np.dot(y, s))
        if ys > 1e-10:
            if len(changes) == self.param_groups[0]["history_size"]:
                for pairs in (changes, steps, rhos):
                    del pairs[0]
            changes.append(Tensor(y))
            steps.append(Tensor(s))
            rhos.append(1.0 / ys)
            state["H_diag"] = ys / float(np.dot(y, y))
        kept = [x.array for x in steps], [x.array for x in changes]
        return rule.direction(g, *kept, rhos, state["H_diag"])

    def _search(
        self, closure: Closure, before: Point, t: float, d: Any, budget: int
    ) -> tuple[Point, int]:
        """Move to the point that the line search found; that point, and the evaluations used."""
        start = self._copies()

        def phi(t: float) -> Point:
            self._write(start, t, d)
            return self._point(closure, t, d)

        after, used = strong_wolfe(
            phi,
            before,
            t,
            tolerance=self.param_groups[0]["tolerance_change"] / _largest(d),
            max_evaluations=budget,
        )
        self._write(start, after.t, d)
        return after, used

    def _point(self, closure: Callable[[], Any], t: float, d: Any) -> Point:
        with enable_grad():
            loss = float(closure())
        g = self._gradient()
        return Point(t, loss, _dot(g, d), g)

    def _gradient(self) -> Any:
        """All gradients in one vector; zeros for a parameter that has none."""
        found = [
            np.zeros_like(p.array) if p._grad is None else p._grad.array for p in self._order()
        ]
        return np.concatenate([np.reshape(x, (-1,)) for x in found])

    def _copies(self) -> list[Any]:
        return [p.array.copy() for p in self._order()]

    def _write(self, start: list[Any], t: float, d: Any) -> None:
        """All parameters become start + t d, in place."""
        offset = 0
        for p, x in zip(self._order(), start, strict=True):
            part = np.reshape(d[offset : offset + x.size], x.shape)
            p.array[...] = x + t * part
            p._counter[0] += 1
            offset += x.size

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As every optimizer's; room that PyTorch keeps between steps, 'al', is left out."""
        state = {
            number: {key: value for key, value in of_one.items() if key != "al"}
            for number, of_one in state_dict["state"].items()
        }
        super().load_state_dict({**state_dict, "state": state})

    def _fitted(self, key: str, value: Any, p: Tensor) -> Any:
        """The state is that of all weights together, and stands with the first parameter."""
        if isinstance(value, list):
            return [self._fitted(key, x, p) for x in value]
        if value is None or isinstance(value, int | float):
            return value
        array = value.array if isinstance(value, Tensor) else arrays.as_array(value)
        if array.ndim == 0:  # PyTorch keeps its numbers as 0-d tensors
            return float(array)
        size = sum(q.array.size for q in self._order())
        if array.shape != (size,):
            raise ShapeError(
                f"the saved {key} does not fit the parameters",
                expected=f"({size},): all of them in one vector",
                got=str(array.shape),
            )
        return Tensor(arrays.to_device(array, p.device).astype(p.dtype))


def _dot(g: Any, d: Any) -> Any:
    """g · d as a number of their dtype.

    What the line search adds to the loss is then rounded as the loss itself was: without that,
    a float32 loss that cannot fall any more would look as if it had not fallen enough.
    """
    return g.dtype.type(float(np.dot(g, d)))


def _largest(x: Any) -> float:
    """max |x_i|; 0 where x is empty."""
    return float(np.max(np.abs(x))) if x.size else 0.0
