from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import InputError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.sources import manifest
from components.image_example_gen.splitting import plan
from components.records import parse
from pipeline import planning


def pairs(root: Path, *names: str) -> None:
    for name in names:
        for folder, top in (("x", 256), ("y", 2)):
            path = root / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = sum(map(ord, name + folder))
            pixels = np.random.default_rng(seed).integers(0, top, (6, 8), np.uint8)
            Image.fromarray(pixels).save(path)


def data(root: Path, text: str, name: str = "list.csv", **keys: object) -> DataConfig:
    (root / name).write_text(text, encoding="utf-8")
    return DataConfig(path=root, format="manifest", manifest=name, **keys)


CSV = """image,mask,split,group,weight,span,Scanner,site
x/a.png,y/a.png,train,p1,0.5,3,A,"Ulm, 2"
x/b.png,y/b.png,VAL,p2,,,,
x/c.png,,train,p1,1,3,A,
"""


def test_csv(tmp_path: Path):
    pairs(tmp_path, "a", "b", "c")
    config = data(tmp_path, CSV)
    assert manifest.recognise(tmp_path) == {"format": "manifest", "manifest": "list.csv"}
    listing = sources.listing(config)
    first, second = listing.samples
    assert (first.key, first.split, first.group, first.weight, first.span) == (
        "x/a",
        "train",
        "p1",
        0.5,
        3,
    )
    assert first.attributes == (("Scanner", "A"), ("site", "Ulm, 2"))
    assert (second.key, second.split, second.weight, second.span) == ("x/b", "eval", 1.0, None)
    assert second.attributes == ()
    # c has no mask yet.
    assert listing.unlabelled == 1
    assert len(manifest.files(config)) == 1 + 2 + 3
    labels = manifest.read_labels(first, config, (6, 8))
    np.testing.assert_array_equal(labels.values, np.asarray(Image.open(tmp_path / "y/a.png")))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark(tmp_path: Path, delimiter: str):
    pairs(tmp_path, "a")
    text = "\ufeffImage,MASK\r\nx\\a.png,y/a.png\r\n".replace(",", delimiter)
    assert [one.key for one in sources.listing(data(tmp_path, text)).samples] == ["x/a"]


def test_jsonl(tmp_path: Path):
    pairs(tmp_path, "a", "b")
    rows = [
        {"image": "x/a.png", "mask": "y/a.png", "group": 7, "weight": 2, "span": 4, "dose": 0.5},
        {"image": "x/b.png", "mask": None},
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n\n"
    listing = sources.listing(data(tmp_path, text, "list.jsonl"))
    (sample,) = listing.samples
    assert (sample.group, sample.weight, sample.span) == ("7", 2.0, 4)
    assert sample.attributes == (("dose", "0.5"),)
    assert listing.unlabelled == 1
    assert manifest.recognise(tmp_path) == {"format": "manifest", "manifest": "list.jsonl"}


def test_lines_that_cannot_be_used(tmp_path: Path):
    pairs(tmp_path, "a", "b")
    lines = {
        2: ("x/a.png,y/a.png,train,1,1", ""),
        3: ("x/../x/a.png,y/a.png,train,1,1", "'x/../x/a.png' leads upwards"),
        4: ("/etc/passwd,y/a.png,train,1,1", "'/etc/passwd' is absolute"),
        5: ("gs://bucket/a.png,y/a.png,train,1,1", "is absolute"),
        6: ("x/b.png,../../secret.png,train,1,1", "leads upwards"),
        7: ("x/b.png,~/secret.png,train,1,1", "is absolute"),
        8: ("x/a.png,y/b.png,train,1,1", "names the image of list.csv line 2 again"),
        9: ("x/b.png,y/b.png,sometimes,1,1", "split 'sometimes' is neither train nor eval"),
        10: ("x/c.png,y/b.png,train,0,1", "weight '0' is no number above 0"),
        11: ("x/c.png,y/b.png,train,nan,1", "weight 'nan' is no number above 0"),
        12: ("x/c.png,y/b.png,train,1,-1", "span '-1' is no whole number from 0"),
        13: ("x/c.png,y/b.png,train", "has 3 cells, where the first line has 5"),
        14: (",y/b.png,train,1,1", "'' is no name of a file"),
    }
    text = "\n".join(["image,mask,split,weight,span", *(line for line, _ in lines.values())])
    listing = sources.listing(data(tmp_path, text))
    assert [one.key for one in listing.samples] == ["x/a"]
    found = {one.file: one.reason for one in listing.lone_images}
    expected = {
        f"list.csv line {number}": reason for number, (_, reason) in lines.items() if reason
    }
    assert found.keys() == expected.keys()
    for line, reason in expected.items():
        assert reason in found[line]


def test_jsonl_lines_that_cannot_be_used(tmp_path: Path):
    pairs(tmp_path, "a")
    good = '{"image": "x/a.png", "mask": "y/a.png"}'
    bad = [
        "{",
        "[1]",
        '{"image": 7, "mask": "a"}',
        good[:-1] + ', "weight": true, "k": {}}',
        "[" * 99999,
    ]
    listing = sources.listing(data(tmp_path, "\n".join([good, *bad]), "list.jsonl"))
    assert len(listing.samples) == 1
    assert [one.file for one in listing.lone_images] == [
        f"list.jsonl line {n}" for n in range(2, 7)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\nx/a.png,y/a.png\n", "has no column mask: its first line must name the"),
        ("image,mask,mask\n", "has two columns mask"),
        ("image,mask\n../a.png,y/a.png\n", r"that can be used, such as list\.csv line 2: '\.\./a"),
        (
            'image,mask\n"x/a.png,y/a.png\n',
            r"list\.csv line 2: corrupt CSV, unexpected end of data",
        ),
    ],
)
def test_manifests_that_cannot_be_read(tmp_path: Path, text: str, message: str):
    pairs(tmp_path, "a")
    with pytest.raises(InputError, match=message):
        sources.listing(data(tmp_path, text))
    with pytest.raises(InputError, match=r"data\.manifest: there is no file"):
        sources.listing(DataConfig(path=tmp_path, format="manifest", manifest="no.csv"))


