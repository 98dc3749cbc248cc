// Everything that one environment of csp-functions needs, in a resource group of its own. `azd up` deploys it.
targetScope = 'subscription'

@description('Name of the environment, such as prod or test; part of every name.')
@minLength(2)
@maxLength(16)
param environmentName string

@description('Azure region. Flex Consumption is not in all of them: az functionapp list-flexconsumption-locations.')
@metadata({ azd: { type: 'location' } })
param location string

@description('Further tags of every resource.')
param tags object = {}

@description('Application (client) id of the API in Entra ID; what callers\' tokens carry as audience. infra/register_apps.py prints it.')
param apiClientId string

@description('Tenant whose users and service principals may call the API.')
param apiTenantId string = tenant().tenantId

@description('Origins of portals that call the API from a browser, such as https://portal.example.com. None by default.')
param corsOrigins array = []

@description('What callers without a grant of their own reach: all customers, or none.')
@allowed(['all', 'none'])
param accessDefault string = 'all'

@description('Tenant of the Partner Center account.')
param partnerCenterTenantId string = tenant().tenantId

@description('Application (client) id of the registration that acts at Partner Center. infra/register_apps.py prints it.')
param partnerCenterClientId string

@description('Time zone of business dates, such as Europe/Berlin.')
param partnerTimeZone string

@description('App settings that differ from infra/app-settings.json, by name. No secrets: what stands here is in the deployment history.')
param settings object = {}

@description('Most instances that the app grows to. A partner needs few; it is a cap on cost. Some regions demand at least 40.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('HTTP instances that are kept warm, for which a base price is paid. 0: the first request after a pause waits for a start.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttpInstances int = 0

@description('How a new version takes over: Recreate restarts all instances, RollingUpdate exchanges them in batches.')
@allowed(['Recreate', 'RollingUpdate'])
param updateStrategy string = 'Recreate'

@description('Redundancy of the ledger. GZRS and RAGRS survive the loss of a region, not without losing the last minutes.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_RAGRS', 'Standard_GZRS', 'Standard_RAGZRS'])
param ledgerRedundancy string = 'Standard_ZRS'

@description('Put a lock on the ledger\'s storage account, so that nobody deletes it by mistake; azd down fails while it is there.')
param lockLedger bool = true

@description('Reach storage, vaults and Service Bus through private endpoints only. Service Bus has those in its Premium tier alone, which this then uses and which costs a multiple.')
param privateNetworking bool = false

@description('Address space of the virtual network with private networking; a /24.')
param networkPrefix string = '10.20.0.0/24'

@description('Who may set secrets: object id of a user, group or service principal. None by default.')
param secretsOfficerId string = ''

@description('What kind of principal the secrets officer is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param secretsOfficerType string = 'User'

@description('E-mail addresses that alerts go to.')
param alertEmails array = []

@description('Alert when the oldest open operation is older than so many minutes.')
param alertOldestOpenMinutes int = 120

@description('Alert when the last complete sync is older than so many hours.')
param alertSyncAgeHours int = 30

@description('Alert when more than so many requests within 15 minutes were answered 5xx.')
param alertServerErrors int = 5

@description('Alert when so many percent of our share of Autotask\'s hourly requests are used.')
@minValue(1)
@maxValue(100)
param alertBudgetUsedPercent int = 90

@description('Alert when more than so many calls within 15 minutes were refused (no or wrong token, role, customer, rate).')
param alertRefusedCalls int = 100

@description('Monthly cost at which 80 % and 100 % are reported, in the subscription\'s currency. 0: no cost budget.')
@minValue(0)
param monthlyBudget int = 0

@description('First day of the month in which the cost budget begins, such as 2027-01-01. Needed with a cost budget; it cannot be changed later.')
param budgetStart string = ''

@description('How many days logs and telemetry are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

var token = toLower(uniqueString(subscription().id, environmentName, location))
var allTags = union(tags, { 'azd-env-name': environmentName, application: 'csp-functions' })

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-csp-functions-${environmentName}'
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-csp-${token}'
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    token: token
    location: location
    tags: allTags
    retentionDays: logRetentionDays
  }
}

module hostStorage 'modules/storage.bicep' = {
  name: 'host-storage'
  scope: group
  params: {
    name: 'sthost${token}'
    location: location
    tags: allTags
    redundancy: 'Standard_LRS'
    containers: ['deployments']
    locked: false
    open: !privateNetworking
  }
}

module ledgerStorage 'modules/storage.bicep' = {
  name: 'ledger-storage'
  scope: group
  params: {
    name: 'stledger${token}'
    location: location
    tags: allTags
    redundancy: ledgerRedundancy
    containers: []
    locked: lockLedger
    open: !privateNetworking
  }
}

