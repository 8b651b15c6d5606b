import pickle
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import BaseModel

from components import places
from components.errors import InputError
from components.places import Place, files_below, is_remote, place
from components.remote import faults
from tests.filesystems import CHANGED, MemoryFileSystem, TreeFileSystem

FILES = {
    "images/a.png": b"12345",
    "images/deep/b[1].png": b"1",
    "images/.hidden/c.png": b"1",
    "images/empty.png": b"",
    "notes.txt": "grün".encode(),
}


@pytest.fixture(params=["mem", "tree", "s3", "gs"])
def root(request: pytest.FixtureRequest, bucket_folder: Callable[[str], Path]) -> Iterator[Path]:
    """A folder on an object store, and one on a filesystem that has folders."""
    own = {"mem": MemoryFileSystem, "tree": TreeFileSystem}
    if request.param not in own:
        folder = bucket_folder(request.param)
        for name, content in FILES.items():
            (folder / name).write_bytes(content)
        yield folder
        return
    system = own[request.param]
    top = f"{request.param}://bucket/data"
    system.files.update({f"{top}/{name}": content for name, content in FILES.items()})
    yield place(top)
    system.files.clear()


def test_names_are_those_of_pathlib() -> None:
    there, here = place("gs://bucket/data/x/a.tar.gz"), Path("/bucket/data/x/a.tar.gz")
    for name in ("name", "stem", "suffix"):
        assert getattr(there, name) == getattr(here, name)
    assert str(there) == there.as_posix() == "gs://bucket/data/x/a.tar.gz"
    assert str(there.parent) == "gs://bucket/data/x"
    assert [str(folder) for folder in there.parents] == [
        "gs://bucket/data/x",
        "gs://bucket/data",
        "gs://bucket",
    ]
    assert there.parts == ("gs://bucket", "data", "x", "a.tar.gz")
    assert str(there.with_suffix(".png")) == "gs://bucket/data/x/a.tar.png"
    assert str(there.with_name("b")) == "gs://bucket/data/x/b"
    assert str(there.parent / "y" / "z.png") == "gs://bucket/data/x/y/z.png"
    assert there.relative_to(place("gs://bucket/data")).as_posix() == "x/a.tar.gz"


def test_places_compare_sort_and_travel() -> None:
    one, other = place("gs://b/1"), place("gs://b/2")
    assert one == place("gs://b/x/../1")
    assert one != Path("gs://b/1")
    assert sorted([other, one]) == [one, other]
    assert len({one, place("gs://b/1")}) == 1
    assert pickle.loads(pickle.dumps(one)) == one


def test_dots_do_not_lead_out_of_a_bucket() -> None:
    assert str(place("gs://bucket/data") / "../../../other") == "gs://bucket/other"
    assert not (place("gs://bucket/data") / "../other").is_relative_to(place("gs://bucket/data"))
    assert not place("gs://bucket/x").is_relative_to(place("s3://bucket"))
    assert place("gs://bucket").parent == place("gs://bucket")


def test_what_is_no_url_is_a_path() -> None:
    assert place("/data/x") == Path("/data/x")
    assert place("file:///data/x") == Path("/data/x")
    assert not is_remote(place("data:x"))
    assert str(place("hdfs:///user/x").parent) == "hdfs:///user"


def test_relative_paths_start_at_a_folder_and_urls_do_not() -> None:
    assert places.absolute(Path("x/../y"), Path("/top")) == Path("/top/y")
    assert places.absolute(place("gs://b/x"), Path("/top")) == place("gs://b/x")


def test_a_configuration_takes_both_and_writes_them_as_text() -> None:
    class Section(BaseModel):
        path: Place | None = None

    for text in ("data/x", "gs://bucket/x"):
        section = Section(path=text)
        assert section.path == place(text)
        assert Section.model_validate_json(section.model_dump_json()) == section
    with pytest.raises(ValueError, match="write a path"):
        Section(path=3)


