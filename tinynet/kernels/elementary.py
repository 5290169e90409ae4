"""exp, expm1, tanh, sigmoid and erfc for kernels: without branches, so that loops over them become
vector code.

A call of the C library computes one exponential in about 5 ns; sixteen side by side in a vector
take about as long. But vectors cannot branch: all lanes walk the same way, and what differs between
them must be arithmetic.

exp. Write x = n ln 2 + r with n = round(x / ln 2), so |r| ≤ (ln 2)/2 ≈ 0.35 and

    eˣ = 2ⁿ eʳ.

eʳ is Taylor's series: the first term left out is rᵏ/k!, below half a unit in the last place of
float32 for k = 8, of float64 for k = 14. 2ⁿ is a number whose exponent bits are n, written as an
integer; in two factors, because 2¹²⁸ is no float32 while 2¹²⁸ e⁻⁰·³ is one. To round is to add: at
1.5 · 2²³ float32 numbers are 1 apart, so adding that and taking it away again rounds to an integer,
and the sum's last bits are n. n ln 2 is subtracted in two parts, the first with so few bits that n
times it is exact.

expm1. eˣ − 1 = 2ⁿ (eʳ − 1) + (2ⁿ − 1): near 0, n = 0 and nothing cancels.
tanh.  tanh |x| = −e/(2 + e) with e = expm1(−2|x|), which neither cancels nor overflows; where it
       is −1 to the last place nothing changes any more, and one factor is enough for 2ⁿ.
erfc.  erfc(x) = t e^(−x²) c(t) for x ≥ 0 with t = 3/(3 + x): c is smooth on 0 < t ≤ 1 and given by
       its Chebyshev series, written in powers; erfc(−x) = 2 − erfc(x). Good in the tail too, where
       1 − erf is not. erfcx is t c(t) alone.

Cost: about 20 flops for an exponential. Errors: exp and sigmoid within 2 units in the last place,
expm1 and tanh within 4; erfc relative (4 + 2x²) units.
Where nothing is compiled these are NumPy's functions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.kernels.jit import COMPILES


def exp(x: Any) -> Any:
    """eˣ.

    >>> exp(np.float64(1))
    np.float64(2.718282)
    """
    with np.errstate(over="ignore"):
        return np.exp(x)


def expm1(x: Any) -> Any:
    """eˣ − 1, without cancellation near 0."""
    with np.errstate(over="ignore"):
        return np.expm1(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return np.tanh(x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e⁻ˣ)."""
    return 1 / (1 + exp(-x))


def erfc(x: Any) -> Any:
    """1 − erf(x) = (2/√π) ∫ e^(−u²) du from x on. Φ(x) = erfc(−x/√2)/2 is the normal law's."""
    return type(x)(math.erfc(x))


def erfcx(x: Any) -> Any:
    """erfc(x) e^(x²) for x ≥ 0: what is left of erfc when the exponential is known already."""
    return type(x)(math.erfc(x) * math.exp(x * x) if x < 26 else 1 / (x * math.sqrt(math.pi)))


# Chebyshev coefficients of erfc(x) e^(x²) / t with t = 3/(3 + x), for x from 0 to 27.
_ERFC = (
    *(0.49346133057222158, 0.37200958839684146, 0.10746303211173409, 0.023328967488363466),
    *(0.003504743846999212, 0.00026021207220315498, -2.0909493742221962e-05),
    *(-6.9456960986046110e-06, -1.6700498189306433e-07, 1.4095381691176305e-07),
    *(1.022281423244189e-08, -3.2563626288630648e-09, -3.1044611798440041e-10),
    *(9.206988744536714e-11, 7.6278227897633803e-12, -3.0416153569993032e-12),
    *(-1.1983049241348478e-13, 1.0675165166042761e-13, -2.5357478979566796e-15),
    *(-3.5838573085231092e-15, 3.8410652496354219e-16, 9.910782115904712e-17),
)

