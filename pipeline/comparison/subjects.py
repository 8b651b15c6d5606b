"""From what a person names to runs: configurations are run first where they have none yet."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from components.errors import InputError, SetAside
from pipeline import config as configuration
from pipeline import options, runs, watching
from pipeline.failures import STOPPED
from pipeline.runs import Result

if TYPE_CHECKING:
    from pipeline.comparison.recorded import Recorded
    from pipeline.config import PipelineConfig

_CONFIGURATIONS = (".yaml", ".yml")
# What a run may have come to for its model to be compared; a refused one is as good to look at.
_JUDGED = ("pushed", "refused", "unchanged")
# The sections that decide what is trained on what; where and when it is pushed does not matter.
_DECISIVE = ("data", "ingest", "model", "train", "augment", "tune")


class Subject(NamedTuple):
    """What is to be compared.

    Attributes:
      argument: as it was named.
      workspace: where its run is, or will be.
      file: the configuration; None where a run was named.
      config: the same, read.
      result: the run that was named; None where a configuration was.
    """

    argument: str
    workspace: Path
    file: Path | None = None
    config: PipelineConfig | None = None
    result: Result | None = None


def parse(arguments: Sequence[str], config: Path | None, settings: Sequence[str]) -> list[Subject]:
    """Finds out what each argument is.

    Args:
      arguments: configurations, ids or files of runs, workspaces.
      config: whose workspace ids are looked up in, beside those of the other arguments; by
        default overtile.yaml, where there is one.
      settings: KEY=VALUE, in place of what configurations say.

    Raises:
      InputError: an argument is none of these, or there are two of one run.
    """
    read: dict[str, Subject] = {}
    workspaces: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if path.suffix in _CONFIGURATIONS:
            loaded, file = options.load(path, list(settings), None)
            read[argument] = Subject(argument, loaded.workspace, file, loaded)
        elif path.is_dir():
            read[argument] = Subject(argument, path.absolute(), result=_newest(path))
        elif path.suffix == ".json" and path.is_file():
            workspace = path.absolute().parent.parent
            read[argument] = Subject(argument, workspace, result=_find([workspace], path.stem))
        else:
            continue
        workspaces.append(read[argument].workspace)
    is_asked = config is not None or options.DEFAULT_CONFIG.exists()
    if len(read) < len(set(arguments)) and is_asked:
        workspaces.insert(0, options.load(config, [], None)[0].workspace)
    for argument in arguments:
        if argument not in read:
            result = _find(workspaces, argument)
            where = next(one for one in workspaces if _has(one, argument))
            read[argument] = Subject(argument, where, result=result)
    found = [read[argument] for argument in arguments]
    named = Counter(_key(one) for one in found)
    for one in found:
        if named[_key(one)] > 1:
            raise InputError(f"{one.argument} is named twice; compare wants different models.")
    return found


def recorded(subject: Subject) -> Recorded | None:
    """The run of a subject; None for a configuration that has none with its data as they are.

    Args:
      subject: of `parse`, or of `train`, which names the run.

    Raises:
      InputError: there is no such data set, or the run that is named left no model.
    """
    if subject.result is not None:
        from pipeline.comparison import recorded as records

        return records.read(subject.result, subject.workspace)
    assert subject.config is not None
    # Before the long imports: mostly there is none.
    past = [one for one in runs.past(subject.workspace) if one.status in _JUDGED]
    config = subject.config
    if not past or config.data.spans:
        return None  # which spans are new is for the run to find out
    from components.image_example_gen.fingerprint import fingerprint
    from pipeline import planning
    from pipeline.comparison import recorded as records

    data, ingest = planning.complete(config.data, config.ingest)
    config = config.model_copy(update={"data": data, "ingest": ingest})
    now = fingerprint(data)
    for result in reversed(past):
        try:
            found = records.read(result, subject.workspace)
        except InputError:
            continue  # of another time: its files were removed
        if found.fingerprints == {now} and _same(config, found.configuration):
            return found
    return None


def train(subject: Subject, settings: Sequence[str]) -> Subject:
    """Runs a configuration as `overtile run` does, in a process of its own.

    Returns:
      The subject with its run.

    Raises:
      InputError: the configuration or the data is at fault, as the run says.
      RuntimeError: the run failed.
      KeyboardInterrupt: it was stopped by hand.
    """
    print(f"{subject.argument} has no run with this data yet: it is run now.", file=sys.stderr)
    code, output = watching.run_to_its_end(
        watching.run_command(str(subject.file), settings),
        True,
        lambda: print("Stopping; the run keeps its last checkpoint.", file=sys.stderr),
    )
    if code == STOPPED:
        raise KeyboardInterrupt
    try:
        told = json.loads(output)
    except ValueError:
        told = {}
    if code in (0, 3):  # a model that the gate refuses can be compared
        # Not just the newest: several configurations may share a workspace.
        return subject._replace(result=_find([subject.workspace], told["run"]))
    sentence = f"{subject.argument}: {told.get('error') or 'its run ended without a word'}"
    if code == 2:
        raise InputError(sentence, [SetAside(**one) for one in told.get("set_aside", [])])
    raise RuntimeError(sentence.rstrip("."))


def names(subjects: Sequence[Subject], found: Sequence[Recorded | None]) -> list[str]:
    """A short name for each, unlike the others."""
    wanted = []
    for subject, one in zip(subjects, found):
        assert one is not None
        file = subject.file or (Path(one.file) if one.file else None)
        name = file.stem if file else subject.argument
        if name == options.DEFAULT_CONFIG.stem:
            name = str(one.training["settings"]["model"]["name"])
        wanted.append(name)
    counted = Counter(wanted)
    return [
        name if counted[name] == 1 else f"{name} {one.run}"
        for name, one in zip(wanted, found)
        if one is not None
    ]


def _key(subject: Subject) -> tuple[Any, ...]:
    if subject.result is not None:
        return subject.workspace.resolve(), subject.result.run
    assert subject.file is not None
    return (subject.file.resolve(),)


def _has(workspace: Path, run: str) -> bool:
    return any(one.run == run for one in runs.past(workspace))


def _find(workspaces: Sequence[Path], run: str) -> Result:
    for workspace in workspaces:
        for result in runs.past(workspace):
            if result.run == run:
                return result
    where = ", ".join(str(one) for one in dict.fromkeys(workspaces))
    looked = f"no run of that id in {where}" if where else "no configuration whose runs to look in"
    raise InputError(
        f"{run} is neither a configuration (.yaml), nor the id of a run or a workspace: there is "
        f"{looked}."
    )


def _newest(workspace: Path) -> Result:
    judged = [one for one in runs.past(workspace) if one.status in _JUDGED]
    if not judged:
        raise InputError(f"{workspace} is no workspace with a run that came to a verdict.")
    return judged[-1]


def _same(config: PipelineConfig, before: Mapping[str, Any]) -> bool:
    """Whether a run had this configuration, as far as it decides what is trained."""
    try:
        was = configuration.parse(dict(before), Path("/"), "the run's configuration")
    except InputError:
        return False  # an older version's, with keys that there are no more
    return all(_section(config, name) == _section(was, name) for name in _DECISIVE)


def _section(config: PipelineConfig, name: str) -> dict[str, Any]:
    values: dict[str, Any] = getattr(config, name).model_dump(mode="json")
    values.pop("colours", None)
    return values
