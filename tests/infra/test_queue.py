"""The queue is the same in the cloud and on a laptop, and the code can rely on what it relies on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.cloud_queue import CLOUD_QUEUE, CloudQueue, UnlikeTheCloudError, read_queue
from local.plan import SERVICE_BUS, Plan, StackOptions
from shared.settings import Settings
from tests.infra.reader import INFRA, read

ROOT = INFRA.parent
SETTINGS = json.loads((INFRA / "servicebus-queue.json").read_text(encoding="utf-8"))


def test_the_cloud_takes_every_setting_of_the_queue_from_the_file() -> None:
    file = read(INFRA / "modules" / "servicebus.bicep")
    (queue,) = [one for one in file.resources if one.name == "queue"]

    assert queue.properties | {"name": queue.body["name"]} == {name: f"queueSettings.{name}" for name in SETTINGS}
    assert file.variables == {"queueSettings": "loadJsonContent('../servicebus-queue.json')"}


def test_the_local_stack_starts_its_broker_with_the_same_settings(tmp_path: Path) -> None:
    (broker,) = [spec for spec in Plan(StackOptions(), tmp_path, tmp_path).specs() if spec.name == SERVICE_BUS]
    given = dict(zip(broker.command, broker.command[1:], strict=False))

    assert given["--queue"] == SETTINGS["name"]
    assert given["--max-delivery-count"] == str(SETTINGS["maxDeliveryCount"])
    assert SETTINGS["lockDuration"] == f"PT{int(float(given['--lock-seconds'])) // 60}M"


def test_the_queue_is_what_the_code_relies_on() -> None:
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["serviceBus"]
    renewal = _seconds(host["maxAutoLockRenewalDuration"])

    assert CLOUD_QUEUE.name == Settings.model_fields["autotask_queue"].default
    assert SETTINGS["maxDeliveryCount"] == 3
    assert SETTINGS["deadLetteringOnMessageExpiration"] is True
    assert renewal > float(Settings.model_fields["push_budget_seconds"].default) + CLOUD_QUEUE.lock_seconds
    assert host["prefetchCount"] == 0
    assert host["autoCompleteMessages"] is True


def _seconds(span: str) -> float:
    hours, minutes, seconds = span.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


@pytest.mark.parametrize(("duration", "seconds"), [("PT30S", 30), ("PT1M", 60), ("PT1M30S", 90)])
def test_a_lock_is_read_in_minutes_and_seconds(duration: str, seconds: int) -> None:
    assert read_queue(json.dumps(SETTINGS | {"lockDuration": duration})) == CloudQueue(SETTINGS["name"], 3, seconds)


@pytest.mark.parametrize(
    "changed",
    [{"requiresSession": True}, {"requiresDuplicateDetection": True}, {"lockDuration": "P1D"}, {"lockDuration": "PT"}],
)
def test_what_the_emulator_cannot_do_stops_the_stack(changed: dict[str, object]) -> None:
    with pytest.raises(UnlikeTheCloudError):
        read_queue(json.dumps(SETTINGS | changed))
