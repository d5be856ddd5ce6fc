"""The errors a user can meet.

Every message names the value that was found, what is allowed, and the mend. The command line
prints the message alone and ends with exit code 2; a traceback is for faults of ours.
"""


class PocketFaceError(Exception):
    """Anything that the user can put right; its text is written for them."""


class DataError(PocketFaceError):
    """A file or folder of faces is missing, broken, or not what it was said to be."""


class WeightsError(PocketFaceError):
    """Weights do not fit the network, or their file cannot be trusted."""


class RecipeError(PocketFaceError):
    """A recipe or a command's options cannot be carried out."""


class MissingExtraError(PocketFaceError):
    """A command needs an optional dependency that is not installed."""

    def __init__(self, need: str, extra: str) -> None:
        super().__init__(
            f"{need} needs the extra '{extra}', which is not installed. "
            f"Install it with: pip install 'pocketface[{extra}]'"
        )


class ExportError(PocketFaceError):
    """A file for a device does not compute what its source computes."""


class TrainingError(PocketFaceError):
    """A run cannot go on; what it had saved is intact."""


class StoppedError(PocketFaceError):
    """A run was asked to stop and has saved itself."""


class GalleryError(PocketFaceError):
    """A gallery of people cannot be used, or not with this network."""
