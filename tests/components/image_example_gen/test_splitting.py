from __future__ import annotations

import hashlib
from typing import Any

import pytest

from components.errors import InputError
from components.image_example_gen.config import DataConfig, SplitConfig
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources.contract import Reference, Sample
from components.image_example_gen.splitting import Plan, plan, side_by_hash
from components.records import EVAL, TRAIN


def samples(*keys: str) -> list[Sample]:
    return [Sample(key, Reference(f"{key}.png"), Reference(f"m/{key}.png")) for key in keys]


def planned(keys: list[str], digests: dict[str, str] | None = None, **data: Any) -> Plan:
    """The plan for images that are all different, unless `digests` says otherwise."""
    contents = {key: f"content of {key}" for key in keys} | (digests or {})
    return plan(samples(*keys), contents, DataConfig(**data))


def sides(result: Plan) -> dict[str, str]:
    return {place.sample.key: place.split for place in result.placed}


MANY = [f"slide{number % 37}_tile{number}" for number in range(500)]


def test_the_hash_is_the_documented_one():
    # sha256("0:a") as a fraction of 2^256 against the share of 0.2.
    fraction = int(hashlib.sha256(b"0:a").hexdigest(), 16) / 2**256
    assert side_by_hash("a", SplitConfig()) == (EVAL if fraction < 0.2 else TRAIN)
    assert side_by_hash("a", SplitConfig(eval_share=fraction + 0.01)) == EVAL
    assert side_by_hash("a", SplitConfig(eval_share=fraction - 0.01)) == TRAIN


def test_the_side_and_group_that_the_data_set_gives_decide():
    given = [
        Sample(key, Reference(f"{key}.png"), Reference(f"m/{key}.png"), split=side, group=group)
        for key, side, group in (("a", EVAL, "p"), ("b", TRAIN, "q"), ("c", "", "q"))
    ]
    digests = {"a": "1", "b": "2", "c": "3"}
    # By its hash the group q trains, so that c, of which nothing is said, may join b.
    assert side_by_hash("q", SplitConfig()) == TRAIN
    result = plan(given, digests, DataConfig())
    assert sides(result) == {"a": EVAL, "b": TRAIN, "c": TRAIN}
    assert [place.group for place in result.placed] == ["p", "q", "q"]
    torn = [given[0], given[1]._replace(group="p")]
    with pytest.raises(InputError, match="group 'p' is on both sides"):
        plan(torn, digests, DataConfig())


def test_lists_do_not_tear_groups_that_the_data_set_gives():
    given = [
        sample._replace(group=group) for sample, group in zip(samples("a", "b", "c", "d"), "ppqq")
    ]
    digests = {key: key for key in "abcd"}
    whole = DataConfig(split=SplitConfig(train=("a..b",), eval=("c..d",)))
    assert sides(plan(given, digests, whole)) == {"a": TRAIN, "b": TRAIN, "c": EVAL, "d": EVAL}
    torn = DataConfig(split=SplitConfig(train=("a..c",), eval=("d",)))
    with pytest.raises(InputError, match="the group 'q' is on both sides, 'c' in train and 'd'"):
        plan(given, digests, torn)
    # One film is all there is, so one end of it may evaluate.
    film = [sample._replace(group="p") for sample in given]
    assert sides(plan(film, digests, torn)) == {"a": TRAIN, "b": TRAIN, "c": TRAIN, "d": EVAL}


def test_about_the_share_evaluates():
    # Of 500 images 100 should, give or take three standard deviations: sqrt(500*.2*.8) = 8.9.
    count = list(sides(planned(MANY)).values()).count(EVAL)
    assert 73 <= count <= 127


def test_no_group_is_on_both_sides():
    result = planned(MANY, group="^(slide[0-9]+)_")
    groups: dict[str, set[str]] = {}
    for place in result.placed:
        groups.setdefault(place.group, set()).add(place.split)
    assert len(groups) == 37
    assert all(len(found) == 1 for found in groups.values())
    assert set.union(*groups.values()) == {TRAIN, EVAL}


def test_adding_images_moves_none():
    for group in (None, "^(slide[0-9]+)_"):
        before = sides(planned(MANY[:250], group=group))
        after = sides(planned(MANY, group=group))
        assert before == {key: after[key] for key in before}


def test_copies_share_a_side():
    copies = dict.fromkeys(MANY[:50], "one content")
    result = sides(planned(MANY, copies))
    assert len({result[key] for key in MANY[:50]}) == 1


def test_a_copy_in_train_of_an_image_in_eval_is_left_out():
    result = planned(
        ["a", "b", "c"], {"a": "twin", "c": "twin"}, split={"train": ["a", "b"], "eval": ["c"]}
    )
    assert sides(result) == {"b": TRAIN, "c": EVAL}
    assert [(sample.key, twin.key) for sample, twin in result.twins] == [("a", "c")]


def test_copies_in_groups_of_different_sides():
    groups = [f"p{number}" for number in range(40)]
    side = {group: side_by_hash(group, SplitConfig()) for group in groups}
    trains = next(group for group in groups if side[group] == TRAIN)
    evaluates = next(group for group in groups if side[group] == EVAL)
    result = planned(
        [f"{group}_0" for group in groups],
        {f"{trains}_0": "twin", f"{evaluates}_0": "twin"},
        group="(p[0-9]+)_",
    )
    assert [(one.key, other.key) for one, other in result.twins] == [
        (f"{trains}_0", f"{evaluates}_0")
    ]
    assert f"{trains}_0" not in sides(result)


def test_ranges_go_by_numbers_and_patterns_by_letters():
    keys = ["f1", "f2", "f9", "f10", "f11", "x/1"]
    result = planned(keys, split={"train": ["f2..f10"], "eval": ["x/*", "f11"]})
    assert sides(result) == {"f2": TRAIN, "f9": TRAIN, "f10": TRAIN, "f11": EVAL, "x/1": EVAL}
    assert result.unused == ["f1"]


def test_natural_order():
    keys = ["b", "a10", "a2", "a2b", "10", "9"]
    assert sorted(keys, key=natural_key) == ["9", "10", "a2", "a2b", "a10", "b"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"split": {"train": ["a*"], "eval": ["z*"]}},
            r"data\.split\.eval: 'z\*' names no image; give a pattern on the images' names, "
            r"such as 'a1', or a range",
        ),
        (
            {"split": {"train": ["a*"], "eval": ["a2"]}},
            r"the image 'a2' is in both train and eval",
        ),
        (
            {"group": "(x)", "split": {}},
            r"data\.group: '\(x\)' finds no group in the image 'a1'",
        ),
        (
            {"group": "(.)", "split": {"train": ["a1"], "eval": ["a2"]}},
            r"the group 'a' is on both sides, 'a1' in train and 'a2' in eval",
        ),
        (
            {"split": {"eval_share": 1e-9}},
            r"none of the 3 images is left to evaluate on, all go to train: add images",
        ),
        (
            {"split": {"eval_share": 1 - 1e-9}},
            r"none of the 3 images is left to train on, all go to eval",
        ),
    ],
)
def test_mistakes_are_named(data: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        planned(["a1", "a2", "b1"], **data)
