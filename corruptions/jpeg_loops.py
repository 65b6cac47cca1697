"""JPEG without the file: libjpeg-turbo's integer arithmetic from pixels to quantised coefficients and back.

What a JPEG file adds to this, the coding of the coefficients as bits, loses nothing, and takes most of the library's time.
Colours are stored at half the resolution in both directions, as Pillow does unless told otherwise. All numbers are whole; they
are held in float64, in which processors calculate as exactly as in 64-bit integers, and faster.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.kernels import kernel

Values = NDArray[np.float64]

STRIP = 256
"""Values of one row of blocks that are transformed together: 16 KiB with all eight rows, which stay in the L1 cache."""
_0, _1, _2, _3, _4, _5, _6, _7 = (np.uint64(row * STRIP) for row in range(8))
"""Where the rows of a strip begin; unsigned, so that no index can count from the end."""


@kernel("void(uint8[:, :, :, ::1], float64[:, :, ::1], float64[:, :, :, ::1])")
def split_colours(images: NDArray[np.uint8], lumas: Values, colours: Values) -> None:
    """Write luminance and differences of colour, extended to whole blocks, to ``lumas`` and ``colours``.

    Args:
        images: uint8 (N, 1 or 3, H, W); the luminance of a grey image is the image.
        lumas: float64 (N, h, w), h and w multiples of 8.
        colours: float64 (N, 2, h, w) at half the resolution, h and w multiples of 8; nothing is written for grey images.
    """
    count, channels, height, width = images.shape
    full = np.empty((2, 2 * ((height + 1) // 2), 2 * colours.shape[3]))
    for image in range(count):
        if channels == 1:
            for row in range(height):
                for column in range(width):
                    lumas[image, row, column] = np.float64(images[image, 0, row, column])
        else:
            _to_luma(images[image], lumas[image], full)
            _halve(full, height, width, colours[image])
        _extend(lumas[image], height, width)


@register_jitable
def _extend(plane: Values, height: int, width: int) -> None:
    """Repeat the last column and the last row of the image up to the last block's end."""
    for row in range(height):
        for column in range(width, plane.shape[1]):
            plane[row, column] = plane[row, width - 1]
    for row in range(height, plane.shape[0]):
        for column in range(plane.shape[1]):
            plane[row, column] = plane[height - 1, column]


@register_jitable
def _to_luma(image: NDArray[np.uint8], luma: Values, colours: Values) -> None:
    """Write the luminance and the two differences of colour of each pixel, with 16 bits after the point, rounded."""
    _, height, width = image.shape
    for row in range(height):
        reds, greens, blues = image[0, row], image[1, row], image[2, row]
        light, blueness, redness = luma[row], colours[0, row], colours[1, row]
        for column in range(width):
            red, green, blue = np.float64(reds[column]), np.float64(greens[column]), np.float64(blues[column])
            light[column] = np.floor((19595.0 * red + 38470.0 * green + 7471.0 * blue + 32768.0) / 65536.0)
            blueness[column] = np.floor((-11059.0 * red - 21709.0 * green + 32768.0 * blue + 8421375.0) / 65536.0)
            redness[column] = np.floor((32768.0 * red - 27439.0 * green - 5329.0 * blue + 8421375.0) / 65536.0)


@register_jitable
def _halve(full: Values, height: int, width: int, halves: Values) -> None:
    """Write the means of 2 by 2 pixels; halves are rounded down in even columns, and up in odd ones."""
    low = full.shape[1] // 2
    for plane in range(2):
        source, target = full[plane], halves[plane]
        _extend(source, height, width)
        for row in range(low):
            above, below, out = source[2 * row], source[2 * row + 1], target[row]
            for column in range(0, target.shape[1], 2):
                first = above[2 * column] + above[2 * column + 1] + below[2 * column] + below[2 * column + 1]
                second = above[2 * column + 2] + above[2 * column + 3] + below[2 * column + 2] + below[2 * column + 3]
                out[column] = np.floor((first + 1.0) * 0.25)
                out[column + 1] = np.floor((second + 2.0) * 0.25)
        _extend(target, low, target.shape[1])


