// A storage account that is reached with Entra ID only.

@description('Name of the account.')
param name string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('SKU.')
param redundancy string

@description('Blob containers to have.')
param containers array

@description('Whether a lock keeps the account from being deleted.')
param locked bool

@description('Whether it is reached over public addresses (with Entra ID still) or through private endpoints only.')
param open bool

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: open ? 'Enabled' : 'Disabled'
    networkAcls: { bypass: 'None', defaultAction: open ? 'Allow' : 'Deny' }
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: { enabled: true, days: 7 }
      containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    }

    resource container 'containers' = [for container in containers: {
      name: container
      properties: { publicAccess: 'None' }
    }]
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (locked) {
  name: 'ledger'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'Holds which adjustments were made in Autotask; without it nobody can say what may be billed again.'
  }
}

@description('Resource id.')
output id string = account.id

@description('Name of the account.')
output name string = account.name

@description('Blob endpoint, with a slash at its end.')
output blobEndpoint string = account.properties.primaryEndpoints.blob

@description('Table endpoint.')
output tableEndpoint string = account.properties.primaryEndpoints.table