def test_files_are_found_below_a_folder_but_hidden_ones(root: Path) -> None:
    found = {file.relative_to(root).as_posix() for file in files_below(root)}
    assert found == {"images/a.png", "images/deep/b[1].png", "images/empty.png", "notes.txt"}
    without = files_below(root, without=root / "images")
    assert [file.name for file in without] == ["notes.txt"]


def test_a_folder_lists_what_is_directly_below(root: Path) -> None:
    names = sorted(path.name for path in root.iterdir())
    assert names == ["images", "notes.txt"]
    assert sorted(path.name for path in (root / "images").iterdir()) == [
        ".hidden",
        "a.png",
        "deep",
        "empty.png",
    ]


def test_files_and_folders_are_told_apart(root: Path) -> None:
    kinds = {
        name: ((root / name).is_dir(), (root / name).is_file(), (root / name).exists())
        for name in ("images", "images/deep", "notes.txt", "images/empty.png", "image", "nothing")
    }
    assert kinds == {
        "images": (True, False, True),
        "images/deep": (True, False, True),
        "notes.txt": (False, True, True),
        "images/empty.png": (False, True, True),
        "image": (False, False, False),
        "nothing": (False, False, False),
    }


def test_sizes_and_times_are_known_of_a_listed_and_of_a_named_file(root: Path) -> None:
    listed = next(file for file in files_below(root) if file.name == "a.png")
    for file in (listed, root / "images/a.png"):
        assert file.stat().st_size == 5
        changed = file.stat().st_mtime_ns / 1e9
        assert changed == CHANGED or abs(changed - time.time()) < 600


def test_a_bracket_in_a_name_is_no_pattern(root: Path) -> None:
    file = root / "images/deep/b[1].png"
    assert file.is_file()
    assert file.read_bytes() == b"1"
    assert (file.parent / "[x]").is_dir() is False


def test_files_are_read_and_written(root: Path) -> None:
    assert (root / "notes.txt").read_text() == "grün"
    with (root / "images/a.png").open("rb") as file:
        assert (file.read(2), file.seek(-1, 2), file.read()) == (b"12", 4, b"5")
    target = root / "new" / "file.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("é")
    assert target.read_bytes() == "é".encode()
    moved = target.replace(root / "moved.txt")
    assert (target.exists(), moved.read_text()) == (False, "é")
    moved.unlink()
    assert not moved.exists()


