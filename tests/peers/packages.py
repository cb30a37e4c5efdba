"""A package laid out with what it declares to need, and nothing else that happens to be installed beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

LAY_OUT = """
import importlib.metadata as metadata, importlib.util, pathlib, re, shutil, sys
to, wanted, seen = pathlib.Path(sys.argv[1]), [sys.argv[2]], set()
while wanted:
    name = wanted.pop()
    if name in seen:
        continue
    seen.add(name)
    dist = metadata.distribution(name)
    needed = [need for need in dist.requires or [] if "extra ==" not in need]
    wanted += [re.match(r"[\\w.-]+", need)[0] for need in needed]
    files = [file for file in dist.files if file.suffix in (".py", ".so", ".pyi")]
    for file in files:
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.locate(), to / file)
    if not files:  # installed from its sources
        shutil.copytree(importlib.util.find_spec(name).submodule_search_locations[0], to / name)
"""

Bare = tuple[list[str], str, Callable[[Path], None]]


def python(interpreter: str, package: str, module: str) -> Bare:
    """A distribution, and the module to import."""

    def lay_out(folder: Path) -> None:
        subprocess.run([interpreter, "-c", LAY_OUT, str(folder), package], check=True, timeout=60)

    return [interpreter, "-S", "-c"], f"import sys; sys.path.insert(0, '.'); import {module}; print('true')", lay_out


def node(modules: Path, package: str) -> Bare:
    """A package of npm in a folder of installed ones."""

    def lay_out(folder: Path) -> None:
        wanted, seen = [package], set()
        while wanted:
            name = wanted.pop()
            if name not in seen:
                seen.add(name)
                shutil.copytree(modules / name, folder / "node_modules" / name, symlinks=True)
                wanted += json.loads((modules / name / "package.json").read_text()).get("dependencies", {})

    program = f'import {{ Kvm }} from "{package}"; console.log(typeof Kvm === "function")'
    return ["node", "--input-type=module", "-e"], program, lay_out