def test_groups_are_never_torn(tmp_path: Path):
    pairs(tmp_path, "a", "b")
    text = "image,mask,split,group\nx/a.png,y/a.png,train,p\nx/b.png,y/b.png,val,p\n"
    config = data(tmp_path, text)
    samples = sources.listing(config).samples
    with pytest.raises(InputError, match="the group 'p' is on both sides"):
        plan(samples, {one.key: one.key for one in samples}, config)


def test_init_takes_the_file(tmp_path: Path):
    names = [f"n{number}" for number in range(24)]
    pairs(tmp_path, *names)
    text = "image,mask,split\n" + "".join(
        f"x/{name}.png,y/{name}.png,{'val' if name.endswith('3') else 'train'}\n" for name in names
    )
    data(tmp_path, text)
    findings = planning.inspect(tmp_path / "list.csv")
    assert findings.data.path == tmp_path
    assert (findings.data.format, findings.data.manifest) == ("manifest", "list.csv")
    assert len(findings.data.classes) == 2
    target = tmp_path / "overtile.yaml"
    planning.write_config(findings, target)
    from pipeline import config

    assert config.load(target).data == findings.data
    # `overtile run --data list.csv` fills in the same.
    found, _ = planning.complete(DataConfig(path=tmp_path / "list.csv"), IngestConfig())
    assert (found.path, found.manifest, found.classes) == (
        tmp_path,
        "list.csv",
        findings.data.classes,
    )
    with pytest.raises(InputError, match="is no manifest"):
        planning.inspect(tmp_path / "x/n0.png")


def test_attributes_and_weights_reach_the_records(tmp_path: Path):
    import tensorflow as tf

    from components.image_example_gen.config import layout
    from tests.components.image_example_gen.conftest import ingest

    pairs(tmp_path, "a", "b")
    keys = {"channels": 1, "dtype": "uint8", "classes": {"none": (0,), "some": (1,)}}
    config = data(tmp_path, CSV, **keys)
    result = ingest(config, IngestConfig(tile=8), tmp_path / "records")
    assert result.counts.used == {"train": 1, "eval": 1}
    assert result.counts.unlabelled == 1
    (file,) = (tmp_path / "records/Split-train").iterdir()
    (record,) = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    features = tf.train.Example.FromString(record).features.feature
    assert features["attribute/Scanner"].bytes_list.value[:] == [b"A"]
    assert features["attribute/site"].bytes_list.value[:] == [b"Ulm, 2"]
    assert features["group"].bytes_list.value[:] == [b"p1"]
    assert parse(record, layout(config, IngestConfig()))["source"].numpy() == b"x/a"


def test_a_table_of_something_else_is_no_manifest(tmp_path: Path):
    # As Kaggle's tables of run lengths: the columns' names fit, but no line names files.
    pairs(tmp_path, "a")
    (tmp_path / "train.csv").write_text("image,mask\na,1 3 10 5\nb,2 2\n")
    assert manifest.recognise(tmp_path) is None