if COMPILES:
    import numba
    from numba.extending import overload

    # Sums are taken in the order written; calls are inlined, or loops around them stay scalar.
    _exact = numba.njit(error_model="numpy", fastmath={"contract"}, forceinline=True)

    def _made_of(real: Any, integer: Any) -> dict[str, Any]:
        """The functions for numbers of one size."""
        bits = np.finfo(real).nmant  # of the fraction: 23 or 52
        bias = np.finfo(real).maxexp - 1
        terms = 8 if bits == 23 else 14
        taylor = tuple(real(1 / math.factorial(k)) for k in reversed(range(1, terms)))
        series = np.polynomial.chebyshev.cheb2poly(_ERFC[: 10 if bits == 23 else None])
        powers = tuple(real(c) for c in reversed(series))  # of u, the highest first
        shift = real(1.5 * 2**bits)
        offset = integer(shift.view(integer))
        per_ln2 = real(1 / math.log(2))
        # ln 2 in two parts, the first with 9 (32) bits
        high, low = (
            (real(0.693359375), real(-2.1219444005469057e-4))
            if bits == 23
            else (real(0.6931471803691238), real(1.9082149292705877e-10))
        )
        most = real(104 if bits == 23 else 746)  # e to the power of it is infinite, of minus it 0
        enough = real(20 if bits == 23 else 40)  # e to the power of minus it is nothing beside 1
        one, two = real(1), real(2)

        @_exact
        def reduced(x: Any) -> Any:
            """eʳ − 1, and n as an integer."""
            t = real(x * per_ln2 + shift)
            n = t - shift
            r = x - n * high
            r = r - n * low
            p = taylor[0]
            for c in taylor[1:]:
                p = p * r + c
            return p * r, integer(t.view(integer) - offset)

        @_exact
        def power(n: Any) -> Any:
            """2ⁿ, where that is a normal number."""
            return integer((n + bias) << bits).view(real)

        @_exact
        def halved(x: Any) -> Any:
            """eʳ − 1 and 2ⁿ, in two factors."""
            p, n = reduced(max(min(x, most), -most))  # the first of two stays where it is NaN
            h = integer(n >> 1)
            return p, power(h), power(integer(n - h))

        @_exact
        def exp(x: Any) -> Any:
            p, first, second = halved(x)
            return (p + one) * first * second

        @_exact
        def expm1(x: Any) -> Any:
            p, first, second = halved(x)
            return (p * first + (first - one / second)) * second

        @_exact
        def tanh(x: Any) -> Any:
            p, n = reduced(max(-two * abs(x), -enough))
            scale = power(n)
            e = p * scale + (scale - one)
            return real(math.copysign(-e / (two + e), x))

        @_exact
        def sigmoid(x: Any) -> Any:
            return one / (one + exp(-x))

        @_exact
        def erfcx(x: Any) -> Any:
            t = real(3) / (real(3) + x)
            u = t * real(20 / 9) - real(11 / 9)  # -1 at x = 27, 1 at x = 0
            c = powers[0]
            for power in powers[1:]:
                c = c * u + power
            return t * c

        @_exact
        def erfc(x: Any) -> Any:
            a = min(abs(x), real(28))
            sign = real(math.copysign(one, x))
            return one - sign + sign * (exp(-a * a) * erfcx(a))

        return {
            "exp": exp,
            "expm1": expm1,
            "tanh": tanh,
            "sigmoid": sigmoid,
            "erfc": erfc,
            "erfcx": erfcx,
        }

    _FUNCTIONS = {
        32: _made_of(np.float32, np.int32),
        64: _made_of(np.float64, np.int64),
    }

    def _compile(function: Any) -> None:
        """Let compiled code that calls `function` call the one for its numbers."""

        @overload(function, jit_options={"forceinline": True})
        def chosen(x):  # type: ignore[no-untyped-def]  # Numba compares this line with the lambda
            if isinstance(x, numba.types.Float):
                made = _FUNCTIONS[x.bitwidth][function.__name__]
                return lambda x: made(x)
            return None

    for _function in (exp, expm1, tanh, sigmoid, erfc, erfcx):
        _compile(_function)
