"""Modules of the user's own: what of them is imported, and from where; and what environments are given.

Only what was typed on the command line is imported. A name that a manifest, a stack or a policy holds never is: those
files may come from strangers.
"""

import importlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gymnasium

from experiments.store.files import StoreError
from ppo.envs.making import module_of, split_arguments

WORD = re.compile(r"(?!\.)[\w. -]*")
"""A text that names no place and no module: nothing of ``/``, ``\\``, ``~`` and ``:``, and no ``.`` in front."""


def import_modules(names: Iterable[str], directory: Path) -> None:
    """Import modules, those in the working ``directory`` too. It comes last on the path, so that nothing in it is taken
    for a part of this project or of a package. Raises ``ValueError`` for one that cannot be imported."""
    names = [name for name in names if name]
    if names and str(directory) not in sys.path:
        sys.path.append(str(directory))
    here = Path.cwd()
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:  # whatever it does when it is imported
            kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
            reason = f"{kind}{' '.join(str(error).split())}"
            if isinstance(error, SystemExit):
                reason = f"it calls sys.exit({'' if error.code is None else error.code})"
            raise ValueError(f"cannot import {name}: {reason} (looked in {directory} too)") from error
        finally:
            os.chdir(here)  # it may have gone elsewhere, and the folders that were typed are meant from here


def check_imported(path: Path, name: str) -> None:
    """Raise ``StoreError`` if ``path`` names something of a module that nobody has asked to import."""
    module = module_of(name)
    if module and module not in sys.modules:
        raise StoreError(f"{path} needs the module {module!r} for {name!r}: --import it if you trust it")


def check_arguments(path: Path, environment: str, typed: Mapping[str, Any]) -> None:
    """Raise ``StoreError`` if ``path`` gives an environment arguments that may do more than set it: texts that may name
    files, and any to an environment that is neither Gymnasium's own nor of a module that was imported. Those that the
    user has ``typed`` may be anything."""
    env_id, given = split_arguments(environment)
    given = {name: value for name, value in given.items() if name not in typed or typed[name] != value}
    known = module_of(environment) or _is_known(env_id, given)
    if given and not (known and all(map(_is_plain, given.values()))):
        words = " ".join(f"{name}={value!r}" for name, value in given.items())
        raise StoreError(
            f"{path} gives {env_id} the arguments {words}: if you trust them, type them after --env-kwargs, or "
            "--import a module that registers such an environment under an id of its own"
        )


def _is_known(env_id: str, given: Mapping[str, Any]) -> bool:
    """Return whether an environment is Gymnasium's, or ours and the task that its id names."""
    spec = gymnasium.registry.get(env_id)
    place = "" if spec is None else str(spec.entry_point)
    return place.startswith("gymnasium.envs.") or (place.startswith("ppo.envs.") and "env_id" not in given)


def _is_plain(value: Any) -> bool:
    if isinstance(value, str | bytes):
        return isinstance(value, str) and WORD.fullmatch(value) is not None
    if isinstance(value, dict):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    return all(map(_is_plain, value)) if isinstance(value, list | tuple | set) else True
