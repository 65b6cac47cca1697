"""One file per family of corruptions, one decorated function per corruption. Importing this package fills the table.

A new file here is found without being named anywhere.
"""

import importlib
import pkgutil

from corruptions.registry import GROUPS, put_in_order

# In the order of the groups, so that those of the group extra, which are in several files, are in Hendrycks' order too.
_order = {name: place for place, name in enumerate(GROUPS)}
for _file in sorted((entry.name for entry in pkgutil.iter_modules(__path__)), key=lambda name: (_order.get(name, 99), name)):
    importlib.import_module(f"{__name__}.{_file}")
put_in_order()
