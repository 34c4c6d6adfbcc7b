"""Celery's own libraries, in a folder of their own: they must not meet those of the project."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from infra.errors import TidingsError

LOCK = Path(__file__).with_name("requirements.lock")


def installed() -> Path:
    """The folder with them, to be put before the others in PYTHONPATH; made when it is asked for the first time.

    Raises:
        TidingsError: they could not be had.
    """
    folder = Path(sys.prefix) / f"celery-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        made = folder.with_name(f"{folder.name}.made")
        shutil.rmtree(made, ignore_errors=True)
        options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(made)]
        ended = subprocess.run([sys.executable, "-m", "pip", "install", *options, "-r", str(LOCK)], check=False)
        if ended.returncode:
            raise TidingsError("Celery could not be installed: pip's words are above.")
        made.rename(folder)
    return folder
