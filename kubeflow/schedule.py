"""Sends a package to Kubeflow Pipelines: once, or to run at times of a schedule."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig

TOKEN = "OVERTILE_KUBEFLOW_TOKEN"
"""The environment variable with a bearer token for KFP's API, where it asks for one."""

_TIMEOUT = 10.0  # seconds, for the first word of the API
_PAGE = 100
_CRON_FIELD = re.compile(r"[\w*/,?#-]+", re.ASCII)
_CRON_WORD = re.compile(r"@(hourly|daily|weekly|monthly|yearly|every \w+)", re.ASCII)


def submit(config: PipelineConfig, package: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Starts a run.

    Args:
      config: says where: endpoint, namespace, experiment, service account.
      package: what `compile_package` wrote.
      parameters: in place of its defaults.

    Returns:
      `run` (its id), `experiment` and `url`.

    Raises:
      InputError: no API answers at the endpoint, or it refuses.
    """
    with _client(config) as client:
        done = client.create_run_from_pipeline_package(
            str(package),
            arguments=dict(parameters),
            run_name=config.name,
            experiment_name=_experiment(config),
            namespace=config.kubeflow.namespace,
            service_account=config.kubeflow.service_account,
        )
    return {
        "run": done.run_id,
        "experiment": _experiment(config),
        "url": f"{host(config)}/#/runs/details/{done.run_id}",
    }


def schedule(
    config: PipelineConfig, package: Path, parameters: Mapping[str, Any], cron: str
) -> dict[str, Any]:
    """Makes the pipeline's one schedule: an earlier one of its name is replaced.

    Runs come one at a time: two would race for the version that is served. Times missed while one
    was at work, or the cluster away, are not made up for: the next run sees all the data.

    Args:
      config: says where: endpoint, namespace, experiment, service account.
      package: what `compile_package` wrote.
      parameters: in place of its defaults.
      cron: as `cron_expression` takes it.

    Returns:
      `schedule` (its id), `cron`, `experiment`, `url`, and `replaced`: ids of earlier ones.

    Raises:
      InputError: `cron` is none, no API answers at the endpoint, or it refuses.
    """
    expression = cron_expression(cron)
    with _client(config) as client:
        experiment = client.create_experiment(
            _experiment(config), namespace=config.kubeflow.namespace
        )
        earlier = list(_of_name(client, experiment.experiment_id, config.name))
        made = client.create_recurring_run(
            experiment.experiment_id,
            config.name,
            cron_expression=expression,
            max_concurrency=1,
            no_catchup=True,
            params=dict(parameters),
            pipeline_package_path=str(package),
            service_account=config.kubeflow.service_account,
        )
        # Last, so that there is a schedule whatever fails.
        for recurring_run in earlier:
            client.delete_recurring_run(recurring_run)
    return {
        "schedule": made.recurring_run_id,
        "cron": expression,
        "experiment": _experiment(config),
        "url": f"{host(config)}/#/recurringrun/details/{made.recurring_run_id}",
        "replaced": earlier,
    }


def cron_expression(text: str) -> str:
    """What KFP takes: six fields, of which the first is seconds.

    >>> cron_expression("30 3 * * MON-FRI")
    '0 30 3 * * MON-FRI'

    Args:
      text: the five fields that cron knows, KFP's six, or a word such as @daily.

    Raises:
      InputError: it is none of these.
    """
    fields = text.split()
    if len(fields) in (5, 6) and all(map(_CRON_FIELD.fullmatch, fields)):
        return " ".join(fields if len(fields) == 6 else ["0", *fields])
    if _CRON_WORD.fullmatch(text):
        return text
    raise InputError(
        f"--cron {text!r}: write five fields (minute, hour, day of the month, month, day of the "
        "week) such as '30 3 * * *', or six with seconds first, or @daily."
    )


def _of_name(client: Any, experiment: str, name: str) -> Iterator[str]:
    """Ids of an experiment's recurring runs of a name."""
    token = ""
    while True:
        page = client.list_recurring_runs(token, _PAGE, experiment_id=experiment)
        for one in page.recurring_runs or []:
            if one.display_name == name:
                yield one.recurring_run_id
        token = page.next_page_token
        if not token:
            return


@contextlib.contextmanager
def _client(config: PipelineConfig) -> Iterator[Any]:
    """KFP's client, whose errors are sentences."""
    from kubeflow import runner

    address = host(config)
    runner.need_kfp()
    import kfp
    import kfp_server_api
    import requests
    import urllib3

    token = os.environ.get(TOKEN)
    try:
        # First a question of our own: the client's is repeated for half a minute.
        answer = requests.get(
            f"{address}/apis/v2beta1/healthz",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=_TIMEOUT,
        )
        if answer.status_code not in (401, 403):
            answer.raise_for_status()
            answer.json()
    except (requests.RequestException, ValueError) as error:
        raise InputError(
            f"No Kubeflow Pipelines API answers at {address} ({type(error).__name__}): check "
            "kubeflow.endpoint; from outside the cluster, `kubectl port-forward` makes one."
        ) from None
    if answer.status_code in (401, 403):
        raise InputError(_refused(address, answer.status_code))
    try:
        yield kfp.Client(address, namespace=config.kubeflow.namespace or "", existing_token=token)
    except kfp_server_api.ApiException as error:
        if error.status in (401, 403):
            raise InputError(_refused(address, error.status)) from None
        raise InputError(
            f"Kubeflow Pipelines at {address} refused with {error.status}: "
            f"{' '.join(str(error.body or error.reason).split())}"
        ) from None
    except urllib3.exceptions.HTTPError as error:
        raise InputError(f"Kubeflow Pipelines at {address} went away: {error}.") from None


def _refused(address: str, status: int) -> str:
    return (
        f"Kubeflow Pipelines at {address} refused with {status}: put a token for its API into the "
        f"environment variable {TOKEN}."
    )


def host(config: PipelineConfig) -> str:
    """Where KFP's API is; raises InputError where the configuration does not say."""
    if not config.kubeflow.endpoint:
        raise InputError(
            "kubeflow.endpoint is not set: it is the address of KFP's API, such as "
            "http://localhost:8888."
        )
    return config.kubeflow.endpoint.rstrip("/")


def _experiment(config: PipelineConfig) -> str:
    return config.kubeflow.experiment or config.name
