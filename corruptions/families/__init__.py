"""One file per family of corruptions, one decorated function per corruption. Importing this package fills the table.

A new file here is found without being named anywhere.
"""

import importlib
import pkgutil

for _file in sorted(entry.name for entry in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_file}")
