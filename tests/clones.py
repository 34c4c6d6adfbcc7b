"""A copy of the source tree that a test may add files to, with the libraries of this one."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LOCKS = ("requirements.lock", "requirements-dev.lock")


def clone(folder: Path) -> Path:
    """Every file that git knows or would take, and a .venv that `./tidings` finds whole; gives its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    root = folder / "tidings"
    for name in listed:
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    _lend_libraries(root)
    return root


def files(root: Path) -> dict[str, bytes]:
    """What lies in the tree, but for what programs make as they run."""
    made = {".venv", ".git", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tidings"}
    found = (path for path in root.rglob("*") if path.is_file() and not made & set(path.relative_to(root).parts))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def _lend_libraries(root: Path) -> None:
    """A .venv is known by its configuration and by what `./tidings` wrote into it; all else of it may lie elsewhere."""
    venv, ours = root / ".venv", Path(sys.prefix)
    (venv / "bin").mkdir(parents=True)
    (venv / "lib").symlink_to(ours / "lib")
    shutil.copy2(ours / "pyvenv.cfg", venv / "pyvenv.cfg")
    (venv / "bin" / "python").symlink_to(ours / "bin" / "python")
    for lock in _LOCKS:
        shutil.copy2(root / lock, venv / lock)
    (venv / "origin").write_text(f"{root.resolve()}\n{(venv / 'bin' / 'python').resolve()}\n")
