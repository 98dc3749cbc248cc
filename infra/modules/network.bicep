// Private networking: a network for the app, and an endpoint in it for each service that the app uses.

@description('Unique part of the names.')
param token string

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Address space, a /24: half of it for the app, a quarter for the endpoints.')
param prefix string

@description('What gets an endpoint.')
param targets target[]

@description('One private endpoint: its name, the resource, the part of it, and the public zone whose names it answers.')
type target = {
  name: string
  resourceId: string
  groupId: string
  zone: string
}

var zones = union(map(targets, one => one.zone), [])

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: 'vnet-csp-${token}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [prefix] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(prefix, 25, 0)
          delegations: [{ name: 'flex', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'endpoints'
        properties: { addressPrefix: cidrSubnet(prefix, 26, 2) }
      }
    ]
  }

  resource app 'subnets' existing = {
    name: 'app'
  }

  resource endpoints 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [for one in zones: {
  name: 'privatelink.${one}'
  location: 'global'
  tags: tags
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (one, index) in zones: {
  parent: zone[index]
  name: 'vnet'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: { id: network.id }
  }
}]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [for one in targets: {
  name: 'pe-${one.name}-${token}'
  location: location
  tags: tags
  properties: {
    subnet: { id: network::endpoints.id }
    privateLinkServiceConnections: [
      {
        name: one.name
        properties: { privateLinkServiceId: one.resourceId, groupIds: [one.groupId] }
      }
    ]
  }
}]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [for (one, index) in targets: {
  parent: endpoint[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: one.groupId
        properties: { privateDnsZoneId: zone[indexOf(zones, one.zone)].id }
      }
    ]
  }
}]

@description('Subnet of the app.')
output appSubnetId string = network::app.id
