from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest
import yaml

from components.errors import SetAside
from components.evaluation import bootstrap
from components.image_example_gen.duplicates import Near
from components.run_report import images, page
from components.run_report.facts import Pushed, ServingCheck
from components.run_report.looks import Look
from tests.components.run_report.conftest import MakeFacts
from tests.components.run_report.parsing import Page

LATENCY = {
    "name": "latency", "value": 812.5, "limit": 500, "passed": False,
    "sentence": "the median answer takes 812 ms, more than 500",
}  # fmt: skip
EQUAL = {
    "name": "equal", "value": 0, "limit": 0, "passed": True,
    "sentence": "gRPC and REST answer as the model does",
}  # fmt: skip


def words(text: str) -> str:
    """The text of a page without its tags, its white space made even."""
    body = text.partition("</style>")[2]
    return " ".join(
        re.sub(r"<wbr>|<[^>]*>", lambda tag: "" if tag[0] == "<wbr>" else " ", body).split()
    )


def test_a_pushed_model(make_facts: MakeFacts) -> None:
    told = make_facts()
    read = Page(page.render(told))
    assert read.text("h1") == "Pushed as version 1795"
    assert read.text("title") == "cells: Pushed as version 1795"
    for element in read.all("data", class_="iou"):
        name = element.attributes["data-metric"]
        value = told.evaluation.metrics[name]
        assert float(element.attributes["value"]) == value
        assert element.text == f"{value:.3f}"
    assert len(read.all("data", class_="iou")) == 4  # three classes and the mean


def test_numbers_follow_from_the_facts(make_facts: MakeFacts) -> None:
    told = make_facts()
    text = words(page.render(told))
    low, high = told.intervals["mean_iou"]
    assert f"{low:.3f} to {high:.3f}" in text
    # Each of five images has 48 x 48 pixels, of which a corner of 6 x 6 is ignored: 1.5625 %.
    assert "ignored pixels 0.04 % 1.56 %" in text.replace("\u202f", " ")
    share = told.confusion[0, 0] / told.confusion[0].sum()
    assert f"{100 * share:.1f}" in text
    # The last of the epochs has a loss of 1/7, the sixth was exported.
    assert "step 600 of 700" in text
    assert "learning rate 0.00316 (searched)" in text


def test_a_refused_model_says_first_which_number_fell_short(make_facts: MakeFacts) -> None:
    told = make_facts(floor=0.95)
    read = Page(page.render(told))
    assert read.text("h1") == "Not pushed"
    value = told.evaluation.metrics["mean_iou"]
    assert read.text("ul", class_="reasons") == (
        f"Mean IoU {value:.3f} is below the floor of 0.950 (evaluate.min_mean_iou)."
    )
    order = [element.tag for element in read.elements]
    assert order.index("h1") < order.index("h2")


def test_a_model_that_does_not_answer_well_is_refused_for_that(make_facts: MakeFacts) -> None:
    check = ServingCheck(False, [LATENCY, EQUAL])
    text = page.render(make_facts(serving_check=check, pushed=None))
    assert Page(text).text("ul", class_="reasons") == (
        "The median answer takes 812 ms, more than 500."
    )
    assert "gRPC and REST answer as the model does 0 0 ✓ passed" in words(text)
    bare = Page(page.render(make_facts(serving_check=ServingCheck(False, []), pushed=None)))
    assert "did not answer as a server" in bare.text("ul", class_="reasons")


def test_whatever_comes_from_outside_is_text(make_facts: MakeFacts) -> None:
    bad = "<script>alert(1)</script>"
    sly = 'x" onload="alert(2)'
    told = make_facts(
        classes=("background", bad, sly),
        set_aside=[SetAside(f"images/{bad}.png", f"{sly} & more")],
        pushed=Pushed(f"/serving/{bad}; rm -rf ~/7", "7"),
        serving_check=ServingCheck(True, [{**EQUAL, "sentence": bad}]),
    )
    configuration = {**told.configuration, "name": bad, "data": {"path": sly, "colours": {}}}
    told = dataclasses.replace(
        told,
        run=bad,
        configuration=configuration,
        configuration_text=yaml.safe_dump(configuration),
        chosen=dataclasses.replace(
            told.chosen,
            groups=[
                (title, [dataclasses.replace(image, key=(0, bad)) for image in group[:1]])
                for title, group in told.chosen.groups
            ],
        ),
        panels={(0, bad): next(iter(told.panels.values()))},
        sizes={(0, bad): (48, 48)},
        reductions={(0, bad): 1},
    )
    read = Page(page.render(told))
    assert not read.all("script")
    assert not [name for one in read.elements for name in one.attributes if name.startswith("on")]
    (row,) = [one.text for one in read.all("tr") if "more" in one.text and "images/" in one.text]
    assert f"images/{bad}.png" in row
    assert f"{sly} & more" in row
    assert yaml.safe_load(read.all("pre", id="configuration")[0].text) == configuration
    # A shell that the command is pasted into sees one word.
    assert "--model '/serving/<script>alert(1)</script>; rm -rf ~/7'" in read.text(
        "pre", class_="wrap"
    )


