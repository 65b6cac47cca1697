"""``python -m robustbench_la`` is ``larobust``."""

from robustbench_la.cli import main

if __name__ == "__main__":
    main()
