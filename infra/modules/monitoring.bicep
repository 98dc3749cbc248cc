// Log Analytics, Application Insights on top of it, and a workbook. Telemetry is sent with the managed identity only.

@description('Unique part of the names.')
param token string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('How many days logs and telemetry are kept.')
param retentionDays int

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-csp-${token}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionDays
    features: { disableLocalAuth: true, enableLogAccessUsingOnlyResourcePermissions: true }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-csp-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
    IngestionMode: 'LogAnalytics'
  }
}

// What is open, dead and ready, and every hop of one operation (docs/observability.md)
resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'operations')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    category: 'workbook'
    displayName: 'csp-functions'
    sourceId: workspace.id
    serializedData: loadTextContent('../workbooks/operations.json')
  }
}

@description('Resource id of the workspace.')
output workspaceId string = workspace.id

@description('Name of the Application Insights resource.')
output applicationInsightsName string = insights.name
