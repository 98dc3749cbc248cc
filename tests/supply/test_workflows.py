"""GitHub's workflows: pinned to commits, without rights that they do not need, and the same commands as on a desk."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.supply.licences import ROOT

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
# Every right that a job has beyond reading the code, and what for
RIGHTS = {
    ("codeql.yml", "analyse", "security-events"),  # the findings
    ("infra.yml", "what-if", "id-token"),  # signing in at Azure
    ("deploy.yml", "preview", "id-token"),
    ("deploy.yml", "deploy", "id-token"),
}
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
_UNTRUSTED = re.compile(r"\${{[^}]*(github\.event\.|github\.head_ref|inputs\.)[^}]*}}")


def workflow(path: Path) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in workflow(path)["jobs"].values():
        yield from job["steps"]


def test_there_are_the_workflows_that_the_documents_speak_of() -> None:
    assert {path.name for path in FILES} == {"ci.yml", "codeql.yml", "deploy.yml", "infra.yml"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is(path: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)

    assert used
    assert [action for action in used if not _PINNED.fullmatch(action)] == []


def test_one_repository_is_pinned_to_one_commit_everywhere() -> None:
    pinned: dict[str, set[str]] = {}
    for path in FILES:
        for action, commit in re.findall(r"uses: (\S+)@(\S+)", path.read_text(encoding="utf-8")):
            pinned.setdefault("/".join(action.split("/")[:2]).lower(), set()).add(commit)

    assert [action for action, commits in pinned.items() if len(commits) > 1] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_has_no_right_and_its_jobs_only_those_that_are_listed(path: Path) -> None:
    document = workflow(path)

    assert document["permissions"] == {}
    for name, job in document["jobs"].items():
        assert job["permissions"].pop("contents") == "read"
        assert {(path.name, name, right) for right in job["permissions"]} <= RIGHTS
        assert job["timeout-minutes"] <= 60


def test_every_right_of_the_list_is_needed_by_somebody() -> None:
    given = {
        (path.name, name, right)
        for path in FILES
        for name, job in workflow(path)["jobs"].items()
        for right in job["permissions"]
        if right != "contents"
    }

    assert given == RIGHTS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_that_a_stranger_writes_becomes_a_command_and_no_secret_is_used(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert [step["run"] for step in steps(path) if _UNTRUSTED.search(step.get("run", ""))] == []
    assert "secrets." not in text
    assert "pull_request_target" not in text
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_pipeline_runs_what_a_person_runs_on_each_python_that_is_supported() -> None:
    job = workflow(FOLDER / "ci.yml")["jobs"]["check-and-test"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert 'requires-python = ">=3.11,<3.14"' in project
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_the_real_compiler_and_a_what_if_read_the_infrastructure() -> None:
    commands = " ".join(step.get("run", "") for step in steps(FOLDER / "infra.yml"))

    for command in ("az bicep build", "az bicep lint", "az deployment sub what-if"):
        assert f"{command} " in commands
    assert "infra/**" in str(workflow(FOLDER / "infra.yml")[True])  # yaml reads the key `on` as true


def test_azure_is_entered_with_an_identity_token_and_production_by_its_reviewers_alone() -> None:
    jobs = workflow(FOLDER / "deploy.yml")["jobs"]
    commands = {name: [step.get("run", "") for step in job["steps"]] for name, job in jobs.items()}

    assert jobs["deploy"]["environment"] == "production"
    assert jobs["deploy"]["needs"] == "preview"
    assert any("--federated-credential-provider github" in command for command in commands["deploy"])
    assert [command for command in commands["preview"] if command] == [
        command for command in commands["preview"] if command.startswith("az deployment sub what-if ")
    ]


def test_the_deployment_hands_on_every_variable_that_the_parameters_name() -> None:
    given = set(workflow(FOLDER / "deploy.yml")["env"])
    named = re.findall(r"\${(\w+)", (ROOT / "infra" / "main.parameters.json").read_text(encoding="utf-8"))

    assert set(named) <= given


def test_dependabot_watches_every_kind_of_dependency_and_waits_a_week() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]

    assert {one["package-ecosystem"] for one in updates} == {"pip", "npm", "github-actions"}
    assert all(one["cooldown"]["default-days"] >= 7 for one in updates)


def test_zizmor_finds_nothing() -> None:
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--no-progress", "--quiet", ".github"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command

    assert done.returncode == 0, done.stdout
