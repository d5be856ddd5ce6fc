"""What the service answers about photographs and people, over a real socket."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from service_made import FAR, HEIGHT, WIDTH, encoded, fault, made_engine, photo, pixels_of, running

from pocketface.detect.quality import Limits
from pocketface.gallery import SqliteGallery
from pocketface.gallery.open_set import false_positive_rate


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with running(made_engine(tmp_path)) as found:
        yield found


def enrol(client: httpx.Client, name: str, *photos: bytes, **fields: str) -> httpx.Response:
    files = [("photos", (f"{n}.png", data)) for n, data in enumerate(photos)]
    return client.post("/enroll", data={"name": name, **fields}, files=files)


@pytest.mark.parametrize(("other", "verdict"), [(1, "same person"), (2, "different people")])
def test_two_photographs_are_compared(client: httpx.Client, other: int, verdict: str) -> None:
    files = {"first": ("a.png", photo(1)), "second": ("b.png", photo(other, 5))}
    answer = client.post("/verify", files=files).raise_for_status().json()
    assert answer["verdict"] == verdict
    assert (answer["similarity"] >= 0.5) == (verdict == "same person")
    assert answer["threshold"]["similarity"] == 0.5
    assert answer["first"]["name"] == "first (a.png)"
    assert (answer["first"]["width"], answer["first"]["height"]) == (WIDTH, HEIGHT)
    [face] = answer["first"]["faces"]
    assert face["box"] == [10, 10, 122, 122]
    assert np.array(face["landmarks"]).shape == (5, 2)
    assert face["quality"]["eyes"] > 30
    assert face["crop"] is None


def test_the_similarity_is_the_one_of_the_library(client: httpx.Client) -> None:
    from pocketface.data.alignment import TEMPLATE, align_face
    from pocketface.embedding.pixels import PixelEmbedder

    crops = [align_face(pixels_of(1, n), TEMPLATE + 10) for n in (0, 1)]
    first, second = PixelEmbedder().embed(np.stack(crops)).astype(np.float64)
    wanted = first @ second / np.sqrt((first @ first) * (second @ second))
    files = {"first": ("a.png", photo(1)), "second": ("b.png", photo(1, 1))}
    answer = client.post("/verify", files=files).json()
    assert answer["similarity"] == pytest.approx(wanted, abs=1e-6)


def test_crops_are_given_when_asked_for(client: httpx.Client) -> None:
    files = {"first": ("a.png", photo(1)), "second": ("b.png", photo(2, faces=2))}
    answer = client.post("/verify?crops=true", files=files).json()
    second = answer["second"]
    assert second["taken"] == 0
    assert "largest of 2" in second["why_taken"]
    for face in second["faces"]:
        kind, _, content = face["crop"].partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).size == (112, 112)


def test_an_aligned_face_is_taken_as_it_is(client: httpx.Client) -> None:
    aligned = encoded(pixels_of(1)[10:122, 10:122])
    files = {"first": ("a.png", aligned), "second": ("b.png", photo(1, 1))}
    answer = client.post("/verify", files=files).json()
    assert answer["verdict"] == "same person"
    assert answer["first"]["aligned"]
    assert answer["first"]["faces"][0]["box"] is None


def test_without_a_threshold_nothing_is_decided(tmp_path: Path) -> None:
    with running(made_engine(tmp_path, limit=None)) as client:
        files = {"first": ("a.png", photo(1)), "second": ("b.png", photo(1, 1))}
        answer = client.post("/verify", files=files).json()
        assert (answer["verdict"], answer["threshold"]) == ("undecided", None)
        enrol(client, "Ann", photo(1)).raise_for_status()
        found = client.post("/identify", files={"photo": ("a.png", photo(1, 1))}).json()
        assert found["faces"][0]["verdict"] == "undecided"
        assert found["faces"][0]["candidates"][0]["person"] == "Ann"
        assert found["gallery"]["false_positive_rate"] is None


def test_a_face_below_the_limits_is_named_with_the_reason(tmp_path: Path) -> None:
    with running(made_engine(tmp_path, limits=Limits(eyes=20))) as client:
        files = {"first": ("a.png", photo(1)), "second": ("b.png", photo(1, 1))}
        assert client.post("/verify", files=files).json()["verdict"] == "same person"
        enrol(client, "Ann", photo(1)).raise_for_status()
        found = client.post("/identify", files={"photo": ("b.png", photo(1, 1, faces=2))}).json()
        large, small = found["faces"]
        assert (large["verdict"], large["faults"]) == ("known", [])
        assert (small["verdict"], small["person"], small["candidates"]) == ("too poor", None, [])
        assert small["faults"] == ["small: eyes 18 pixels apart: limit 20"]
    with running(made_engine(tmp_path, limits=Limits(eyes=40))) as client:
        assert client.post("/verify", files=files).json()["verdict"] == "too poor"
        fault(enrol(client, "Ben", photo(2)), 422, "eyes 35 pixels apart: limit 40")


def test_no_face_is_a_fault_of_verify_and_an_answer_of_identify(client: httpx.Client) -> None:
    files = {"first": ("a.png", photo(1)), "second": ("b.png", photo(2, faces=0))}
    fault(client.post("/verify", files=files), 422, "second (b.png): no face found in 260 x 150")
    found = client.post("/identify", files={"photo": ("b.png", photo(2, faces=0))})
    assert found.raise_for_status().json()["faces"] == []


def test_people_are_identified_and_strangers_are_unknown(client: httpx.Client) -> None:
    for person, name in ((1, "Ann"), (2, "Ben"), (3, "Cem")):
        added = enrol(client, name, photo(person), photo(person, 1)).raise_for_status().json()
        assert (added["person"], added["added"], added["known"]) == (name, 2, 0)
    for person, name in ((1, "Ann"), (2, "Ben"), (9, None)):
        asked = client.post("/identify?candidates=2", files={"photo": ("x", photo(person, 7))})
        answer = asked.raise_for_status().json()
        [face] = answer["faces"]
        assert face["person"] == name
        assert face["verdict"] == ("unknown" if name is None else "known")
        assert len(face["candidates"]) == 2
        size = answer["gallery"]
        assert (size["people"], size["templates"]) == (3, 6)
        rate = size["false_positive_rate"]
        assert rate["least"] == pytest.approx(1 - (1 - FAR) ** 3)
        assert rate["most"] == pytest.approx(false_positive_rate(FAR, 6))


def test_every_face_of_a_photograph_is_answered(client: httpx.Client) -> None:
    enrol(client, "Ann", photo(1))
    found = client.post("/identify", files={"photo": ("a.png", photo(1, 3, faces=2))}).json()
    assert [face["person"] for face in found["faces"]] == ["Ann", None]


def test_enrolment_is_all_or_none_and_never_of_a_second_face(client: httpx.Client) -> None:
    fault(enrol(client, "Ann", photo(1), photo(1, 1, faces=0)), 422, "photos (1.png): no face")
    fault(enrol(client, "Ann", photo(1), photo(1, 1, faces=2)), 422, "largest=true")
    assert client.get("/people").json() == {"people": [], "total": 0}
    enrol(client, "Ann", photo(1, 1, faces=2), largest="true").raise_for_status()
    assert client.get("/people").json()["people"] == [{"name": "Ann", "templates": 1}]


def test_a_photograph_is_enrolled_once_and_a_second_name_is_warned_of(client: httpx.Client) -> None:
    enrol(client, "Ann", photo(1))
    again = enrol(client, "Ann", photo(1), photo(1, 1)).json()
    assert (again["added"], again["known"], again["resembles"]) == (1, 1, [])
    other = enrol(client, "Anne", photo(1, 2)).json()
    assert [each["person"] for each in other["resembles"]] == ["Ann"]
    assert enrol(client, "Ben", photo(2)).json()["resembles"] == []


@pytest.mark.parametrize(
    "name", ["Ann", "Łucja O'Brien", "a/b", "../x", "50 %", "#1?", "\u5f20\u4f1f"]
)
def test_people_are_listed_and_removed_by_any_name(client: httpx.Client, name: str) -> None:
    from urllib.parse import quote

    enrol(client, name, photo(1)).raise_for_status()
    enrol(client, "Zoe", photo(2)).raise_for_status()
    assert {"name": name, "templates": 1} in client.get("/people").json()["people"]
    gone = client.delete(f"/people/{quote(name, safe='')}").raise_for_status().json()
    assert gone == {"person": name, "removed": 1}
    assert client.get("/people").json()["people"] == [{"name": "Zoe", "templates": 1}]
    fault(client.delete(f"/people/{quote(name, safe='')}"), 404, "Nobody is called")
    found = client.post("/identify", files={"photo": ("a.png", photo(1, 1))}).json()
    assert found["faces"][0]["verdict"] == "unknown"


def test_people_are_given_in_parts(client: httpx.Client) -> None:
    for number in range(4):
        enrol(client, f"P{number}", photo(number))
    part = client.get("/people", params={"start": 1, "count": 2}).json()
    assert ([each["name"] for each in part["people"]], part["total"]) == (["P1", "P2"], 4)
    fault(client.get("/people", params={"count": 0}), 422, "greater than or equal to 1")


def test_crops_are_kept_only_by_choice(tmp_path: Path) -> None:
    for keep in (False, True):
        folder = tmp_path / str(keep)
        folder.mkdir()
        with running(made_engine(folder, keep_crops=keep)) as client:
            assert client.get("/about").json()["keeps_crops"] == keep
            enrol(client, "Ann", photo(1))
        with SqliteGallery(folder / "g") as gallery:
            assert gallery.stats().crops == int(keep)


def test_without_a_gallery_nobody_is_enrolled(tmp_path: Path) -> None:
    with running(made_engine(tmp_path, gallery=False)) as client:
        fault(enrol(client, "Ann", photo(1)), 409, "--gallery")
        fault(client.post("/identify", files={"photo": ("a", photo(1))}), 409, "--gallery")
        fault(client.get("/people"), 409, "--gallery")
        fault(client.delete("/people/Ann"), 409, "--gallery")
        assert client.get("/about").json()["gallery"] is None


def test_a_gallery_that_cannot_be_used_is_no_fault_of_the_request(tmp_path: Path) -> None:
    engine = made_engine(tmp_path)
    with running(engine) as client:
        enrol(client, "Ann", photo(1)).raise_for_status()
        engine.close()  # as if its file had gone away
        fault(enrol(client, "Ben", photo(2)), 503, "A gallery that can be read")
        fault(client.delete("/people/Ann"), 503, "A gallery that can be read")
        fault(client.get("/people"), 503, "A gallery that can be read")
