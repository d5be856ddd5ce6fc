"""From a photograph to aligned faces: reading, detection, quality, whole folders."""

from pocketface.detect.detector import Detector, Face, choose_face
from pocketface.detect.photo import decode_photo, read_photo

__all__ = ["Detector", "Face", "choose_face", "decode_photo", "read_photo"]
