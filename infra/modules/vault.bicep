// A Key Vault with role-based access. Its secrets are set by a person, or by the app, never by a deployment.

@description('Name of the vault.')
@maxLength(24)
param name string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Whether it is reached over public addresses (with Entra ID still) or through private endpoints only.')
param open bool

@description('Workspace that the audit log goes to.')
param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: open ? 'Enabled' : 'Disabled'
    networkAcls: { bypass: 'None', defaultAction: open ? 'Allow' : 'Deny' }
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'AuditEvent', enabled: true }]
  }
}

@description('Resource id.')
output id string = vault.id

@description('Name of the vault.')
output name string = vault.name

@description('Address of the vault, with a slash at its end.')
output uri string = vault.properties.vaultUri
