"""The inner loop of the Gaussian blur as machine code, made with LLVM for the processor at hand.

It exists for speed alone: `filters.blur_in_order` does the same with torch, and the bytes are equal. Rows are blurred in float32
first, at twice the speed; those where that leaves a pixel in doubt are blurred again as scipy does it, in float64, in its order.
Everything is done in whole vectors, each element by itself, so vectors change no rounding.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
from llvmlite import binding, ir
from numpy.typing import NDArray

_ABREAST = 32
"""Values summed side by side, so that no addition waits for the one before it."""
_LINE = 64
"""Bytes in a vector, and in a cache line. Scratch that starts at one makes the blur a quarter faster."""
_SHARE = 1 << 14
"""Pixels that a thread takes at a time: threads that write close to each other wait for each other's cache lines."""
_SLACK = 2 * _LINE
"""Bytes to spare behind each scratch array: only a part of a row's or plane's last vector may belong to it."""
_WIDEST_GUESS = 64
"""Pixels. In wider rows of photographs some pixel is nearly always in doubt."""


class _Numbers:
    """Vectors of 512 bits, of one kind of float. LLVM splits them where the processor has less."""

    def __init__(self, kind: ir.Type, size: int) -> None:
        self.kind, self.size, self.lanes = kind, size, _LINE // size
        self.floats, self.integers, self.bytes = (
            ir.VectorType(element, self.lanes) for element in (kind, ir.IntType(32), ir.IntType(8))
        )

    def constant(self, number: float) -> ir.Constant:
        """A vector filled with it."""
        return ir.Constant(self.floats, [number] * self.lanes)


_SINGLE, _DOUBLE = _Numbers(ir.FloatType(), 4), _Numbers(ir.DoubleType(), 8)
_WORD, _BYTE, _POINTER = ir.IntType(64), ir.IntType(8), ir.PointerType()
_ARGUMENTS = (*[_POINTER] * 3, *[_WORD] * 3, *[_POINTER] * 6)


class PlaneBlur:
    """The blur of 8-bit planes of one width by weights of one radius, compiled (about 0.1 s)."""

    def __init__(self, radius: int, width: int) -> None:
        self.radius, self.width = radius, width
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        machine = binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3, jit=True
        )
        module = binding.parse_assembly(str(_Writer(radius, width).module))
        passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=2))
        passes.getModulePassManager().run(module, passes)
        # The code lives as long as its engine.
        self._engine = binding.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        kind = ctypes.CFUNCTYPE(None, *(ctypes.c_int64 if given == _WORD else ctypes.c_void_p for given in _ARGUMENTS))
        self._function = kind(self._engine.get_function_address("blur"))

    def __call__(
        self, planes: NDArray[np.uint8], result: NDArray[np.uint8], weights: NDArray[np.float64], taken: NDArray[np.int64]
    ) -> None:
        """Write the blur of ``planes`` to ``result``, both (P, H, width), beginning at plane ``taken[0]``.

        weights: (radius + 1,), at distance 0, 1, ... pixels.  taken: (1,), which rises with every plane that is begun; threads
        that call with the same one share the planes out, and the lock of the interpreter is released meanwhile.
        Raises: ValueError for other shapes and arrays that are not contiguous.
        """
        count, height, width = planes.shape
        if width != self.width or result.shape != planes.shape or weights.shape != (self.radius + 1,):
            raise ValueError(f"made for width {self.width}, radius {self.radius}; given {planes.shape}, {weights.shape}")
        if not all(array.flags.c_contiguous for array in (planes, result, weights)):
            raise ValueError("the blur's arrays must be contiguous")
        if [array.dtype.name for array in (planes, result, weights, taken)] != ["uint8", "uint8", "float64", "int64"]:
            raise ValueError("planes and result are uint8, weights float64, taken int64")
        if planes.size == 0:
            return
        rows = height + 2 * self.radius
        sizes = [height * width, rows * width * 8, height * _stride(self.radius, width, _DOUBLE) * 8]
        sizes += [height * _up(width, _LINE), height * 8]
        starts = np.cumsum([0] + [_up(size + _SLACK, _LINE) for size in sizes])
        scratch = np.zeros(starts[-1] + _LINE, np.uint8)  # what no pixel belongs to is computed with, too
        base = _up(scratch.ctypes.data, _LINE)
        arrays = planes.ctypes.data, result.ctypes.data, taken.ctypes.data
        share = _up(_SHARE, height * width) // (height * width)
        self._function(*arrays, count, share, height, weights.ctypes.data, *(base + int(start) for start in starts[:-1]))


