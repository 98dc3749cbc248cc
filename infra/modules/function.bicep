// The function app on Flex Consumption, and every app setting that it has in the cloud.

@description('Name of the function app.')
param name string

@description('Name of its plan.')
param planName string

@description('Azure region.')
param location string

@description('Tags; azd finds the app by one of them.')
param tags object

@description('Resource id of the app\'s identity.')
param identityId string

@description('Client id of the app\'s identity.')
param identityClientId string

@description('Storage account of the functions host.')
param hostStorageName string

@description('Container that the app is deployed from.')
param deploymentContainerUri string

@description('Table endpoint of the ledger.')
param tablesEndpoint string

@description('Host name of the Service Bus namespace.')
param busNamespace string

@description('Name of the queue.')
param queueName string

@description('Address of the vault of the secrets that the app only reads.')
param settingsVaultUri string

@description('Address of the vault of what the app itself keeps: its sign-in to Partner Center.')
param signInVaultUri string

@description('Application Insights resource.')
param applicationInsightsName string

@description('Tenant whose users and service principals may call the API.')
param apiTenantId string

@description('Client id of the API.')
param apiClientId string

@description('What callers without a grant of their own reach.')
param accessDefault string

@description('Origins of portals that call the API from a browser.')
param corsOrigins array

@description('Tenant of the Partner Center account.')
param partnerCenterTenantId string

@description('Client id of the registration that acts at Partner Center.')
param partnerCenterClientId string

@description('Time zone of business dates.')
param partnerTimeZone string

@description('App settings that differ from infra/app-settings.json.')
param settings object

@description('Most instances.')
param maximumInstanceCount int

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('HTTP instances that are kept warm.')
param alwaysReadyHttpInstances int

@description('How a new version takes over.')
param updateStrategy string

@description('Subnet of the app; empty without private networking.')
param subnetId string

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

var usual = loadJsonContent('../app-settings.json')

// Read from the vault by the platform with the app's identity; set by a person (docs/deployment.md)
var fromVault = {
  AUTOTASK_USER: 'autotask-user'
  AUTOTASK_SECRET: 'autotask-secret'
  AUTOTASK_INTEGRATION_CODE: 'autotask-integration-code'
  PARTNER_CENTER_CLIENT_SECRET: 'partner-center-client-secret'
}

var references = toObject(
  items(fromVault),
  item => item.key,
  item => '@Microsoft.KeyVault(SecretUri=${settingsVaultUri}secrets/${item.value})'
)

var fixed = {
  // The functions host and its triggers, with the managed identity
  AzureWebJobsStorage__accountName: hostStorageName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  ServiceBus__fullyQualifiedNamespace: busNamespace
  ServiceBus__credential: 'managedidentity'
  ServiceBus__clientId: identityClientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL: 'true'
  PYTHON_ENABLE_OPENTELEMETRY: 'true'
  // The app itself
  AZURE_CLIENT_ID: identityClientId
  TABLES_ENDPOINT: tablesEndpoint
  AUTOTASK_QUEUE: queueName
  API_TENANT: apiTenantId
  API_AUDIENCE: apiClientId
  ACCESS_DEFAULT: accessDefault
  PARTNER_CENTER_TENANT: partnerCenterTenantId
  PARTNER_CENTER_CLIENT_ID: partnerCenterClientId
  KEY_VAULT_URL: signInVaultUri
  PARTNER_TIME_ZONE: partnerTimeZone
}

var appSettings = union(usual, settings, references, fixed)

resource plan 'Microsoft.Web/serverfarms@2025-05-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2025-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentContainerUri
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      runtime: { name: 'python', version: '3.13' }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
        alwaysReady: alwaysReadyHttpInstances > 0 ? [{ name: 'http', instanceCount: alwaysReadyHttpInstances }] : []
      }
      siteUpdateStrategy: { type: updateStrategy }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      cors: { allowedOrigins: corsOrigins, supportCredentials: false }
    }
  }

  resource configuration 'config' = {
    name: 'appsettings'
    properties: appSettings
  }

  // Deployments use Entra ID; user name and password are off
  resource scmPassword 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  resource ftpPassword 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }
}

@description('Name of the function app.')
output name string = app.name

@description('Host name of the function app.')
output hostName string = app.properties.defaultHostName
