"""The infrastructure keeps its policies, and each policy notices when it is broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.infra.policy import check
from tests.infra.reader import INFRA, files, read

# (file, what stands there, what a mistake would make of it, part of what is said)
FAULTS = [
    ("main.bicep", "module bus '", "module bus ", "syntax error"),
    (
        "main.bicep",
        "location: location\n  tags: allTags",
        "location: locaton\n  tags: allTags",
        "undefined name locaton",
    ),
    ("main.bicep", "retentionDays: logRetentionDays", "retentionDays: 30", "unused param logRetentionDays"),
    ("main.bicep", "    tier: privateNetworking", "    level: privateNetworking", "has no parameter level"),
    ("main.bicep", "    emails: alertEmails\n", "", "is not given emails"),
    ("main.bicep", "api.outputs.hostName", "api.outputs.host", "has no output host"),
    ("main.bicep", "modules/vault.bicep", "modules/vaults.bicep", "which is not there"),
    ("main.bicep", "toLower(uniqueString(", "toLower(uniqString(", "unknown function uniqString"),
    ("main.bicep", "@description('Where the API is.')\n", "", "API_URL has no description"),
    ("modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "allowSharedKeyAccess"),
    ("modules/storage.bicep", "    allowSharedKeyAccess: false\n", "", "allowSharedKeyAccess"),
    ("modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: !locked", "allowSharedKeyAccess"),
    ("modules/storage.bicep", "'TLS1_2'", "'TLS1_0'", "minimumTlsVersion"),
    ("modules/storage.bicep", "publicAccess: 'None'", "publicAccess: 'Blob'", "publicAccess"),
    ("modules/storage.bicep", "supportsHttpsTrafficOnly: true", "supportsHttpsTrafficOnly: false", "HttpsTraffic"),
    (
        "modules/storage.bicep",
        "output id string = account.id",
        "output id string = account.listKeys().keys[0].value",
        "asks for a secret",
    ),
    ("modules/storage.bicep", "output tableEndpoint", "output tableKey", "gives a secret away"),
    ("modules/servicebus.bicep", "disableLocalAuth: true", "disableLocalAuth: false", "disableLocalAuth"),
    ("modules/servicebus.bicep", "'1.2'", "'1.0'", "minimumTlsVersion"),
    ("modules/vault.bicep", "enablePurgeProtection: true", "enablePurgeProtection: false", "enablePurgeProtection"),
    ("modules/vault.bicep", "enableRbacAuthorization: true", "enableRbacAuthorization: false", "RbacAuthorization"),
    ("modules/monitoring.bicep", "DisableLocalAuth: true", "DisableLocalAuth: false", "DisableLocalAuth"),
    ("modules/monitoring.bicep", "@2020-02-02'", "@2020-02-02-preview'", "in the version"),
    ("modules/monitoring.bicep", "  tags: tags\n  kind: 'web'", "  kind: 'web'", "has no tags"),
    ("modules/function.bicep", "httpsOnly: true", "httpsOnly: false", "httpsOnly"),
    ("modules/function.bicep", "version: '3.13'", "version: '3.10'", "runtime.version"),
    (
        "modules/function.bicep",
        "name: 'ftp'\n    properties: { allow: false }",
        "name: 'ftp'\n    properties: { allow: true }",
        "allow",
    ),
    ("modules/function.bicep", "name: 'ftp'", "name: 'scm'", "publishing by ftp"),
    (
        "modules/function.bicep",
        "  API_AUDIENCE: apiClientId\n",
        "  API_AUDIENCE: apiClientId\n  AUTOTASK_SECRET: apiClientId\n",
        "not taken from the vault",
    ),
    ("modules/function.bicep", "@description('Name of its plan.')\n", "", "planName has no description"),
    ("modules/roles.bicep", "scope: ledgerStorage", "scope: resourceGroup()", "is no right of the list"),
    ("modules/roles.bicep", "  scope: ledgerStorage\n", "", "the whole group"),
    (
        "modules/roles.bicep",
        "'Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser",
        "'Microsoft.Authorization/roleDefinitions', keyVaultSecretsOfficer",
        "is no right of the list",
    ),
    (
        "modules/roles.bicep",
        "4633458b-17de-408a-b874-0445c86b69e6",
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "has the id",
    ),
    ("modules/roles.bicep", "principalType: 'ServicePrincipal'", "principalType: 'User'", "principalType"),
    ("modules/alerts.bicep", "'Sync has stalled'", "'Sync is old'", "no heading in the runbook"),
    ("modules/alerts.bicep", '"csp.dead_letters"', '"csp.deadletters"', "which nobody tells"),
    ("modules/alerts.bicep", '"csp.sync.age"', '"csp.ready"', "no alert watches csp.sync.age"),
    ("modules/alerts.bicep", "measure: 'Count'", "measure: 'Maximum'", "another kind of rows"),
    ("modules/alerts.bicep", "threshold: oldestOpenMinutes * 60", "threshold: 7200", "unused param oldestOpenMinutes"),
    (
        "modules/identity.bicep",
        "param tags object\n",
        "param tags object\nparam clientSecret string\n",
        "takes a secret",
    ),
]


def test_the_infrastructure_keeps_every_policy() -> None:
    assert check(INFRA) == []


def test_there_is_something_to_check() -> None:
    read_files = [read(path) for path in files()]

    assert len(read_files) == 10
    assert sum(len(file.resources) for file in read_files) > 40


@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"), FAULTS, ids=[f"{fault[0]}: {fault[3]}" for fault in FAULTS]
)
def test_a_planted_fault_is_found(tmp_path: Path, file: str, right: str, wrong: str, said: str) -> None:
    folder = tmp_path / "infra"
    shutil.copytree(INFRA, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (folder / file).read_text(encoding="utf-8")
    assert right in text

    (folder / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")

    assert any(said in problem for problem in check(folder)), check(folder)


def test_every_parameter_of_the_parameters_file_exists_and_every_required_one_is_in_it() -> None:
    parameters = read(INFRA / "main.bicep").parameters
    given = json.loads((INFRA / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]

    assert given.keys() <= parameters.keys()
    assert {name for name, one in parameters.items() if one.value is None} <= given.keys()


def test_no_parameter_of_the_parameters_file_is_a_secret_in_the_text() -> None:
    given = json.loads((INFRA / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]

    assert all(str(one["value"]).startswith("${") for one in given.values())
