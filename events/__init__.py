"""What happened: importing this package imports each of its files, so the registry knows every event type."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
