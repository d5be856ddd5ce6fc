"""The commands of a comparison run in this process: no second Python has to start."""

from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner

from pocketface.cli.main import app
from pocketface.errors import PocketFaceError, StoppedError


class Ended:
    """A command that was run in this process and has ended."""

    def __init__(self, code: int) -> None:
        self.code = code

    def poll(self) -> int:
        return self.code

    def send_signal(self, sig: int, /) -> None:
        raise AssertionError("it has ended")

    def kill(self) -> None:
        raise AssertionError("it has ended")


class Here:
    """Runs commands in this process; keeps what was run."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, words: Sequence[str], log: Path, keep: Sequence[int] = ()) -> Ended:
        self.commands.append(list(words))
        log.parent.mkdir(parents=True, exist_ok=True)
        answer = CliRunner().invoke(app, list(words))
        error = answer.exception
        with log.open("a") as file:
            file.write(answer.output)
            if isinstance(error, PocketFaceError):
                file.write(f"error: {error}\n")
        if error is None:
            return Ended(0)
        if isinstance(error, StoppedError):
            return Ended(130)
        if isinstance(error, PocketFaceError):
            return Ended(2)
        raise error

    @property
    def trained(self) -> list[str]:
        """The run folders of the `train` commands, as 'alone/seed_0'."""
        folders = [Path(c[c.index("--out") + 1]) for c in self.commands if c[0] == "train"]
        return [f"{folder.parent.name}/{folder.name}" for folder in folders]
