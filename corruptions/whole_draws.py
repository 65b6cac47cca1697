"""Random numbers for a whole image: 64-bit words, uniform and normal numbers, each by its position from the image's key.

The words are those of ``draws``, two 32-bit words taken as one. Normal numbers are made with additions, multiplications,
divisions and square roots only, which are rounded in the same way on every machine; a logarithm of the C library is not.
"""

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.kernels import kernel

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_TO_53_BITS = np.uint64(11)


def hashed(keys: NDArray[np.int64], count: int, start: int = 0) -> NDArray[np.uint64]:
    """64-bit words ``start`` to ``start + count - 1`` of every key: uint64 (N, count)."""
    result = np.empty((len(keys), count), np.uint64)
    fill_hashed(np.ascontiguousarray(keys).view(np.uint64), start, result)
    return result


def uniforms(keys: NDArray[np.int64], count: int, start: int = 0) -> NDArray[np.float64]:
    """Uniform numbers between 0 and 1, at the middles of 2^53 equal intervals: float64 (N, count); the words of ``hashed``."""
    result = np.empty((len(keys), count))
    fill_uniforms(np.ascontiguousarray(keys).view(np.uint64), start, result)
    return result


def normals(keys: NDArray[np.int64], count: int, start: int = 0) -> NDArray[np.float64]:
    """Standard normal numbers, the quantiles of ``uniforms``: float64 (N, count)."""
    result = np.empty((len(keys), count))
    fill_normals(np.ascontiguousarray(keys).view(np.uint64), start, result)
    return result


@register_jitable
def _hash(key: np.uint64, position: int) -> np.uint64:
    state = key + np.uint64(position) * _STEP
    state = (state ^ (state >> _SHIFTS[0])) * _FIRST
    state = (state ^ (state >> _SHIFTS[1])) * _SECOND
    return state ^ (state >> _SHIFTS[2])


@register_jitable
def _uniform(word: np.uint64) -> float:
    return (np.float64(np.int64(word >> _TO_53_BITS)) + 0.5) * 2.0**-53


@kernel("void(uint64[::1], int64, uint64[:, ::1])")
def fill_hashed(keys: NDArray[np.uint64], start: int, result: NDArray[np.uint64]) -> None:
    """See ``hashed``."""
    for image in range(len(keys)):
        for index in range(result.shape[1]):
            result[image, index] = _hash(keys[image], start + index)


@kernel("void(uint64[::1], int64, float64[:, ::1])")
def fill_uniforms(keys: NDArray[np.uint64], start: int, result: NDArray[np.float64]) -> None:
    """See ``uniforms``."""
    for image in range(len(keys)):
        for index in range(result.shape[1]):
            result[image, index] = _uniform(_hash(keys[image], start + index))


@kernel("void(uint64[::1], int64, float64[:, ::1])")
def fill_normals(keys: NDArray[np.uint64], start: int, result: NDArray[np.float64]) -> None:
    """See ``normals``: the quantile function of Wichura (1988), algorithm AS 241, accurate to 1e-15."""
    for image in range(len(keys)):
        for index in range(result.shape[1]):
            result[image, index] = _normal_quantile(_uniform(_hash(keys[image], start + index)))


_MIDDLE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4),
    (4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3),
    (2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)
_TAIL = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0),
    (1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1),
    (1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)
_FAR_TAIL = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1),
    (2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2),
    (7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)
"""Coefficients of numerator (two rows) and denominator (two rows), the constant first."""


@register_jitable
def _ratio(x: float, rows: tuple[tuple[float, float, float, float], ...]) -> float:
    """Numerator over denominator, both of degree 7, at x."""
    a, b, c, d = rows
    above = ((((((b[3] * x + b[2]) * x + b[1]) * x + b[0]) * x + a[3]) * x + a[2]) * x + a[1]) * x + a[0]
    below = ((((((d[3] * x + d[2]) * x + d[1]) * x + d[0]) * x + c[3]) * x + c[2]) * x + c[1]) * x + c[0]
    return above / below


@register_jitable
def _normal_quantile(probability: float) -> float:
    distance = probability - 0.5
    if abs(distance) <= 0.425:
        return distance * _ratio(0.180625 - distance * distance, _MIDDLE)
    root = np.sqrt(-_logarithm(probability if distance < 0.0 else 1.0 - probability))
    quantile = _ratio(root - 1.6, _TAIL) if root <= 5.0 else _ratio(root - 5.0, _FAR_TAIL)
    return -quantile if distance < 0.0 else quantile


@register_jitable
def _logarithm(x: float) -> float:
    """The natural logarithm, from exactly rounded operations only."""
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa *= 2.0
        exponent -= 1
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    square, total = ratio * ratio, 0.0
    for degree in range(23, 0, -2):
        total = total * square + 1.0 / degree
    return exponent * 0.6931471805599453 + 2.0 * ratio * total
