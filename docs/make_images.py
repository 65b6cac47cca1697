"""Make the pictures of the README and the documentation: real output of larobust's own commands, from networks trained here.

    python docs/make_images.py --data mnist:data --download

First it shows the corruptions on a photograph that comes with scikit-learn. Then it trains five activations with five seeds
each by the paper's MNIST recipe (10 epochs), measures them, and writes docs/images. What is trained and measured already is
not done again.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).resolve().parent / "images"
ACTIVATIONS = ("la_silu", "silu", "la_hardsilu", "hardsilu", "relu")
SEEDS = ("11", "22", "33", "44", "55")
CORRUPTIONS = "gaussian_blur,gaussian_noise,shot_noise,impulse_noise,speckle_noise"
"""As many as fit the table."""
COLUMNS = 92
"""Characters of the terminal that is shown."""


def larobust(*words: str) -> str:
    """What a command prints on stdout, with its colours."""
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1"}
    command = [sys.executable, "-m", "robustbench_la", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def picture(output: str, command: str, path: Path) -> None:
    """Write a terminal's output, below the command that made it, as an SVG without fonts from elsewhere."""
    import io

    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {command}", style="bold green"))
    console.print()
    console.print(Text.from_ansi(output.rstrip()))
    svg = console.export_svg(title="larobust", unique_id=path.stem)
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")


def corruptions(path: Path) -> None:
    """A photograph under all corruptions, made smaller as a JPEG (in which noise no longer is pixel by pixel)."""
    import PIL.Image
    import sklearn.datasets

    photograph = Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"
    with tempfile.TemporaryDirectory() as folder:
        grid = Path(folder) / "grid.png"
        sizes = ("--resize", "256", "--crop", "224")
        larobust("preview", "--image", str(photograph), *sizes, "--severity", "3", "-o", str(grid))
        PIL.Image.open(grid).convert("RGB").save(path, quality=75, optimize=True)


def main() -> None:
    """Train, measure, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist:data", help="MNIST, as larobust's --data takes it (mnist:data)")
    parser.add_argument("--download", action="store_true", help="fetch it first")
    parser.add_argument("--runs", type=Path, default=Path("runs/pictures"), help="folder of checkpoints and results")
    given = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    corruptions(IMAGES / "corruptions.jpg")
    download = ["--download"] if given.download else []
    store = ["--store", str(given.runs / "results.sqlite")]
    for activation in ACTIVATIONS:
        for seed in SEEDS:
            if not (path := given.runs / f"{activation}-{seed}.pt").exists():
                names = ("--activation", activation, "--training-seed", seed, "-o", str(path))
                larobust("train", "--config", "paper-mnist", "--epochs", "10", "--data", given.data, *download, *names)
    larobust("eval", "--ckpt", str(given.runs / "*.pt"), "--noise", CORRUPTIONS, "--profile", "imagenet-c", *store)
    picture(larobust("compare", *store), "larobust compare", IMAGES / "compare.svg")
    larobust("plot", "scatter", *store, "-o", str(IMAGES / "scatter.svg"))


if __name__ == "__main__":
    main()