module bus 'modules/servicebus.bicep' = {
  name: 'service-bus'
  scope: group
  params: {
    name: 'sb-csp-${token}'
    location: location
    tags: allTags
    tier: privateNetworking ? 'Premium' : 'Standard'
    open: !privateNetworking
    workspaceId: monitoring.outputs.workspaceId
  }
}

module settingsVault 'modules/vault.bicep' = {
  name: 'settings-vault'
  scope: group
  params: {
    name: 'kv-csp-${token}'
    location: location
    tags: allTags
    open: !privateNetworking
    workspaceId: monitoring.outputs.workspaceId
  }
}

module signInVault 'modules/vault.bicep' = {
  name: 'sign-in-vault'
  scope: group
  params: {
    name: 'kvs-csp-${token}'
    location: location
    tags: allTags
    open: !privateNetworking
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: {
    token: token
    location: location
    tags: allTags
    prefix: networkPrefix
    targets: [
      { name: 'host-blob', resourceId: hostStorage.outputs.id, groupId: 'blob', zone: 'blob.${environment().suffixes.storage}' }
      { name: 'host-queue', resourceId: hostStorage.outputs.id, groupId: 'queue', zone: 'queue.${environment().suffixes.storage}' }
      { name: 'host-table', resourceId: hostStorage.outputs.id, groupId: 'table', zone: 'table.${environment().suffixes.storage}' }
      { name: 'ledger-table', resourceId: ledgerStorage.outputs.id, groupId: 'table', zone: 'table.${environment().suffixes.storage}' }
      { name: 'settings-vault', resourceId: settingsVault.outputs.id, groupId: 'vault', zone: 'vaultcore.azure.net' }
      { name: 'sign-in-vault', resourceId: signInVault.outputs.id, groupId: 'vault', zone: 'vaultcore.azure.net' }
      { name: 'bus', resourceId: bus.outputs.id, groupId: 'namespace', zone: 'servicebus.windows.net' }
    ]
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  scope: group
  params: {
    principalId: identity.outputs.principalId
    hostStorageName: hostStorage.outputs.name
    ledgerStorageName: ledgerStorage.outputs.name
    busName: bus.outputs.name
    queueName: bus.outputs.queueName
    settingsVaultName: settingsVault.outputs.name
    signInVaultName: signInVault.outputs.name
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    secretsOfficerId: secretsOfficerId
    secretsOfficerType: secretsOfficerType
  }
}

module api 'modules/function.bicep' = {
  name: 'api'
  scope: group
  dependsOn: [roles]
  params: {
    name: 'func-csp-${token}'
    planName: 'plan-csp-${token}'
    location: location
    tags: union(allTags, { 'azd-service-name': 'api' })
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    hostStorageName: hostStorage.outputs.name
    deploymentContainerUri: '${hostStorage.outputs.blobEndpoint}deployments'
    tablesEndpoint: ledgerStorage.outputs.tableEndpoint
    busNamespace: bus.outputs.fullyQualifiedNamespace
    queueName: bus.outputs.queueName
    settingsVaultUri: settingsVault.outputs.uri
    signInVaultUri: signInVault.outputs.uri
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    apiTenantId: apiTenantId
    apiClientId: apiClientId
    accessDefault: accessDefault
    corsOrigins: corsOrigins
    partnerCenterTenantId: partnerCenterTenantId
    partnerCenterClientId: partnerCenterClientId
    partnerTimeZone: partnerTimeZone
    settings: settings
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    alwaysReadyHttpInstances: alwaysReadyHttpInstances
    updateStrategy: updateStrategy
    subnetId: privateNetworking ? network!.outputs.appSubnetId : ''
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    emails: alertEmails
    oldestOpenMinutes: alertOldestOpenMinutes
    syncAgeHours: alertSyncAgeHours
    serverErrors: alertServerErrors
    budgetUsedPercent: alertBudgetUsedPercent
    refusedCalls: alertRefusedCalls
    monthlyBudget: monthlyBudget
    budgetStart: budgetStart
  }
}

@description('Where the API is.')
output API_URL string = 'https://${api.outputs.hostName}/api'

@description('Name of the function app.')
output FUNCTION_APP_NAME string = api.outputs.name

@description('Vault of the secrets that the app only reads.')
output SETTINGS_VAULT_NAME string = settingsVault.outputs.name

@description('Vault of what the app itself keeps: the Partner Center refresh token.')
output SIGN_IN_VAULT_NAME string = signInVault.outputs.name

@description('Service Bus namespace.')
output SERVICE_BUS_NAMESPACE string = bus.outputs.fullyQualifiedNamespace

@description('Table endpoint of the ledger.')
output TABLES_ENDPOINT string = ledgerStorage.outputs.tableEndpoint

@description('Resource group of the environment.')
output AZURE_RESOURCE_GROUP string = group.name
