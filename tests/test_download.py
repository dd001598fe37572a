"""scripts/download.sh against a server that can break off, refuse ranges, and send something else."""

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRAIN = b"label,user\n" + b"".join(b"%d,%d\n" % (i % 2, i * i) for i in range(20_000))


def archive(folder="Frappe_x1/"):
    """A zip of one folder, stored as it is, so that half of it is half of the file."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr(f"{folder}train.csv", TRAIN)
        file.writestr(f"{folder}valid.csv", b"label,user\n1,7\n")
        file.writestr("__MACOSX/._train.csv", b"rubbish")
    return data.getvalue()


@pytest.fixture
def server():
    """Serves `server.files` (name -> bytes); `breaks_after` cuts each answer, `ranges` says whether parts are sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            data = self.server.files.get(self.path.strip("/"))
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(wanted[1]) if wanted and self.server.ranges else 0
            self.server.asked.append(start)
            if data is None or start >= len(data):
                self.send_error(404 if data is None else 416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start:][: self.server.breaks_after])

        def log_message(self, *_):
            pass

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.files, found.ranges, found.breaks_after, found.asked = {}, True, None, []
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def download(server, tmp_path):
    """Runs the script in an empty folder with a list of "kind value [file]" for the name `set`: (exit code, output)."""

    def call(*facts, name="set", path=os.environ["PATH"]):
        address = f"http://127.0.0.1:{server.server_port}"
        lines = [f"set {fact}".replace("url ", f"url {address}/") for fact in facts]
        (tmp_path / "list.txt").write_text("# set url nowhere\n" + "\n".join(lines) + "\n", encoding="utf-8")
        env = {**os.environ, "PATH": path, "RECTRAIN_DOWNLOADS": "list.txt", "no_proxy": "127.0.0.1"}
        words = ["bash", ROOT / "scripts/download.sh", *([name] if name else [])]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    return call


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_an_archive_is_unpacked_and_held_to_its_published_hashes(server, download, tmp_path):
    server.files["set.zip"] = archive()
    facts = ["url set.zip", f"sha256 {sha256(archive())} set.zip", f"md5 {md5(TRAIN)} train.csv"]
    code, said = download(*facts)
    assert code == 0, said
    assert left(tmp_path / "data") == ["set/train.csv", "set/valid.csv"]  # nothing beside it: the hash was published
    assert (tmp_path / "data/set/train.csv").read_bytes() == TRAIN
    code, said = download(*facts)
    assert (code, "there already" in said, len(server.asked)) == (0, True, 1)


def test_a_broken_download_goes_on_where_it_stopped(server, download, tmp_path):
    server.files["set.zip"], server.breaks_after = archive(), 100_000
    code, said = download("url set.zip")
    assert (code, left(tmp_path / "data")) == (2, ["set.download/set.zip.part"])
    assert "broken off (curl: 18). What came is kept; the same command goes on from there." in said
    server.breaks_after = None
    code, said = download("url set.zip")
    assert code == 0, said
    assert server.asked == [0, 100_000]
    assert (tmp_path / "data/set/train.csv").read_bytes() == TRAIN


def test_a_server_that_sends_no_parts_sends_all_once_more(server, download, tmp_path):
    server.files["set.zip"], server.breaks_after, server.ranges = archive(), 100_000, False
    assert download("url set.zip")[0] == 2
    server.breaks_after = None
    code, said = download("url set.zip")
    assert code == 0, said
    assert "from the start once more" in said
    assert (tmp_path / "data/set/train.csv").read_bytes() == TRAIN


def test_a_file_that_had_come_whole_is_not_fetched_again(server, download, tmp_path):
    server.files["set.zip"] = archive()
    (tmp_path / "data/set.download").mkdir(parents=True)
    (tmp_path / "data/set.download/set.zip.part").write_bytes(archive())
    code, said = download("url set.zip")
    assert code == 0, said
    assert left(tmp_path / "data") == ["set.sha256", "set/train.csv", "set/valid.csv"]


