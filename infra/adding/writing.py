"""Writing the two files of a new consumer: both or none, whole, and never over another file."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import infra
from infra.adding import drafting, job_drafting
from infra.adding.wishes import Unwise, Wish

#: The folder of the source tree, if this is one.
ROOT = Path(infra.__file__).resolve().parents[1]


def files(wish: Wish, root: Path) -> dict[Path, str]:
    """The test and the module that are to be written, and their text; the module last, as programs wait for it.

    Raises:
        Unwise: there is no source tree here, or what is to be written would hide, or be hidden by, something there.
    """
    consumers, tests = root / "consumers", root / "tests" / "consumers"
    for folder in (consumers, tests):
        if not folder.is_dir():
            raise Unwise(f"There is no folder {folder}: run this in the source tree of the project.")
    taken = (consumers / f"{wish.module}.py", consumers / wish.module, tests / f"test_{wish.module}.py")
    for path in taken:
        if path.exists() or path.is_symlink():
            raise Unwise(f"{path.relative_to(root)} is there already: take another name, or move it away.")
    module, _, test = taken
    drafts = job_drafting if wish.is_job else drafting
    return {test: drafts.test(wish), module: drafts.module(wish)}


def write(texts: Mapping[Path, str]) -> None:
    """Write all of these new files, or none.

    Raises:
        Unwise: one of them cannot be written, or is there by now.
    """
    with ExitStack() as drafts:
        ready = [(drafts.enter_context(_draft(path, text)), path) for path, text in texts.items()]
        with ExitStack() as undoing:
            for draft, path in ready:
                _place(draft, path)
                undoing.callback(path.unlink)
            undoing.pop_all()


@contextmanager
def _draft(path: Path, text: str) -> Iterator[Path]:
    """The text in a file beside it, whose name no one takes for a module."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8")
        yield draft
    except OSError as error:
        raise Unwise(f"{path.parent} cannot be written: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            draft.unlink()


def _place(draft: Path, path: Path) -> None:
    """Give the draft its name unless another file has it: a link, as a rename would write over that."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise Unwise(f"{path} is there already: take another name, or move it away.") from None
