"""A local Azure Functions host for Python apps of the v2 programming model: HTTP, timers, Service Bus queues.

It loads `function_app.app` as it is deployed and plays the part of the .NET host: `bindings` reads the decorators,
`settings` resolves names, `routes` and `http_server` serve HTTP, `timers` and `queues` listen, `conversion` builds
what a function receives, `invocation` runs it, `host` starts and stops all of it. Run: `python -m
local.functions_host --app DIR --port P`.
"""
