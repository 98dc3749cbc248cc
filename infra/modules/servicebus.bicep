// The queue of operations. Its settings are those that the local emulator uses too: infra/servicebus-queue.json.

@description('Name of the namespace.')
param name string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Standard, or Premium where private endpoints are wanted.')
@allowed(['Standard', 'Premium'])
param tier string

@description('Whether it is reached over public addresses (with Entra ID still) or through private endpoints only.')
param open bool

@description('Workspace that the operational log goes to.')
param workspaceId string

var queueSettings = loadJsonContent('../servicebus-queue.json')

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: tier == 'Premium' ? { name: tier, tier: tier, capacity: 1 } : { name: tier, tier: tier }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: open ? 'Enabled' : 'Disabled'
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: namespace
  name: queueSettings.name
  properties: {
    maxDeliveryCount: queueSettings.maxDeliveryCount
    lockDuration: queueSettings.lockDuration
    deadLetteringOnMessageExpiration: queueSettings.deadLetteringOnMessageExpiration
    defaultMessageTimeToLive: queueSettings.defaultMessageTimeToLive
    requiresSession: queueSettings.requiresSession
    requiresDuplicateDetection: queueSettings.requiresDuplicateDetection
    maxSizeInMegabytes: queueSettings.maxSizeInMegabytes
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'workspace'
  scope: namespace
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'OperationalLogs', enabled: true }]
  }
}

@description('Resource id.')
output id string = namespace.id

@description('Name of the namespace.')
output name string = namespace.name

@description('Name of the queue.')
output queueName string = queue.name

@description('Host name of the namespace.')
output fullyQualifiedNamespace string = split(replace(namespace.properties.serviceBusEndpoint, 'https://', ''), ':')[0]
