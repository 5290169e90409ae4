"""The doors: check a function of Tensors, or a pair of functions written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinynet.autograd import grad
from tinynet.check.diagnosis import diagnose
from tinynet.check.diagnosis.locate import Departure
from tinynet.check.judge import Findings, judge
from tinynet.check.problem import Candidate
from tinynet.check.report import GradientReport, report_of
from tinynet.check.subject import Subject, joined, pair, quiet, taped
from tinynet.errors import ArgumentError, GradientError
from tinynet.grad_mode import enable_grad
from tinynet.tensor import Tensor


def check_backward(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *args: Any,
    wrt: Sequence[int | str] | int | str | None = None,
    raise_exception: bool = False,
) -> GradientReport:
    r"""Is `backward` the derivative of `forward`? Both are plain code on arrays.

        backward(g, *args) = ( ∂⟨g, forward(*args)⟩ / ∂args[i] for i in wrt )

    g has the shape of the output, each gradient that of its argument. wrt: positions or names of
    what is differentiated; if left out, everything that holds floating-point numbers. The report
    says what is wrong and, where it can, why. Raises `ArgumentError` if there is nothing to
    differentiate, and with raise_exception `GradientError` if the gradient is not right.

    >>> def forward(x, w):
    ...     return np.tanh(x * w)
    >>> def backward(g, x, w):
    ...     y = np.tanh(x * w)
    ...     return g * (1 - y**2) * w, g * (1 - y**2) * x
    >>> check_backward(forward, backward, np.array([1.0, 2.0]), np.array([3.0, 0.5])).verdict
    'pass'
    """
    return _reported(judge(pair(forward, backward, args, wrt)), raise_exception)


def check_gradients(
    f: Callable[..., Any],
    *args: Any,
    wrt: Sequence[int | str] | int | str | None = None,
    order: int = 1,
    raise_exception: bool = False,
) -> GradientReport:
    """Are the gradients of a function of Tensors the derivatives of what it computes?

        ∂⟨g, f(*args)⟩ / ∂args[i]  for random g, by walking back and by differences

    args: Tensors or arrays of any shape; order 2 checks the gradients' own gradients, and so on.
    Otherwise like `check_backward`.

    >>> import tinynet as tn
    >>> check_gradients(lambda x: tn.tanh(x) * x, np.array([0.5, -1.0]), order=2).ok
    True
    """
    return _reported(judge(_of_order(order, f, args, wrt)), raise_exception)


def _of_order(order: int, f: Callable[..., Any], args: Sequence[Any], wrt: Any) -> Subject:
    """f, or the function that computes its gradients, or theirs: the cotangent is an argument more
    each time.
    """
    if order < 1:
        raise ArgumentError("order counts derivatives", expected="1, 2, ...", got=repr(order))
    subject = taped(f, args, wrt)
    if order == 1:
        return subject
    given: list[Any] = [
        Tensor(np.asarray(x), name=name) if i in subject.wrt else a
        for i, (x, a, name) in enumerate(zip(subject.args, args, subject.names, strict=True))
    ]
    with quiet():
        y = subject.value(*subject.args)
    g = Tensor(np.random.default_rng(order).uniform(0.5, 1.5, y.shape), name="g" * (order - 1))
    gradients = _gradient_function(f, subject.wrt)
    return _of_order(order - 1, gradients, [*given, g], [*subject.wrt, len(args)])


def _gradient_function(f: Callable[..., Any], wrt: Sequence[int]) -> Callable[..., Tensor]:
    """(*args, g) -> all gradients of ⟨g, f(*args)⟩, one after the other."""

    def gradients(*inputs: Any) -> Tensor:
        with enable_grad():
            *own, g = inputs
            own = [
                x if i not in wrt or x.requires_grad else x.requires_grad_()
                for i, x in enumerate(own)
            ]
            y = joined(f(*own))
            found: Sequence[Any] = [None] * len(wrt)
            if y.requires_grad:
                found = grad(y, [own[i] for i in wrt], g, create_graph=True, allow_unused=True)
            parts = [own[i] * 0 if d is None else d for i, d in zip(wrt, found, strict=True)]
        return joined(parts)

    return gradients


def _reported(found: Findings, raise_exception: bool) -> GradientReport:
    candidates, where = _explained(found)
    report = report_of(found, candidates, where)
    if raise_exception and not report.ok:
        error = GradientError(str(report))
        error.report = report
        raise error
    return report


def _explained(found: Findings) -> tuple[list[Candidate], Departure | None]:
    """What may explain a wrong gradient, and the line where the code goes wrong."""
    if found.problem is None:
        return [], None
    try:
        with quiet():
            return diagnose(found.problem)
    except Exception:  # the verdict stands, whatever the learner's code does to its explanation
        return [], None


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
) -> bool:
    """PyTorch's name for `check_gradients`, by the inputs that require gradients.

    atol, rtol: what is tolerated besides the estimated error; nothing, if left out. eps is accepted
    and not needed: steps are chosen entry by entry. True if right; otherwise False, or, with
    raise_exception, `GradientError`. Raises `ArgumentError` if no input requires gradients.

    >>> import tinynet as tn
    >>> x = tn.tensor([0.5, 1.0], requires_grad=True)
    >>> gradcheck(lambda x: x.exp().sum(), (x,))
    True
    """
    return _checked(func, inputs, 1, atol, rtol, raise_exception)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
) -> bool:
    """The same for the gradients of the gradients.

    >>> import tinynet as tn
    >>> x = tn.tensor([0.5, 1.0], requires_grad=True)
    >>> gradgradcheck(lambda x: x**3, (x,))
    True
    """
    return _checked(func, inputs, 2, atol, rtol, raise_exception)


def _checked(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    order: int,
    atol: float | None,
    rtol: float | None,
    raise_exception: bool,
) -> bool:
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    wrt = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not wrt:
        raise ArgumentError(
            "gradcheck needs an input that requires gradients",
            hint="tn.tensor(..., requires_grad=True)",
        )
    subject = _of_order(order, func, given, wrt)
    subject.slack = (atol or 0.0, rtol or 0.0)
    return _reported(judge(subject), raise_exception).ok
