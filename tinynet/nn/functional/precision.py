"""Half precision: sums of float16 overflow at 65,504 and lose what is smaller than 1/2,000 of them,
so functions that sum compute in float32 and round once, at the end. Inside `tn.autocast` those of
its float32 list do not round: what follows goes on in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from tinynet import autocasting, dtypes
from tinynet.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def summed_in_float32(function: F) -> F:
    """The function; of a float16 input it is computed in float32, and its result is float16.

    >>> import tinynet as tn
    >>> layer_norm = tn.nn.functional.layer_norm
    >>> layer_norm(tn.tensor([1000.0, 1002.0], dtype=tn.float16), (2,))
    tensor([-1.,  1.], dtype=float16)
    """

    @wraps(function)
    def wide(input: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(input, Tensor) or input.dtype != dtypes.float16:
            return function(input, *args, **kwargs)
        y = function(input.to(dtypes.float32), *args, **kwargs)
        stays = autocasting.dtype_for(function.__name__, (input.array,)) == dtypes.float32
        return y if stays else y.to(dtypes.float16)

    return cast(F, wide)
