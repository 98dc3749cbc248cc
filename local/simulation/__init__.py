"""Control framework of the vendor simulators: clock, faults, request log, switches, state and the server.

`app.simulator_app` puts the parts around a simulator's own routes; `serve.serve` runs it. The control
paths are documented in `control`.
"""
