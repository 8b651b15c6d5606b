from __future__ import annotations

from pathlib import Path

import pytest
from tfx.types import standard_artifacts
from tfx.utils import io_utils

from components.pusher import executor


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model" / "Format-Serving"
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/overtile.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_a_version_holds_the_whole_model(model: Path, tmp_path: Path) -> None:
    path = executor.push(str(model), str(tmp_path / "serving"))
    assert contents(Path(path)) == contents(model)


def test_two_pushes_in_one_second_are_two_versions(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.7)
    pushed = [executor.push(str(model), str(tmp_path / "serving")) for _ in range(2)]
    assert [Path(path).name for path in pushed] == ["1000", "1001"]


def test_a_killed_push_shows_no_version_and_is_cleared_away(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = tmp_path / "serving"
    copy = io_utils.copy_dir

    def killed(source: str, target: str) -> None:
        copy(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(io_utils, "copy_dir", killed)
        with pytest.raises(KeyboardInterrupt):
            executor.push(str(model), str(serving))
    left = [path.name for path in serving.iterdir()]
    assert len(left) == 1
    assert not left[0].isdigit()
    executor.push(str(model), str(serving))
    assert all(path.name.isdigit() for path in serving.iterdir())
    assert len(list(serving.iterdir())) == 1


@pytest.mark.parametrize("blessed", [True, False])
def test_only_a_blessed_model_is_pushed(model: Path, tmp_path: Path, blessed: bool) -> None:
    from tfx.proto import pusher_pb2
    from tfx.utils import proto_utils

    trained, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
    trained.uri = str(model.parent)
    blessing.set_int_custom_property("blessed", int(blessed))
    pushed = standard_artifacts.PushedModel()
    pushed.uri = str(tmp_path / "archive")
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(tmp_path / "serving"))
    )
    executor.Executor().Do(
        {"model": [trained], "model_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    versions = list((tmp_path / "serving").glob("*"))
    assert len(versions) == int(blessed)
    assert pushed.get_int_custom_property("pushed") == int(blessed)
    if blessed:
        assert pushed.get_string_custom_property("pushed_destination") == str(versions[0])