def test_a_name_that_is_no_utf8_is_still_written(make_facts: MakeFacts) -> None:
    told = make_facts(set_aside=[SetAside("caf\udce9.png", "truncated")])
    assert b"caf?.png" in page.render(told).encode("utf-8", "replace")


def test_nothing_is_asked_of_anybody(make_facts: MakeFacts) -> None:
    text = page.render(make_facts())
    read = Page(text)
    for element in read.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = element.attributes.get(name, "#")
            assert value.startswith(("#", "data:")), f"{element.tag} {name}={value[:80]}"
    assert not re.search(r"url\((?!')|url\('(?!data:)|@import|https?://", text)
    policy = read.all("meta", http_equiv="Content-Security-Policy")[0].attributes["content"]
    assert "default-src 'none'" in policy


def test_those_who_cannot_see_it_are_told(make_facts: MakeFacts) -> None:
    read = Page(page.render(make_facts()))
    levels = [int(one.tag[1]) for one in read.elements if re.fullmatch("h[1-6]", one.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(image.attributes["alt"] for image in read.all("img"))
    assert all(header.attributes.get("scope") for header in read.all("th"))
    assert all(one.attributes.get("aria-label") for one in read.all("div", role="img"))
    assert read.all("html", lang="en")
    identifiers = {one.attributes["id"] for one in read.elements if "id" in one.attributes}
    links = {link.attributes["href"] for link in read.all("a")}
    assert {link.removeprefix("#") for link in links} <= identifiers


def test_without_a_baseline_there_is_no_column_for_it(make_facts: MakeFacts) -> None:
    assert "baseline" not in words(page.render(make_facts(with_baseline=False)))
    assert "baseline, the last blessed model" in words(page.render(make_facts()))


@pytest.mark.parametrize(("classes", "turned"), [(2, False), (30, True), (254, True)])
def test_as_many_classes_as_there_may_be(make_facts: MakeFacts, classes: int, turned: bool) -> None:
    told = make_facts(classes=tuple(f"class {number}" for number in range(classes)), count=2)
    # No cell is empty, and the last class has the most labels.
    confusion = np.full((classes, classes), 123_456_789)
    confusion[-1, -1] += 1
    told = dataclasses.replace(told, confusion=confusion)
    text = page.render(told)
    assert len(text.encode()) < 8_000_000
    read = Page(text)
    assert bool(read.all("table", class_="matrix turned")) == turned
    cells = [cell for cell in read.all("td") if "pixels of" in cell.attributes.get("title", "")]
    assert len(cells) == min(classes, 60) ** 2
    assert cells[-1].attributes["title"].endswith(f"class {classes - 1}")
    assert ("these are the 60 with the most labels" in text) == (classes > 60)


@pytest.mark.parametrize("count", [0, 1, 500, 5000])
def test_files_that_were_set_aside(make_facts: MakeFacts, count: int) -> None:
    bad = [SetAside(f"images/{number:04}.png", "truncated PNG") for number in range(count)]
    text = page.render(make_facts(set_aside=bad))
    read = Page(text)
    rows = text.count("truncated PNG")
    assert rows == min(count, 2000)
    assert ("Nothing: every file" in text) == (count == 0)
    lists = [one for one in read.all("details") if "could not be used" in one.text]
    assert [("open" in one.attributes) for one in lists] == ([count <= 10] if count else [])
    assert ("And 3\u202f000 more" in text) == (count == 5000)


def test_endless_names_do_not_make_the_page_endless(make_facts: MakeFacts) -> None:
    bad = [SetAside(f"{'<' * 4000}/{number}", "empty file") for number in range(2000)]
    text = page.render(make_facts(set_aside=bad))
    assert len(text) < 4_000_000
    # Each has a little more than 4000 letters, so 124 of them have half a million.
    assert text.count("empty file") == 124


def test_images_that_are_held_back_are_named_too(make_facts: MakeFacts) -> None:
    text = words(page.render(make_facts(held_back=[SetAside("b.png", "a copy of a.png")])))
    assert "1 image held back from training" in text
    assert "b.png a copy of a.png" in text


def test_a_matrix_that_disagrees_with_the_evaluator_says_so(make_facts: MakeFacts) -> None:
    told = make_facts()
    assert "Counted once more" not in page.render(told)
    confusion = told.confusion.copy()
    confusion[0, 1] += 100
    text = words(page.render(dataclasses.replace(told, confusion=confusion)))
    value = told.evaluation.metrics["mean_iou"]
    assert f"the Evaluator found {value:.6f}." in text


def test_one_evaluation_image(make_facts: MakeFacts) -> None:
    text = words(page.render(make_facts(count=1)))
    assert "too few images for an interval" in text
    assert "the 1 image kept for evaluation" in text


def test_evaluation_images_without_a_label(make_facts: MakeFacts) -> None:
    told = make_facts()
    empty = [images.Measured((0, str(n)), np.zeros((3, 3), np.int64)) for n in range(2)]
    evaluation = dataclasses.replace(
        told.evaluation,
        metrics={},
        baseline=None,
        blessed=False,
        rules=[
            dataclasses.replace(told.evaluation.rules[0], value=None, passed=False),
        ],
    )
    told = dataclasses.replace(
        told,
        evaluation=evaluation,
        pushed=None,
        confusion=np.zeros((3, 3), np.int64),
        intervals=bootstrap.intervals(np.stack([one.marginals for one in empty]), "abc"),
        chosen=images.choose(empty),
        eval=dataclasses.replace(told.eval, class_pixels=(0, 0, 0)),
    )
    text = words(page.render(told))
    assert "Mean IoU is undefined, where 0.3 is asked (evaluate.min_mean_iou)." in text
    assert "2 images have no labelled pixel and are not ranked" in text
    assert "No evaluation image has a labelled pixel" in text


def test_a_training_without_a_finite_value(make_facts: MakeFacts) -> None:
    told = make_facts()
    training = {**told.training, "history": [{"epoch": 1, "loss": float("nan")}]}
    text = words(page.render(dataclasses.replace(told, training=training)))
    assert "No epoch has a finite value to draw." in text


def test_what_the_training_started_from(make_facts: MakeFacts) -> None:
    told = make_facts()
    assert "started from" not in words(page.render(told))
    origin = {"path": "serving/cells/3", "layers": 14, "of": 16}
    training = {**told.training, "started_from": origin}
    text = words(page.render(dataclasses.replace(told, training=training)))
    assert "started from serving/cells/3 (14 of 16 layers)" in text


def test_what_is_done_to_pixels_and_answers(make_facts: MakeFacts) -> None:
    told = make_facts()
    assert "averaged over" not in words(page.render(told))
    settings = told.training["settings"]
    model = {**settings["model"], "normalise": "image", "average_over": "flips_and_turns"}
    training = {**told.training, "settings": {**settings, "model": model}}
    text = words(page.render(dataclasses.replace(told, training=training)))
    assert "pixels normalised image by image" in text
    assert "averaged over flips and turns" in text


def test_how_pixels_were_made_visible_is_said(make_facts: MakeFacts) -> None:
    told = make_facts()
    layout = dataclasses.replace(told.layout, dtype="uint16", channels=7)
    channels = (1.0,) * 7
    wide = dataclasses.replace(told.train, mean=channels, deviation=channels)
    text = words(page.render(dataclasses.replace(told, layout=layout, train=wide, eval=wide)))
    assert "Contrast is stretched between percentiles 0.5 and 99.5 of each image." in text
    assert "Of 7 channels the first three are shown as red, green and blue." in text
    assert "stretched" not in words(page.render(told))


def test_what_is_worth_a_look_in_the_data(make_facts: MakeFacts) -> None:
    assert "Worth a look" not in page.render(make_facts())
    finding = {
        "check": "class_drift",
        "where": "span-2",
        "value": 3.21,
        "limit": 2.0,
        "stops": False,
        "sentence": "span-2 differs from span-1: <cell> covers 40 % instead of 20 %.",
    }
    text = page.render(
        make_facts(
            findings=[finding],
            near_duplicates=[Near("e<1>", "t1", 0.9876)] * 300,
            train_look=Look(9, 2, 1, 3, ((1, 50, 250),)),
            eval_look=Look(3, 0, 0, 0, ((2, 60, 240),)),
            relabelled={"span-1/a": "span-2/a", "span-1/b": "span-2/b"},
        )
    )
    assert "&lt;cell&gt; covers 40 % instead of 20 %." in text
    assert "checks.class_drift" in text
    assert "300 images that evaluate and look like one that trains" in text
    # The most similar alone are listed.
    assert text.count("e&lt;1&gt;") == 200
    assert "near_duplicates.jsonl beside the records lists all" in text
    assert "2 images of older spans are labelled again by a newer one" in text
    assert "images of a single class" in text
    assert "images of one colour" in text
    assert "1, 50, 250" in text


def test_metrics_by_attribute(make_facts: MakeFacts) -> None:
    told = make_facts()
    assert "By attribute" not in page.render(told)
    slices = {"scanner=A": {"mean_iou": 0.8125, "pixel_accuracy": 0.9}, "scanner=<b>": {}}
    evaluation = dataclasses.replace(told.evaluation, slices=slices)
    text = words(page.render(dataclasses.replace(told, evaluation=evaluation)))
    assert "scanner=A 0.812 0.900" in text
    assert "scanner=&lt;b&gt; – –" in text