@pytest.mark.parametrize(
    ("fact", "told"),
    [
        (f"sha256 {sha256(b'other')} set.zip", "set.zip differs from its published sha256, and was removed"),
        (f"md5 {md5(b'other')} train.csv", "what was unpacked differs from its published md5, and was removed"),
        (f"md5 {md5(b'other')} absent.csv", "what was unpacked differs from its published md5, and was removed"),
    ],
)
def test_another_hash_than_the_published_one_leaves_nothing(server, download, tmp_path, fact, told):
    server.files["set.zip"] = archive()
    code, said = download("url set.zip", fact)
    assert code == 2
    assert told in said
    assert left(tmp_path / "data") == []


def test_without_a_published_hash_the_first_download_is_the_measure(server, download, tmp_path):
    server.files["set.gz"] = gzip.compress(TRAIN, mtime=0)
    code, said = download("url set.gz")
    assert code == 0, said
    assert "no sha256 of set.gz is published; that of this first download is kept in data/set.sha256" in said
    assert (tmp_path / "data/set.sha256").read_text() == f"{sha256(server.files['set.gz'])}  set.gz\n"
    shutil.rmtree(tmp_path / "data/set")
    assert download("url set.gz")[0] == 0  # the same file once more
    shutil.rmtree(tmp_path / "data/set")
    server.files["set.gz"] = gzip.compress(TRAIN + b"1,1\n", mtime=0)
    code, said = download("url set.gz")
    assert (code, left(tmp_path / "data")) == (2, ["set.sha256"])
    assert "set.gz differs from data/set.sha256, its first download" in said


def test_several_files_lie_in_one_folder(server, download, tmp_path):
    server.files |= {"log.gz": gzip.compress(b"log"), "meta.txt": b"meta"}
    code, said = download("url log.gz", "url meta.txt")
    assert code == 0, said
    assert left(tmp_path / "data/set") == ["log.gz", "meta.txt"]


@pytest.mark.parametrize(
    ("file", "data"), [("set.zip", b"<html>log in</html>"), ("set.gz", gzip.compress(TRAIN, mtime=0)[:-9])]
)
def test_what_cannot_be_unpacked_is_not_put_in_place(server, download, tmp_path, file, data):
    server.files[file] = data
    code, said = download(f"url {file}")
    assert code == 2
    assert f"data/set.download/{file} cannot be unpacked" in said
    assert left(tmp_path / "data") == [f"set.download/{file}", f"set.download/{file}.sha256"]  # no hash is recorded


def test_an_address_that_is_gone_is_named(server, download, tmp_path):
    code, said = download("url set.zip")
    assert code == 2
    assert f"http://127.0.0.1:{server.server_port}/set.zip: the server says 404." in said
    assert "list.txt" in said


def test_a_server_that_is_not_there_is_named(server, download):
    server.shutdown()
    server.server_close()
    code, said = download("url set.zip")
    assert code == 2
    assert "broken off (curl: 7)" in said


def test_without_curl_the_script_says_so(download, tmp_path):
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "awk", "sort", "dirname", "basename"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    code, said = download("url set.zip", path=str(tmp_path / "bin"))
    assert (code, said) == (2, "download.sh: needs curl, which is not installed\n")


@pytest.mark.parametrize("name", [None, "other"])
def test_names_are_listed(download, name):
    code, said = download("url set.zip", name=name)
    assert code == 2
    assert said.splitlines()[-1] == "  set"


def test_the_list_has_addresses_and_hashes_of_the_right_shape():
    lines = (ROOT / "scripts/downloads.txt").read_text(encoding="utf-8").splitlines()
    facts = [line.split() for line in lines if line and not line.startswith("#")]
    names = {name for name, kind, *_ in facts if kind == "url"}
    assert {name for name, *_ in facts} == names
    shapes = {"url": r"https?://\S+", "md5": r"[0-9a-f]{32} \S+", "sha256": r"[0-9a-f]{64} \S+"}
    assert all(re.fullmatch(shapes[kind], " ".join(rest)) for _, kind, *rest in facts)
