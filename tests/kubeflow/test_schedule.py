"""What is sent to Kubeflow Pipelines, told by a server that answers like its API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import pytest
import yaml

from components.errors import InputError
from kubeflow import schedule
from pipeline.config import PipelineConfig, parse
from tests.kubeflow.conftest import VALUES

_PAGE = 2  # so few that a list has several pages


class Api:
    """What the server holds: experiments, runs and recurring runs, each as they were posted."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token
        self.experiments: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.recurringruns: list[dict[str, Any]] = []
        self.refusal: str | None = None
        self.made = 0

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        parts = urlsplit(path)
        collection, _, one = parts.path.removeprefix("/apis/v2beta1/").partition("/")
        if collection == "healthz":
            return 200, {"multi_user": False}
        held: list[dict[str, Any]] = getattr(self, collection)
        identity = {"recurringruns": "recurring_run_id"}.get(collection, f"{collection[:-1]}_id")
        if method == "DELETE":
            held[:] = [entry for entry in held if entry[identity] != one]
            return 200, {}
        if method == "POST":
            if self.refusal:
                return 400, {"error": self.refusal}
            self.made += 1
            held.append({**body, identity: f"id-{self.made}"})
            return 200, held[-1]
        query = parse_qs(parts.query)
        start = int(query.get("page_token", ["0"])[0] or 0)
        listed = {"experiments": "experiments", "recurringruns": "recurringRuns"}[collection]
        more = start + _PAGE < len(held)
        page: dict[str, Any] = {listed: held[start : start + _PAGE]}
        return 200, {**page, "next_page_token": str(start + _PAGE)} if more else page


@contextmanager
def serve(api: Api) -> Iterator[str]:
    """Yields the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            if api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
                status, answer = 401, {"error": "who are you"}
            else:
                status, answer = api.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST = do_DELETE = handle_any

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def configured(endpoint: str | None, **section: Any) -> PipelineConfig:
    values = {**VALUES["kubeflow"], "endpoint": endpoint, **section}
    return parse({**VALUES, "kubeflow": values}, Path("/home/me"))


def model(values: dict[str, Any], kind: str) -> Any:
    """As KFP's own client reads it: a key or type that the API does not have is an error."""
    model = getattr(kfp_server_api, kind)
    assert values.keys() <= set(model.attribute_map.values())

    class Response:
        data = json.dumps(values)

    return kfp_server_api.ApiClient().deserialize(Response, kind)


def test_submit_starts_a_run_of_the_package(package_file: Path) -> None:
    api = Api()
    with serve(api) as endpoint:
        config = configured(endpoint, experiment="cells", service_account="runner")
        told = schedule.submit(config, package_file, {"train_steps": 10})
    (sent,) = api.runs
    run = model(sent, "V2beta1Run")
    assert run.display_name == "two_discs"
    assert run.service_account == "runner"
    assert run.runtime_config.parameters == {"train_steps": 10}
    spec, platform = yaml.safe_load_all(package_file.read_text())
    assert run.pipeline_spec == {"pipeline_spec": spec, "platform_spec": platform}
    (experiment,) = api.experiments
    assert model(experiment, "V2beta1Experiment").display_name == "cells"
    assert run.experiment_id == experiment["experiment_id"]
    assert told["run"] == run.run_id
    assert told["url"] == f"{endpoint}/#/runs/details/{run.run_id}"


def test_schedule_makes_one_recurring_run(package_file: Path) -> None:
    api = Api()
    with serve(api) as endpoint:
        told = schedule.schedule(
            configured(endpoint), package_file, {"data_path": "/labels/new"}, "30 3 * * *"
        )
    (sent,) = api.recurringruns
    recurring = model(sent, "V2beta1RecurringRun")
    assert recurring.display_name == "two_discs"
    assert recurring.trigger.cron_schedule.cron == "0 30 3 * * *"
    assert recurring.trigger.periodic_schedule is None
    assert recurring.max_concurrency == "1"
    assert recurring.no_catchup is True
    assert recurring.mode == kfp_server_api.RecurringRunMode.ENABLE
    assert recurring.runtime_config.parameters == {"data_path": "/labels/new"}
    assert recurring.pipeline_spec["pipeline_spec"]["pipelineInfo"]["name"] == "two-discs"
    assert told["schedule"] == recurring.recurring_run_id
    assert told["replaced"] == []


def test_a_schedule_takes_the_place_of_the_one_before(package_file: Path) -> None:
    api = Api()
    with serve(api) as endpoint:
        config = configured(endpoint)
        first = schedule.schedule(config, package_file, {}, "@daily")
        for name in ("others", "others_too", "others_again"):
            entry = {**api.recurringruns[0], "display_name": name, "recurring_run_id": name}
            api.recurringruns.insert(0, entry)
        second = schedule.schedule(config, package_file, {}, "0 0 6 * * MON-FRI")
    assert second["replaced"] == [first["schedule"]]
    assert [one["recurring_run_id"] for one in api.recurringruns] == [
        "others_again",
        "others_too",
        "others",
        second["schedule"],
    ]
    assert len(api.experiments) == 1


def test_a_token_goes_along(package_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(token="secret")
    with serve(api) as endpoint:
        with pytest.raises(InputError, match=r"401.*OVERTILE_KUBEFLOW_TOKEN"):
            schedule.submit(configured(endpoint), package_file, {})
        assert api.runs == []
        monkeypatch.setenv("OVERTILE_KUBEFLOW_TOKEN", "secret")
        schedule.submit(configured(endpoint), package_file, {})
    assert len(api.runs) == 1


def test_a_refusal_is_told_in_the_servers_words(package_file: Path) -> None:
    api = Api()
    with serve(api) as endpoint:
        schedule.submit(configured(endpoint), package_file, {})  # makes the experiment
        api.refusal = "the pipeline is too large"
        with pytest.raises(InputError, match=r"400.*the pipeline is too large"):
            schedule.submit(configured(endpoint), package_file, {})


def test_where_nothing_answers(package_file: Path) -> None:
    with serve(Api()) as endpoint:
        pass
    with pytest.raises(InputError, match=f"No Kubeflow Pipelines API answers at {endpoint}"):
        schedule.submit(configured(endpoint), package_file, {})
    with pytest.raises(InputError, match=r"kubeflow\.endpoint is not set"):
        schedule.submit(configured(None), package_file, {})


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("30 3 * * *", "0 30 3 * * *"),
        ("*/15 8-18 * * MON-FRI", "0 */15 8-18 * * MON-FRI"),
        ("0 0 9 ? * 2-6", "0 0 9 ? * 2-6"),
        ("@daily", "@daily"),
        ("@every 6h", "@every 6h"),
    ],
)
def test_times(text: str, expression: str) -> None:
    assert schedule.cron_expression(text) == expression


@pytest.mark.parametrize("text", ["", "daily", "3 * *", "$ 3 * * *", "a b c d e f g"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InputError, match="write five fields"):
        schedule.cron_expression(text)
