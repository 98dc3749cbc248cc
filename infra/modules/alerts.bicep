// What wakes somebody up. Each title is a heading of docs/runbook.md; the metrics are those of docs/observability.md.

@description('Azure region.')
param location string

@description('Tags.')
param tags object

@description('Workspace of the telemetry.')
param workspaceId string

@description('E-mail addresses that alerts go to.')
param emails array

@description('Age of the oldest open operation, in minutes.')
param oldestOpenMinutes int

@description('Age of the last complete sync, in hours.')
param syncAgeHours int

@description('Answers of 5xx within 15 minutes.')
param serverErrors int

@description('Percent of our share of Autotask\'s requests.')
param budgetUsedPercent int

@description('Refused calls within 15 minutes.')
param refusedCalls int

@description('Monthly cost; 0 for no cost budget.')
param monthlyBudget int

@description('First day of the month in which the cost budget began.')
param budgetStart string

// `measure` says how the values of 15 minutes become one, `by` what they are told apart by
var rules = [
  {
    name: 'dead-letters'
    title: 'Dead letters grow'
    severity: 2
    query: 'AppMetrics | where Name == "csp.dead_letters" | project TimeGenerated, Value = Max'
    measure: 'Maximum'
    operator: 'GreaterThan'
    threshold: 0
    by: ''
  }
  {
    name: 'oldest-open'
    title: 'An operation stays open'
    severity: 2
    query: 'AppMetrics | where Name == "csp.operations.oldest_open.age" | project TimeGenerated, Value = Max'
    measure: 'Maximum'
    operator: 'GreaterThan'
    threshold: oldestOpenMinutes * 60
    by: ''
  }
  {
    name: 'sync-age'
    title: 'Sync has stalled'
    severity: 2
    query: 'AppMetrics | where Name == "csp.sync.age" | project TimeGenerated, Value = Max'
    measure: 'Maximum'
    operator: 'GreaterThan'
    threshold: syncAgeHours * 3600
    by: ''
  }
  {
    name: 'not-ready'
    title: 'A dependency is not ready'
    severity: 1
    query: 'AppMetrics | where Name == "csp.ready" | project TimeGenerated, Value = Min, Dependency = tostring(Properties["dependency"])'
    measure: 'Minimum'
    operator: 'LessThan'
    threshold: 1
    by: 'Dependency'
  }
  {
    name: 'silent'
    title: 'The app is silent'
    severity: 1
    query: 'AppMetrics | where Name == "csp.ready"'
    measure: 'Count'
    operator: 'LessThan'
    threshold: 1
    by: ''
  }
  {
    name: 'server-errors'
    title: 'Requests are answered 5xx'
    severity: 2
    query: 'AppRequests | where toint(ResultCode) >= 500'
    measure: 'Count'
    operator: 'GreaterThan'
    threshold: serverErrors
    by: ''
  }
  {
    name: 'autotask-budget'
    title: 'The Autotask budget is used up'
    severity: 3
    query: 'AppMetrics | where Name == "csp.autotask.budget.used" | project TimeGenerated, Value = 100 * Max'
    measure: 'Maximum'
    operator: 'GreaterThan'
    threshold: budgetUsedPercent
    by: ''
  }
  {
    name: 'refused-calls'
    title: 'Many calls are refused'
    severity: 3
    query: 'AppMetrics | where Name == "csp.requests.refused" | project TimeGenerated, Value = Sum'
    measure: 'Total'
    operator: 'GreaterThan'
    threshold: refusedCalls
    by: ''
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-csp-functions'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'csp-alerts'
    emailReceivers: [for (email, index) in emails: {
      name: 'email-${index}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

resource alert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: 'alert-csp-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: rule.title
    description: 'What to do: docs/runbook.md, "${rule.title}".'
    enabled: true
    severity: rule.severity
    scopes: [workspaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    skipQueryValidation: true // the tables appear with the first telemetry
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: rule.measure
          metricMeasureColumn: rule.measure == 'Count' ? null : 'Value'
          dimensions: empty(rule.by) ? [] : [{ name: rule.by, operator: 'Include', values: ['*'] }]
          operator: rule.operator
          threshold: rule.threshold
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    actions: { actionGroups: [people.id] }
  }
}]

resource cost 'Microsoft.Consumption/budgets@2023-11-01' = if (monthlyBudget > 0) {
  name: 'csp-functions'
  properties: {
    category: 'Cost'
    amount: monthlyBudget
    timeGrain: 'Monthly'
    timePeriod: { startDate: budgetStart }
    notifications: {
      most: { enabled: true, operator: 'GreaterThanOrEqualTo', threshold: 80, contactEmails: emails, contactGroups: [people.id] }
      all: { enabled: true, operator: 'GreaterThanOrEqualTo', threshold: 100, contactEmails: emails, contactGroups: [people.id] }
    }
  }
}