@functools.lru_cache(maxsize=64)
def plane_blur(radius: int, width: int) -> PlaneBlur:
    """The compiled blur, made once."""
    return PlaneBlur(radius, width)


def parts_of_a_255th() -> tuple[float, float]:
    """1 / 255 as two float64: x / 255 == x * first + x * second, to the bit, for whole x from 0 to 255.

    Multiplying is many times as fast as dividing. The first part has 45 significant bits, so x * first is exact.
    """
    first = Fraction(round(Fraction(1 << 52, 255)), 1 << 52)
    return float(first), float(Fraction(1, 255) - first)


def doubt(radius: int) -> float:
    """Grey levels by which the blur in float32 is off at most, and may be judged to be.

    No number is negative, so relative errors add up, 2**-24 a rounding: of a weight, of a product and of at most radius + 1
    additions along a column; the same along a row, and of each pair's sum; and of adding this bound. What float64 and the square
    of such an error amount to is far below one more.
    """
    return 255 * 2.0**-24 * (2 * radius + 10)


def _up(count: int, unit: int) -> int:
    """``count`` rounded up to whole units."""
    return -(-count // unit) * unit


def _stride(radius: int, width: int, numbers: _Numbers) -> int:
    """Values from one row to the next when rows are widened by their repeated ends, so that pixels start at a whole vector."""
    return _up(radius, numbers.lanes) + _up(width + radius, numbers.lanes)


class _Writer:
    """Writes the LLVM function ``blur``; its arguments are those that ``PlaneBlur.__call__`` gives."""

    def __init__(self, radius: int, width: int) -> None:
        self.radius, self.width = radius, width
        self.module = ir.Module()
        self.module.triple = binding.get_process_triple()
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), _ARGUMENTS), "blur")
        self.pixels, self.result, taken, count, share, self.height, self.weights, *scratch = function.args
        self.bytes, self.scaled, self.widened, self.levels, self.listed = scratch
        for argument in function.args:
            if argument.type == _POINTER:
                argument.add_attribute("noalias")
        self.memcpy = self.module.declare_intrinsic("llvm.memcpy", [_POINTER, _POINTER, _WORD])
        self.builder = ir.IRBuilder(function.append_basic_block())
        self.area = self.builder.mul(self.height, _word(width))
        with self.turns(taken, count, share) as plane:
            self.plane(self.builder.mul(plane, self.area))
        self.builder.ret_void()

    def plane(self, start: ir.Value) -> None:
        """One plane. It is blurred from copy to copy: there, unlike in the tensors, the last vector may run over the end."""
        builder, wide = self.builder, _up(self.width, _LINE)
        self.copy(self.bytes, self.at(self.pixels, start, _BYTE), self.area)
        many = self.variable(_word(0))
        if self.width <= _WIDEST_GUESS:
            with self.blurred_columns(_SINGLE, self.height) as (row, source):
                clear = self.guess(source, self.at(self.levels, self.times(row, wide), _BYTE))
                self.put_down(row, many, builder.not_(clear))
        else:
            with self.loop(_word(0), self.height) as row:
                self.put_down(row, many, ir.Constant(ir.IntType(1), 1))
        count = builder.load(many, typ=_WORD)
        with builder.if_then(builder.icmp_signed(">", count, _word(0))), self.blurred_columns(_DOUBLE, count) as (turn, source):
            row = builder.load(self.at(self.listed, turn, _WORD), typ=_WORD)
            self.truncate(source, self.at(self.levels, self.times(row, wide), _BYTE))
        with self.loop(_word(0), self.height) as row:
            place = builder.add(start, self.times(row, self.width))
            self.copy(self.at(self.result, place, _BYTE), self.at(self.levels, self.times(row, wide), _BYTE), _word(self.width))

    def put_down(self, row: ir.Value, many: ir.Value, wanted: ir.Value) -> None:
        """Put the row behind the ``many`` rows that are listed already, if it is ``wanted``."""
        count = self.builder.load(many, typ=_WORD)
        self.builder.store(row, self.at(self.listed, count, _WORD))
        self.builder.store(self.builder.add(count, self.builder.zext(wanted, _WORD)), many)

    @contextmanager
    def blurred_columns(self, numbers: _Numbers, count: ir.Value) -> Iterator[tuple[ir.Value, ir.Value]]:
        """For each of ``count`` rows (the first ones; in float64 the listed ones) around what is written inside.

        Gives its turn, and the address of its first pixel once its columns are blurred and its ends repeated.
        """
        builder = self.builder
        left, stride = _up(self.radius, numbers.lanes), _stride(self.radius, self.width, numbers)
        ready = self.variable(_word(0))
        with self.loop(_word(0), count) as turn:
            row = builder.load(self.at(self.listed, turn, _WORD), typ=_WORD) if numbers is _DOUBLE else turn
            self.scale(numbers, row, ready)
            target = self.at(self.widened, self.plus(self.times(turn, stride), left), numbers.kind)
            for index, sums in self.sums(numbers, self.at(self.scaled, self.times(row, self.width), numbers.kind), self.width):
                builder.store(sums, self.at(target, index, numbers.kind), align=numbers.size)
            self.repeat_ends(numbers, target)
        with self.loop(_word(0), count) as turn:
            yield turn, self.at(self.widened, self.plus(self.times(turn, stride), left - self.radius), numbers.kind)

    def scale(self, numbers: _Numbers, row: ir.Value, ready: ir.Value) -> None:
        """What the columns of a row need of ``scaled``: bytes, in float32 as they are, in float64 divided by 255.

        There, the first and last row of the plane are repeated above and below.  ready: rows before this one are done.
        """
        builder = self.builder
        begin, end = builder.load(ready, typ=_WORD), self.plus(row, 2 * self.radius + 1)
        with self.loop(self.larger(begin, row), end) as place:
            inside = self.larger(self.plus(place, -self.radius), _word(0))
            last = self.plus(self.height, -1)
            source = self.times(builder.select(builder.icmp_signed("<", inside, last), inside, last), self.width)
            for column in self.columns(numbers.lanes):
                pixels = builder.load(self.at(self.bytes, builder.add(source, column), _BYTE), typ=numbers.bytes, align=1)
                values = builder.uitofp(pixels, numbers.floats)
                if numbers is _DOUBLE:
                    values = builder.fadd(*(builder.fmul(values, numbers.constant(part)) for part in parts_of_a_255th()))
                target = self.at(self.scaled, builder.add(self.times(place, self.width), column), numbers.kind)
                builder.store(values, target, align=numbers.size)
        builder.store(end, ready)

    def columns(self, step: int) -> Iterator[ir.Value]:
        """Every ``step``-th column; narrow rows written out, which is faster; for wide ones the code would grow with them."""
        if self.width <= _WIDEST_GUESS:
            yield from map(_word, range(0, self.width, step))
        else:
            with self.loop(_word(0), _word(self.width), step) as column:
                yield column

    def repeat_ends(self, numbers: _Numbers, row: ir.Value) -> None:
        """The first pixel of a row of ``widened`` also before it, the last also behind."""
        for pixel, start in ((0, -_up(self.radius, numbers.lanes)), (self.width - 1, self.width)):
            value = self.splat(self.builder.load(self.at(row, _word(pixel), numbers.kind), typ=numbers.kind), numbers.floats)
            with self.loop(_word(0), _word(self.radius), numbers.lanes) as index:
                self.builder.store(value, self.at(row, self.plus(index, start), numbers.kind), align=numbers.size)

    def sums(self, numbers: _Numbers, source: ir.Value, step: int) -> Iterator[tuple[ir.Value, ir.Value]]:
        """Weighted sums of a row, vector by vector, each behind its index; ``step`` lies between the pixels of a sum."""
        wide = self.width // _ABREAST * _ABREAST
        for start, end, size in ((0, wide, _ABREAST), (wide, self.width, numbers.lanes)):
            with self.loop(_word(start), _word(end), size) as index:
                found = self.abreast(numbers, self.at(source, index, numbers.kind), step, size // numbers.lanes)
                for number, sums in enumerate(found):
                    yield self.plus(index, number * numbers.lanes), sums

    def abreast(self, numbers: _Numbers, first: ir.Value, step: int, count: int) -> list[ir.Value]:
        """Vectors of weighted sums in scipy's order: the centre, then pairs of pixels from the outermost to the innermost."""
        builder = self.builder
        # In float32 a product may be added without being rounded first, where the processor can.
        loose = () if numbers is _DOUBLE else ("contract",)

        def add(weight: ir.Value, lows: list[ir.Value], highs: list[ir.Value]) -> None:
            for total, low, high in zip(totals, lows, highs, strict=True):
                pair = builder.fmul(builder.fadd(low, high), weight, flags=loose)
                builder.store(builder.fadd(builder.load(total, typ=numbers.floats), pair, flags=loose), total)

        middle = self.vectors(numbers, first, _word(self.radius * step), count)
        weight = self.weight(numbers, _word(0))
        totals = [self.variable(builder.fmul(centre, weight)) for centre in middle]
        if step == 1 and self.radius <= numbers.lanes:
            (before,) = self.vectors(numbers, first, _word(self.radius - numbers.lanes), 1)
            (behind,) = self.vectors(numbers, first, _word(self.radius + count * numbers.lanes), 1)
            row = [before, *middle, behind]
            for distance in range(self.radius, 0, -1):
                lows, highs = self.shifted(row[:-1], numbers.lanes - distance), self.shifted(row[1:], distance)
                add(self.weight(numbers, _word(distance)), lows, highs)
        else:
            with self.loop(_word(0), _word(self.radius)) as place:
                lows = self.vectors(numbers, first, self.times(place, step), count)
                highs = self.vectors(numbers, first, self.times(builder.sub(_word(2 * self.radius), place), step), count)
                add(self.weight(numbers, builder.sub(_word(self.radius), place)), lows, highs)
        return [builder.load(total, typ=numbers.floats) for total in totals]

    def vectors(self, numbers: _Numbers, first: ir.Value, index: ir.Value, count: int) -> list[ir.Value]:
        """Vectors that follow each other in memory."""
        places = [self.at(first, self.plus(index, number * numbers.lanes), numbers.kind) for number in range(count)]
        return [self.builder.load(place, typ=numbers.floats, align=numbers.size) for place in places]

    def shifted(self, row: list[ir.Value], distance: int) -> list[ir.Value]:
        """Vectors that begin ``distance`` lanes behind those of ``row`` (but the last): to load them would cross cache lines."""
        lanes = row[0].type.count
        places = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [distance + lane for lane in range(lanes)])
        return [self.builder.shuffle_vector(one, other, places) for one, other in itertools.pairwise(row)]

    def guess(self, source: ir.Value, target: ir.Value) -> ir.Value:
        """Truncate the sums of a row to bytes, and tell whether they are certain: no whole level is within doubt of any."""
        builder, numbers = self.builder, _SINGLE
        bound = numbers.constant(doubt(self.radius))
        none, width, lanes = (
            ir.Constant(numbers.integers, values)
            for values in ([0] * numbers.lanes, [self.width] * numbers.lanes, list(range(numbers.lanes)))
        )
        differing = self.variable(none)
        for index, sums in self.sums(numbers, source, 1):
            least, most = (
                builder.fptosi(side, numbers.integers) for side in (builder.fsub(sums, bound), builder.fadd(sums, bound))
            )
            builder.store(builder.trunc(most, numbers.bytes), self.at(target, index, _BYTE), align=1)
            unsure = builder.xor(least, most)
            if self.width % numbers.lanes:  # what lies behind the row is no pixel
                places = builder.add(self.splat(builder.trunc(index, ir.IntType(32)), numbers.integers), lanes)
                unsure = builder.select(builder.icmp_signed("<", places, width), unsure, none)
            builder.store(builder.or_(builder.load(differing, typ=numbers.integers), unsure), differing)
        bits = builder.bitcast(builder.load(differing, typ=numbers.integers), ir.IntType(8 * _LINE))
        return builder.icmp_unsigned("==", bits, ir.Constant(bits.type, 0))

    def truncate(self, source: ir.Value, target: ir.Value) -> None:
        """Sums of a row, at most 1, times 255, truncated to bytes. None is below 0, as no pixel and no weight is."""
        builder, numbers = self.builder, _DOUBLE
        one = numbers.constant(1.0)
        for index, sums in self.sums(numbers, source, 1):
            least = builder.select(builder.fcmp_ordered("<", sums, one), sums, one)
            levels = builder.fptosi(builder.fmul(least, numbers.constant(255.0)), numbers.integers)
            builder.store(builder.trunc(levels, numbers.bytes), self.at(target, index, _BYTE), align=1)

    @contextmanager
    def loop(self, start: ir.Value, end: ir.Value, step: int = 1) -> Iterator[ir.Value]:
        """``for index in range(start, end, step)`` around what is written inside."""
        builder = self.builder
        before = builder.block
        head, body, behind = (builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(_WORD)
        index.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed("<", index, end), body, behind)
        builder.position_at_end(body)
        yield index
        index.add_incoming(self.plus(index, step), builder.block)
        builder.branch(head)
        builder.position_at_end(behind)

    @contextmanager
    def turns(self, taken: ir.Value, count: ir.Value, share: ir.Value) -> Iterator[ir.Value]:
        """For the indices below ``count`` that no other thread has taken, ``share`` at a time, around what is written inside."""
        builder = self.builder
        head, body, behind = (builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        first = builder.atomic_rmw("add", taken, share, "monotonic")
        builder.cbranch(builder.icmp_signed("<", first, count), body, behind)
        builder.position_at_end(body)
        end = builder.add(first, share)
        with self.loop(first, builder.select(builder.icmp_signed("<", end, count), end, count)) as index:
            yield index
        builder.branch(head)
        builder.position_at_end(behind)

    def variable(self, value: ir.Value) -> ir.Value:
        """The address of a value that changes; LLVM keeps it in a register."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(value.type)
        self.builder.store(value, place)
        return place

    def weight(self, numbers: _Numbers, distance: ir.Value) -> ir.Value:
        """A vector filled with the weight at a distance."""
        weight = self.builder.load(self.at(self.weights, distance, _DOUBLE.kind), typ=_DOUBLE.kind)
        return self.splat(weight if numbers is _DOUBLE else self.builder.fptrunc(weight, numbers.kind), numbers.floats)

    def splat(self, value: ir.Value, vector: ir.VectorType) -> ir.Value:
        """A vector filled with a number."""
        empty, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
        return self.builder.shuffle_vector(self.builder.insert_element(empty, value, _word(0)), empty, zeros)

    def copy(self, target: ir.Value, source: ir.Value, count: ir.Value) -> None:
        """``count`` bytes to another place."""
        self.builder.call(self.memcpy, [target, source, count, ir.Constant(ir.IntType(1), 0)])

    def at(self, start: ir.Value, index: ir.Value, kind: ir.Type) -> ir.Value:
        """The address of an element."""
        return self.builder.gep(start, [index], source_etype=kind)

    def larger(self, one: ir.Value, other: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed(">", one, other), one, other)

    def plus(self, value: ir.Value, number: int) -> ir.Value:
        return self.builder.add(value, _word(number))

    def times(self, value: ir.Value, number: int) -> ir.Value:
        return self.builder.mul(value, _word(number))


def _word(number: int) -> ir.Constant:
    return ir.Constant(_WORD, number)