@kernel("void(float64[:, :, ::1], float64[:, ::1])")
def round_coefficients(planes: Values, divisors: Values) -> None:
    """Transform each block of 8 by 8, round its coefficients to multiples of the divisors, and transform it back, in place.

    Args:
        planes: float64 (P, H, W), H and W multiples of 8.
        divisors: float64 (8, STRIP), 8 by 8 side by side.
    """
    count, height = planes.shape[:2]
    strip = np.empty(8 * STRIP)
    for plane in range(count):
        for top in range(0, height, 8):
            _round_row_of_blocks(planes[plane, top : top + 8], divisors, strip)


@register_jitable
def _round_row_of_blocks(rows: Values, divisors: Values, strip: Values) -> None:
    """The same for eight rows of pixels; ``strip`` is scratch."""
    width = rows.shape[1]
    for left in range(0, width, STRIP):
        count = min(STRIP, width - left)
        for place in range(8):
            for column in range(0, count, 8):
                for row in range(8):
                    strip[place * STRIP + column + row] = rows[row, left + column + place] - 128.0
        for turn in range(2):
            _forward(strip, np.uint64(count), 0.25 if turn else 4.0, 2.0**-15 if turn else 2.0**-11)
            if turn == 0:
                _transpose(strip, count)
        for row in range(8):
            values, steps = strip[row * STRIP : row * STRIP + count], divisors[row]
            for column in range(count):
                size = np.floor((abs(values[column]) + 4.0 * steps[column]) / (8.0 * steps[column])) * steps[column]
                values[column] = size if values[column] >= 0.0 else -size
        for turn in range(2):
            if turn == 1:
                _transpose(strip, count)
            _backward(strip, np.uint64(count), 2.0**-18 if turn else 2.0**-11)
        for place in range(8):
            for column in range(0, count, 8):
                for row in range(8):
                    value = strip[place * STRIP + column + row] + 128.0
                    rows[row, left + column + place] = min(max(value, 0.0), 255.0)


@register_jitable
def _transpose(strip: Values, count: int) -> None:
    """Exchange rows and columns of each block."""
    for left in range(0, count, 8):
        for row in range(8):
            for column in range(row):
                one, other = row * STRIP + left + column, column * STRIP + left + row
                strip[one], strip[other] = strip[other], strip[one]


@register_jitable
def _forward(strip: Values, count: np.uint64, even: float, odd: float) -> None:
    """The cosine transform along the first axis of a strip (Loeffler, Ligtenberg & Moschytz 1989), with 13 bits after the point.

    Args:
        strip: Flat, rows of ``STRIP`` values.
        count: How many values of each row are used.
        even: What coefficients 0 and 4 are multiplied by before they are rounded.
        odd: What the others are multiplied by.
    """
    for i in range(count):
        a, b, c, d = strip[_0 + i], strip[_1 + i], strip[_2 + i], strip[_3 + i]
        e, f, g, h = strip[_4 + i], strip[_5 + i], strip[_6 + i], strip[_7 + i]
        t0, t7, t1, t6, t2, t5, t3, t4 = a + h, a - h, b + g, b - g, c + f, c - f, d + e, d - e
        t10, t13, t11, t12 = t0 + t3, t0 - t3, t1 + t2, t1 - t2
        strip[_0 + i] = np.floor((t10 + t11) * even + 0.5)
        strip[_4 + i] = np.floor((t10 - t11) * even + 0.5)
        z1 = (t12 + t13) * 4433.0
        strip[_2 + i] = np.floor((z1 + t13 * 6270.0) * odd + 0.5)
        strip[_6 + i] = np.floor((z1 - t12 * 15137.0) * odd + 0.5)
        z5 = (t4 + t6 + t5 + t7) * 9633.0
        z1, z2 = (t4 + t7) * 7373.0, (t5 + t6) * 20995.0
        z3, z4 = z5 - (t4 + t6) * 16069.0, z5 - (t5 + t7) * 3196.0
        strip[_7 + i] = np.floor((t4 * 2446.0 - z1 + z3) * odd + 0.5)
        strip[_5 + i] = np.floor((t5 * 16819.0 - z2 + z4) * odd + 0.5)
        strip[_3 + i] = np.floor((t6 * 25172.0 - z2 + z3) * odd + 0.5)
        strip[_1 + i] = np.floor((t7 * 12299.0 - z1 + z4) * odd + 0.5)


