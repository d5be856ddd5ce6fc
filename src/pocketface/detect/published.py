"""A file that others publish: its address, size and sha256; and the detector we suggest."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedFile:
    """`file` is the name it is kept under, `sha256` is in hexadecimal."""

    file: str
    address: str
    bytes: int
    sha256: str
    licence: str


YUNET = PublishedFile(
    file="face_detection_yunet_2026may.onnx",
    # A commit, not a branch: what stands at this address cannot change.
    address=(
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
        "47534e27c9851bb1128ccc0102f1145e27f23f98/models/face_detection_yunet/"
        "face_detection_yunet_2026may.onnx"
    ),
    bytes=229_738,
    sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
    licence="MIT, Shiqi Yu; trained on WIDER FACE",
)
"""YuNet of the OpenCV Zoo, with free sides, so that it runs in OpenCV 4 and 5."""
