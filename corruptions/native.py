"""The inner loop of the Gaussian blur as machine code, made with LLVM for the processor at hand.

It exists for speed alone: `filters.blur_in_order` does the same with torch, and the bytes are equal. Everything is done in whole
vectors, each element by itself, and no step may be reordered or contracted, so vectors change no rounding.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
from llvmlite import binding, ir
from numpy.typing import NDArray

_LANES = 8
"""Values in a vector: 512 bits of float64. LLVM splits them where the processor has less."""
_ABREAST = 4
"""Vectors summed side by side, so that no addition waits for the one before it."""
_LINE = 64
"""Bytes in a cache line. Scratch that starts at one makes the blur a quarter faster."""
_SLACK = 2 * _LANES
"""Values to spare behind each scratch array: only a part of a row's or plane's last vector may belong to it."""

_WORD, _BYTE, _FLOAT, _POINTER = ir.IntType(64), ir.IntType(8), ir.DoubleType(), ir.PointerType()
_BYTES, _INTEGERS, _FLOATS = (ir.VectorType(kind, _LANES) for kind in (_BYTE, ir.IntType(32), _FLOAT))


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
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 2, *[ctypes.c_void_p] * 4)
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
        sizes = [height * width, (height + 2 * self.radius) * width * 8, height * _stride(self.radius, width) * 8]
        starts = np.cumsum([0] + [_up(size + _SLACK * 8, _LINE) for size in sizes])
        scratch = np.empty(starts[-1] + _LINE, np.uint8)
        base = _up(scratch.ctypes.data, _LINE)
        arrays = planes.ctypes.data, result.ctypes.data, taken.ctypes.data
        self._function(*arrays, count, height, weights.ctypes.data, *(base + int(start) for start in starts[:-1]))


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


def _up(count: int, unit: int) -> int:
    """``count`` rounded up to whole units."""
    return -(-count // unit) * unit


def _stride(radius: int, width: int) -> int:
    """Values from one row to the next when rows are widened by their repeated ends, so that pixels start at a whole vector."""
    return _up(radius, _LANES) + _up(width + radius, _LANES)


class _Writer:
    """Writes the LLVM function ``blur``; its arguments are those that ``PlaneBlur.__call__`` gives."""

    def __init__(self, radius: int, width: int) -> None:
        self.radius, self.width = radius, width
        self.module = ir.Module()
        self.module.triple = binding.get_process_triple()
        kind = ir.FunctionType(ir.VoidType(), [_POINTER] * 3 + [_WORD] * 2 + [_POINTER] * 4)
        function = ir.Function(self.module, kind, "blur")
        self.pixels, self.result, taken, count, self.height, self.weights, self.bytes, self.scaled, self.widened = function.args
        for argument in function.args:
            if argument.type == _POINTER:
                argument.add_attribute("noalias")
        self.memcpy = self.module.declare_intrinsic("llvm.memcpy", [_POINTER, _POINTER, _WORD])
        self.builder = ir.IRBuilder(function.append_basic_block())
        self.area = self.builder.mul(self.height, _word(width))
        with self.turns(taken, count) as plane:
            self.plane(self.builder.mul(plane, self.area))
        self.builder.ret_void()

    def plane(self, start: ir.Value) -> None:
        """One plane: bytes over 255, ends of columns repeated, columns blurred, ends of rows repeated, rows blurred, bytes.

        It is blurred from copy to copy: there, unlike in the tensors, the last vector may run over the end.
        """
        builder = self.builder
        self.copy(self.bytes, self.at(self.pixels, start, _BYTE), self.area)
        with self.loop(_word(0), self.area, _LANES) as index:
            self.scale(self.at(self.bytes, index, _BYTE), self.at(self.scaled, self.plus(index, self.radius * self.width)))
        self.repeat_rows()
        left, stride = _up(self.radius, _LANES), _stride(self.radius, self.width)
        with self.loop(_word(0), self.height) as row:
            source = self.at(self.scaled, self.times(row, self.width))
            target = self.at(self.widened, self.plus(self.times(row, stride), left))
            self.blur_row(source, self.width, lambda sums, index: builder.store(sums, self.at(target, index), align=8))
            self.repeat_ends(target)
        with self.loop(_word(0), self.height) as row:
            source = self.at(self.widened, self.plus(self.times(row, stride), left - self.radius))
            target = self.at(self.bytes, self.times(row, self.width), _BYTE)
            self.blur_row(source, 1, lambda sums, index: self.truncate(sums, self.at(target, index, _BYTE)))
        self.copy(self.at(self.result, start, _BYTE), self.bytes, self.area)

    def scale(self, source: ir.Value, target: ir.Value) -> None:
        """A vector of bytes divided by 255."""
        builder = self.builder
        values = builder.uitofp(builder.load(source, typ=_BYTES, align=1), _FLOATS)
        first, second = (builder.fmul(values, _constant(part)) for part in parts_of_a_255th())
        builder.store(builder.fadd(first, second), target, align=8)

    def repeat_rows(self) -> None:
        """The first row of ``scaled`` also above it, the last row also below."""
        first = _word(self.radius * self.width)
        behind = self.builder.add(self.area, first)
        last = self.plus(behind, -self.width)
        with self.loop(_word(0), _word(self.radius)) as row:
            offset = self.times(row, self.width)
            for start, source in ((_word(0), first), (behind, last)):
                target = self.at(self.scaled, self.builder.add(start, offset))
                self.copy(target, self.at(self.scaled, source), _word(self.width * 8))

    def repeat_ends(self, row: ir.Value) -> None:
        """The first pixel of a row of ``widened`` also before it, the last also behind."""
        for pixel, start in ((0, -_up(self.radius, _LANES)), (self.width - 1, self.width)):
            value = self.splat(self.at(row, _word(pixel)))
            with self.loop(_word(0), _word(self.radius), _LANES) as index:
                self.builder.store(value, self.at(row, self.plus(index, start)), align=8)

    def blur_row(self, source: ir.Value, step: int, use: Callable[[ir.Value, ir.Value], object]) -> None:
        """``use(sums, index)`` for the weighted sums of a row, vector by vector; ``step`` lies between the pixels of a sum."""
        wide = self.width // (_LANES * _ABREAST) * (_LANES * _ABREAST)
        for start, end, abreast in ((0, wide, _ABREAST), (wide, self.width, 1)):
            with self.loop(_word(start), _word(end), _LANES * abreast) as index:
                for number, sums in enumerate(self.sums(self.at(source, index), step, abreast)):
                    use(sums, self.plus(index, number * _LANES))

    def sums(self, first: ir.Value, step: int, abreast: int) -> list[ir.Value]:
        """Vectors of weighted sums in scipy's order: the centre, then pairs of pixels from the outermost to the innermost."""
        builder = self.builder

        def pixels(place: ir.Value) -> list[ir.Value]:
            places = [self.at(first, self.plus(place, number * _LANES)) for number in range(abreast)]
            return [builder.load(vector, typ=_FLOATS, align=8) for vector in places]

        weight = self.splat(self.weights)
        totals = [self.variable(builder.fmul(centre, weight)) for centre in pixels(_word(self.radius * step))]
        with self.loop(_word(0), _word(self.radius)) as place:
            weight = self.splat(self.at(self.weights, builder.sub(_word(self.radius), place)))
            lows = pixels(self.times(place, step))
            highs = pixels(self.times(builder.sub(_word(2 * self.radius), place), step))
            for total, low, high in zip(totals, lows, highs, strict=True):
                pair = builder.fmul(builder.fadd(low, high), weight)
                builder.store(builder.fadd(builder.load(total, typ=_FLOATS), pair), total)
        return [builder.load(total, typ=_FLOATS) for total in totals]

    def truncate(self, sums: ir.Value, target: ir.Value) -> None:
        """At most 1, times 255, truncated to bytes. No sum is below 0, as no pixel and no weight is."""
        builder = self.builder
        least = builder.select(builder.fcmp_ordered("<", sums, _constant(1.0)), sums, _constant(1.0))
        levels = builder.fptosi(builder.fmul(least, _constant(255.0)), _INTEGERS)
        builder.store(builder.trunc(levels, _BYTES), target, align=1)

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
    def turns(self, taken: ir.Value, count: ir.Value) -> Iterator[ir.Value]:
        """``while (index := taken++) < count`` around what is written inside; no two threads get the same index."""
        builder = self.builder
        head, body, behind = (builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.atomic_rmw("add", taken, _word(1), "monotonic")
        builder.cbranch(builder.icmp_signed("<", index, count), body, behind)
        builder.position_at_end(body)
        yield index
        builder.branch(head)
        builder.position_at_end(behind)

    def variable(self, value: ir.Value) -> ir.Value:
        """The address of a vector that changes; LLVM keeps it in a register."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(_FLOATS)
        self.builder.store(value, place)
        return place

    def splat(self, source: ir.Value) -> ir.Value:
        """A vector filled with the float64 at an address."""
        empty, zeros = ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_INTEGERS, [0] * _LANES)
        single = self.builder.insert_element(empty, self.builder.load(source, typ=_FLOAT), _word(0))
        return self.builder.shuffle_vector(single, empty, zeros)

    def copy(self, target: ir.Value, source: ir.Value, count: ir.Value) -> None:
        """``count`` bytes to another place."""
        self.builder.call(self.memcpy, [target, source, count, ir.Constant(ir.IntType(1), 0)])

    def at(self, start: ir.Value, index: ir.Value, kind: ir.Type = _FLOAT) -> ir.Value:
        """The address of an element."""
        return self.builder.gep(start, [index], source_etype=kind)

    def plus(self, value: ir.Value, number: int) -> ir.Value:
        return self.builder.add(value, _word(number))

    def times(self, value: ir.Value, number: int) -> ir.Value:
        return self.builder.mul(value, _word(number))


def _word(number: int) -> ir.Constant:
    return ir.Constant(_WORD, number)


def _constant(value: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [value] * _LANES)
