"""What stands on disk: RecordIO, folders of people, verification files."""

from pocketface.data.faces import ConcatFaces, Faces, open_faces
from pocketface.data.fault import Fault
from pocketface.data.folder import FolderFaces
from pocketface.data.jpeg import decode_rgb
from pocketface.data.record_faces import RecordFaces
from pocketface.data.unlabelled import ImageTree, Unnamed, open_unlabelled

__all__ = [
    "ConcatFaces",
    "Faces",
    "Fault",
    "FolderFaces",
    "ImageTree",
    "RecordFaces",
    "Unnamed",
    "decode_rgb",
    "open_faces",
    "open_unlabelled",
]
