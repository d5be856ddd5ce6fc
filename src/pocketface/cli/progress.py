"""A progress bar with rate and time left, on standard error, for commands over many images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def images_progress(task: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far `task` is; gives a function to call with the images done and all images."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Images per second."""

        def render(self, task: Task) -> Text:
            """The speed as text."""
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} images/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        shown = progress.add_task(task, total=None)

        def tell(done: int, total: int) -> None:
            progress.update(shown, completed=done, total=total)

        yield tell
