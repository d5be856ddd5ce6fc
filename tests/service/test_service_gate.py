"""Who may ask and how much: hosts, origins, tokens, sizes, places, time; and what is counted."""

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from service_made import fault, made_engine, photo, running

from pocketface.errors import RecipeError
from pocketface.service.address import listen
from pocketface.service.bounds import Bounds

TOKEN = "a-token-of-some-length"
FILES = {"first": ("a.png", photo(1)), "second": ("b.png", photo(1, 1))}


def test_another_host_or_origin_is_refused_on_loopback(tmp_path: Path) -> None:
    with running(made_engine(tmp_path)) as client:
        port = client.base_url.port
        for host in ("evil.example", "evil.example:80", f"127.0.0.1.evil.example:{port}", ""):
            fault(client.get("/people", headers={"Host": host}), 403, "for the host")
        for host in (f"localhost:{port}", f"[::1]:{port}", "127.0.0.1", "LOCALHOST"):
            client.get("/people", headers={"Host": host}).raise_for_status()
        own = f"http://127.0.0.1:{port}"
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}", own + "0"):
            answer = client.post("/verify", files=FILES, headers={"Origin": origin})
            fault(answer, 403, "comes from a page of")
            fault(client.delete("/people/A", headers={"Origin": origin}), 403, "a page of")
        foreign = client.post("/verify", files=FILES, headers={"Sec-Fetch-Site": "cross-site"})
        fault(foreign, 403, "another site")
        same = {"Origin": own, "Sec-Fetch-Site": "same-origin"}
        client.post("/verify", files=FILES, headers=same).raise_for_status()


def test_a_token_is_needed_for_all_that_tells_of_people(tmp_path: Path) -> None:
    with running(made_engine(tmp_path), TOKEN) as client:
        asked = [
            ("GET", "/people"),
            ("GET", "/about"),
            ("GET", "/metrics"),
            ("POST", "/verify"),
            ("POST", "/identify"),
            ("POST", "/enroll"),
            ("DELETE", "/people/Ann"),
            ("GET", "/nothing"),
        ]
        wrong = (
            "",
            "Bearer",
            f"Bearer {TOKEN}x",
            f"Basic {TOKEN}",
            f"Bearer {TOKEN[:-1]}",
        )
        for method, path in asked:
            for given in (None, *wrong):
                headers = {} if given is None else {"Authorization": given}
                answer = client.request(method, path, headers=headers)
                fault(answer, 401, "token")
                assert answer.headers["www-authenticate"] == "Bearer"
        right = {"Authorization": f"bearer {TOKEN}"}
        client.post("/verify", files=FILES, headers=right).raise_for_status()
        # With the token any name of the host will do: a proxy may stand in between.
        client.get("/people", headers={**right, "Host": "faces.example"}).raise_for_status()
        for path in ("/", "/page.css", "/page.js", "/health", "/openapi.json"):
            client.get(path).raise_for_status()
        assert client.get("/openapi.json").json()["components"]["securitySchemes"]