@register_jitable
def _backward(strip: Values, count: np.uint64, scale: float) -> None:
    """The inverse of ``_forward``; values are multiplied by ``scale`` and rounded."""
    for i in range(count):
        z2, z3 = strip[_2 + i], strip[_6 + i]
        z1 = (z2 + z3) * 4433.0
        t2, t3 = z1 - z3 * 15137.0, z1 + z2 * 6270.0
        t0, t1 = (strip[_0 + i] + strip[_4 + i]) * 8192.0, (strip[_0 + i] - strip[_4 + i]) * 8192.0
        t10, t13, t11, t12 = t0 + t3, t0 - t3, t1 + t2, t1 - t2
        a, b, c, d = strip[_7 + i], strip[_5 + i], strip[_3 + i], strip[_1 + i]
        z5 = (a + c + b + d) * 9633.0
        z1, z2 = (a + d) * 7373.0, (b + c) * 20995.0
        z3, z4 = z5 - (a + c) * 16069.0, z5 - (b + d) * 3196.0
        a, b, c, d = a * 2446.0 - z1 + z3, b * 16819.0 - z2 + z4, c * 25172.0 - z2 + z3, d * 12299.0 - z1 + z4
        strip[_0 + i], strip[_7 + i] = np.floor((t10 + d) * scale + 0.5), np.floor((t10 - d) * scale + 0.5)
        strip[_1 + i], strip[_6 + i] = np.floor((t11 + c) * scale + 0.5), np.floor((t11 - c) * scale + 0.5)
        strip[_2 + i], strip[_5 + i] = np.floor((t12 + b) * scale + 0.5), np.floor((t12 - b) * scale + 0.5)
        strip[_3 + i], strip[_4 + i] = np.floor((t13 + a) * scale + 0.5), np.floor((t13 - a) * scale + 0.5)


@kernel("void(float64[:, :, ::1], float64[:, :, :, ::1], uint8[:, :, :, ::1])")
def join_colours(lumas: Values, colours: Values, result: NDArray[np.uint8]) -> None:
    """Write images made of luminance and differences of colour to ``result``; arguments as in ``split_colours``."""
    count, channels, height, width = result.shape
    for image in range(count):
        if channels == 1:
            for row in range(height):
                for column in range(width):
                    result[image, 0, row, column] = np.uint8(lumas[image, row, column])
        else:
            _to_colours(lumas[image], colours[image], (height + 1) // 2, (width + 1) // 2, result[image])


@register_jitable
def _to_colours(luma: Values, halves: Values, low: int, narrow: int, result: NDArray[np.uint8]) -> None:
    """Write red, green and blue; a difference of colour is interpolated with the weights 3 and 1 between its neighbours.

    Args:
        luma: The luminance.
        halves: Both differences at half the resolution.
        low, narrow: Their size, without what fills the last blocks.
        result: uint8 (3, H, W).
    """
    _, height, width = result.shape
    sums, colours = np.empty(narrow), np.empty((2, 2 * narrow))
    for row in range(height):
        near, far = row // 2, min(max(row // 2 - 1 + 2 * (row % 2), 0), low - 1)
        for plane in range(2):
            here, other, wide = halves[plane, near], halves[plane, far], colours[plane]
            if narrow <= 2:  # too few to interpolate, says libjpeg
                for column in range(narrow):
                    wide[2 * column] = wide[2 * column + 1] = here[column] - 128.0
                continue
            for column in range(narrow):
                sums[column] = here[column] * 3.0 + other[column]
            for column in range(narrow):
                before, after = sums[max(column - 1, 0)], sums[min(column + 1, narrow - 1)]
                wide[2 * column] = np.floor((sums[column] * 3.0 + before + 8.0) * 0.0625) - 128.0
                wide[2 * column + 1] = np.floor((sums[column] * 3.0 + after + 7.0) * 0.0625) - 128.0
        light, blueness, redness = luma[row], colours[0], colours[1]
        reds, greens, blues = result[0, row], result[1, row], result[2, row]
        for column in range(width):
            red = np.floor((91881.0 * redness[column] + 32768.0) / 65536.0)
            green = np.floor((-22554.0 * blueness[column] - 46802.0 * redness[column] + 32768.0) / 65536.0)
            blue = np.floor((116130.0 * blueness[column] + 32768.0) / 65536.0)
            reds[column] = np.uint8(min(max(light[column] + red, 0.0), 255.0))
            greens[column] = np.uint8(min(max(light[column] + green, 0.0), 255.0))
            blues[column] = np.uint8(min(max(light[column] + blue, 0.0), 255.0))
