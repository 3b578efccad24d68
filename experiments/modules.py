"""Modules of the user's own: what of them is imported, and from where.

Only what was typed on the command line is imported. A name that a manifest, a stack or a policy holds never is: those
files may come from strangers.
"""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from experiments.store.files import StoreError
from ppo.envs.making import module_of


def import_modules(names: Iterable[str], directory: Path) -> None:
    """Import modules, those in the working ``directory`` too. It comes last on the path, so that nothing in it is taken
    for a part of this project or of a package. Raises ``ValueError`` for one that cannot be imported."""
    names = [name for name in names if name]
    if names and str(directory) not in sys.path:
        sys.path.append(str(directory))
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever it does when it is imported
            kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
            reason = " ".join(str(error).split())
            raise ValueError(f"cannot import {name}: {kind}{reason} (looked in {directory} too)") from error


def check_imported(path: Path, name: str) -> None:
    """Raise ``StoreError`` if ``path`` names something of a module that nobody has asked to import."""
    module = module_of(name)
    if module and module not in sys.modules:
        raise StoreError(f"{path} needs the module {module!r} for {name!r}: --import it if you trust it")