def test_a_missing_file_says_so_as_pathlib_does(root: Path) -> None:
    for act in (lambda path: path.stat(), lambda path: path.read_bytes()):
        with pytest.raises(FileNotFoundError) as caught:
            act(root / "images/z.png")
        assert caught.value.strerror == "No such file or directory"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("foo://bucket/x", "there is no filesystem foo://, but gs://, s3://, azfs://, hdfs://"),
        ("hdfs://x/y", "--hdfs_host, --hdfs_port and --hdfs_user"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        place(url).is_dir()


@pytest.fixture
def s3(bucket_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on S3, where Beam does not try again: it would for nine minutes."""

    def sleep(_: object, seconds: float) -> None:
        pytest.fail(f"Beam wanted to wait for {seconds} s and ask again")

    monkeypatch.setattr("apache_beam.utils.retry.Clock.sleep", sleep)
    return bucket_folder("s3")


def refuse(monkeypatch: pytest.MonkeyPatch, operation: str, code: str, status: int) -> None:
    """Lets S3 answer one operation with an error."""
    from botocore.client import BaseClient
    from botocore.exceptions import ClientError

    call = BaseClient._make_api_call

    def answer(self: object, name: str, given: object) -> object:
        if name == operation:
            metadata = {"HTTPStatusCode": status}
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, name)
        return call(self, name, given)

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)


def test_a_bucket_that_is_missing_is_named(s3: Path) -> None:
    with pytest.raises(InputError, match="s3://nowhere/x: there is no bucket nowhere"):
        place("s3://nowhere/x").is_dir()


@pytest.mark.parametrize(
    ("method", "given"),
    [("is_dir", ()), ("is_file", ()), ("stat", ()), ("read_bytes", ()), ("write_bytes", (b"x",))],
)
def test_a_store_that_does_not_answer_is_said_so(
    method: str, given: tuple[bytes, ...], s3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="s3://b/x cannot be reached: Could not connect"):
        getattr(place("s3://b/x"), method)(*given)


def test_a_file_that_cannot_be_fetched_is_no_bad_file(
    s3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (s3 / "x").write_bytes(b"x")
    words = r"x may not be read \(.*ExpiredToken.*: run `aws config"
    with (s3 / "x").open("rb") as stream:  # one that is read piece by piece
        refuse(monkeypatch, "GetObject", "ExpiredToken", 400)
        with pytest.raises(InputError, match=words):
            stream.read(1)
    refuse(monkeypatch, "HeadObject", "ExpiredToken", 400)
    with pytest.raises(InputError, match=words):
        (s3 / "x").read_bytes()


def test_s3_without_credentials_is_refused_at_once(
    s3: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"may not be read \(Unable to locate.*: run `aws configu"):
        place("s3://bucket/x").is_dir()


@pytest.mark.parametrize("name", ["timeout/x.png", "connectomics/403.png", "Credential.png"])
def test_a_missing_file_is_missing_whatever_its_name(name: str, s3: Path) -> None:
    with pytest.raises(FileNotFoundError):
        (s3 / name).read_bytes()
    assert not (s3 / name).exists()


def test_an_empty_file_needs_no_right_to_abort(s3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "AbortMultipartUpload", "AccessDenied", 403)
    (s3 / "empty").write_bytes(b"")
    assert (s3 / "empty").read_bytes() == b""
    refuse(monkeypatch, "PutObject", "AccessDenied", 403)
    with pytest.raises(InputError, match="may not be read"):
        (s3 / "other").write_bytes(b"")


def test_one_client_serves_many_threads(s3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    made = []
    client = boto3.session.Session.client

    def count(*args: object, **keys: object) -> object:
        made.append(keys["service_name"])
        return client(*args, **keys)

    monkeypatch.setattr(boto3.session.Session, "client", count)
    monkeypatch.setenv("AWS_PROFILE_OF_THIS_TEST", "new")  # other variables, another client
    contents = [bytes([number]) * 100_000 for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: (s3 / f"{n:02}").write_bytes(contents[n]), range(12)))
        files = sorted(s3.walk())
        assert list(pool.map(lambda file: file.read_bytes(), files)) == contents
    assert made == ["s3"]


def test_google_gets_one_client_a_thread(
    bucket_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.cloud import storage

    made = []
    create = storage.Client.create_anonymous_client

    def count() -> object:
        made.append(threading.get_ident())
        return create()

    folder = bucket_folder("gs")
    monkeypatch.setattr(storage.Client, "create_anonymous_client", count)
    monkeypatch.setenv("GOOGLE_OF_THIS_TEST", "new")
    for number in range(5):
        (folder / str(number)).write_bytes(b"x")
    assert made == [threading.get_ident()]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: (folder / "1").read_bytes()).result() == b"x"
    assert len(made) == 2


def test_google_without_credentials_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    def nobody(**_: object) -> None:
        raise DefaultCredentialsError("none")

    monkeypatch.setattr(google.auth, "default", nobody)
    monkeypatch.setattr(faults, "_has_google_credentials", False)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    with pytest.raises(InputError, match=r"gs://b/x needs credentials: run `gcloud auth"):
        place("gs://b/x").is_dir()


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (PermissionError("403 Forbidden: no"), r"may not be read \(403 Forbidden: no\): run `aws"),
        (RuntimeError("NoSuchBucket: x"), "there is no bucket b"),
        (ConnectionError("Connection refused"), r"cannot be reached: Connection refused\."),
        (NameError("name 'boto3' is not defined"), r"install `boto3`"),
    ],
)
def test_why_a_store_refuses_is_said_in_a_sentence(cause: Exception, words: str) -> None:
    from apache_beam.io.filesystem import BeamIOError

    error = BeamIOError("List failed", {"s3://b/x": BeamIOError("inner", {"s3://b": cause})})
    found = faults.fault(place("s3://b/x"), error)  # type: ignore[arg-type]
    assert isinstance(found, InputError)
    assert re.search(words, str(found))
