"""Runs an ONNX file once in a process of its own, whose memory and time are limited. Imports only what that process needs.

Run as a program: ``python onnx_trial.py FILE TYPE MEGABYTES SECONDS N C H W``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_TOO_MUCH = 9
"""The exit code for what needs more memory."""
_WALL_SECONDS = 120
"""By the clock, besides twice those of the processor: the machine may be busy with something else."""


def runs_within(path: Path, dtype: str, shape: Sequence[int], *, megabytes: int, seconds: float) -> bool:
    """Whether an ONNX file is loaded and run on random inputs within limits; true as well if it fails within them.

    Args:
        path: The file.
        dtype: Of its input, as NumPy calls it.
        shape: Of its input.
        megabytes: That it may take, beyond what onnxruntime takes on its own.
        seconds: Of the processor, those in which onnxruntime starts included.
    """
    limits = [dtype, str(megabytes), str(seconds), *map(str, shape)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", __file__, str(path.absolute()), *limits],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=_WALL_SECONDS + 2 * seconds, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _limit(megabytes: int, seconds: float) -> None:
    """Limit this process; where the system cannot, only the time that the parent waits is limited."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, max(0.1, seconds - time.process_time()))  # ends the process, on the tenth of a second
    status = Path("/proc/self/status")
    if status.exists():
        taken = next(int(line.split()[1]) for line in status.read_text(encoding="ascii").splitlines() if line[:7] == "VmSize:")
        most = taken * 1024 + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _main(path: str, dtype: str, megabytes: str, seconds: str, *shape: str) -> int:
    import numpy as np
    import onnxruntime

    inputs = np.random.default_rng(0).random([int(side) for side in shape]).astype(dtype)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level, options.enable_cpu_mem_arena, options.enable_mem_pattern = 4, False, False
    _limit(int(megabytes), float(seconds))
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        session.run(None, {session.get_inputs()[0].name: inputs})
    except MemoryError:
        return _TOO_MUCH
    except Exception as error:  # onnxruntime has its own for every fault; whatever it is, the parent meets it again
        words = str(error).lower()
        return _TOO_MUCH if "alloc" in words or "memory" in words else 0
    return 0


if __name__ == "__main__":
    os._exit(_main(*sys.argv[1:]))  # without taking everything down, which may need memory