def test_a_body_that_is_too_large_is_refused_in_either_framing(tmp_path: Path) -> None:
    bounds = Bounds(threads=1, waiting=1, body_bytes=200_000)
    with running(made_engine(tmp_path, bounds=bounds)) as client:
        large = {"first": ("a.png", bytes(300_000)), "second": ("b.png", b"")}
        fault(client.post("/verify", files=large), 413, "more than 200,000 bytes")
        pieces = (bytes(50_000) for _ in range(7))
        chunked = client.post(
            "/verify", content=pieces, headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        fault(chunked, 413, "more than 200,000 bytes")
        client.post("/verify", files=FILES).raise_for_status()


def test_a_body_that_never_ends_is_given_up(tmp_path: Path) -> None:
    bounds = Bounds(threads=1, waiting=1, seconds=0.3)
    with (
        running(made_engine(tmp_path, bounds=bounds)) as client,
        socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as slow,
    ):
        slow.sendall(b"POST /verify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc")
        slow.settimeout(20)
        assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_the_queue_is_bounded_and_health_is_told_meanwhile(tmp_path: Path) -> None:
    go = threading.Event()
    bounds = Bounds(threads=1, waiting=1)
    with running(made_engine(tmp_path, bounds=bounds, wait=lambda: go.wait(30))) as client:
        with ThreadPoolExecutor(3) as pool:

            def ask() -> httpx.Response:
                return httpx.post(client.base_url.join("/verify"), files=FILES, timeout=60)

            under_way = [pool.submit(ask) for _ in range(2)]
            for _ in range(500):
                if "pocketface_requests_admitted 2" in client.get("/metrics").text:
                    break
                time.sleep(0.01)
            answer = client.post("/verify", files=FILES)
            fault(answer, 503, "2 requests are under way")
            assert int(answer.headers["retry-after"]) >= 1
            fault(client.get("/people"), 503, "under way")
            assert client.get("/health").json()["status"] == "ok"
            go.set()
            assert [each.result().status_code for each in under_way] == [200, 200]
        client.post("/verify", files=FILES).raise_for_status()


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    go = threading.Event()
    bounds = Bounds(threads=1, waiting=1, seconds=0.3)
    with running(made_engine(tmp_path, bounds=bounds, wait=lambda: go.wait(30))) as client:
        answer = client.post("/verify", files=FILES)
        fault(answer, 503, "not ready after 0.3 s")
        assert "retry-after" in answer.headers
        go.set()
        for _ in range(100):  # the thread has to end what it had begun
            if client.post("/verify", files=FILES).status_code == 200:
                break
            time.sleep(0.05)
        client.post("/verify", files=FILES).raise_for_status()


def test_figures_count_every_answer_and_name_nobody(tmp_path: Path) -> None:
    with running(made_engine(tmp_path)) as client:
        client.post("/enroll", data={"name": "Secret"}, files={"photos": ("a", photo(1))})
        client.post("/verify", files=FILES)
        client.post("/verify", files=FILES)
        client.post("/verify")
        client.delete("/people/Nobody%20here")
        client.get("/elsewhere/private")
        client.request("BREW", "/verify")
        text = client.get("/metrics").text
    for line in (
        'pocketface_requests_total{method="POST",path="/verify",status="200"} 2',
        'pocketface_requests_total{method="POST",path="/verify",status="415"} 1',
        'pocketface_requests_total{method="DELETE",path="/people/{name}",status="404"} 1',
        'pocketface_requests_total{method="GET",path="other",status="404"} 1',
        'pocketface_requests_total{method="other",path="/verify",status="405"} 1',
        "pocketface_requests_in_flight 1",
        "pocketface_gallery_people 1",
        "pocketface_gallery_templates 1",
        'pocketface_request_seconds_count{path="/verify"} 4',
    ):
        assert line in text.splitlines()
    assert not re.search("Secret|Nobody|private|elsewhere", text)
    counts = [int(n) for n in re.findall(r'seconds_bucket{path="/verify",le="[^"]+"} (\d+)', text)]
    assert counts == sorted(counts)
    assert counts[-1] == 4


def test_every_answer_carries_what_browsers_must_keep_to(tmp_path: Path) -> None:
    with running(made_engine(tmp_path)) as client:
        for answer in (
            client.get("/"),
            client.get("/people"),
            client.get("/no"),
            client.post("/x"),
        ):
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_beyond_loopback_a_token_is_required(host: str) -> None:
    with pytest.raises(RecipeError, match="a token is required"):
        listen(host or "0.0.0.0", 0, None)
    with pytest.raises(RecipeError, match="at least 16"):
        listen(host, 0, "short")
    with pytest.raises(RecipeError, match="at least 16"):
        listen(host, 0, "a token with spaces in it")
    listen("0.0.0.0", 0, TOKEN).close()


def test_an_address_that_cannot_be_had_is_told() -> None:
    with (
        listen("127.0.0.1", 0, None) as taken,
        pytest.raises(RecipeError, match="Choose another --port"),
    ):
        listen("127.0.0.1", taken.getsockname()[1], None)
    with pytest.raises(RecipeError, match="0 to 65535"):
        listen("127.0.0.1", 70000, None)
    with pytest.raises(RecipeError, match="no address of this machine"):
        listen("no.such.host.invalid", 0, None)
