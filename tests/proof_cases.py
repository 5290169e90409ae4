"""How the fixed arguments of a proof are written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

rng = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return rng.standard_normal(shape)


def classes(count: int, *shape: int) -> Any:
    return rng.integers(0, count, shape)


def case(proof: Any, *inputs: Any, **options: Any) -> Any:
    name = proof.op.name
    shapes = "-".join(str(x.shape).replace(" ", "") for x in inputs)
    chosen = "-".join(f"{k}={v}" for k, v in options.items())
    return pytest.param(proof, inputs, options, id=f"{name}{shapes}{chosen}")


def reductions(proof: Any, *inputs: Any, **options: Any) -> list[Any]:
    return [case(proof, *inputs, reduction=r, **options) for r in ("none", "mean", "sum")]
