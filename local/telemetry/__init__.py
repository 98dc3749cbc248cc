"""A receiver of OTLP over HTTP that stands in for Application Insights: it keeps what it gets and shows it.

`otlp` reads the JSON encoding, `kept` holds the newest spans, log records and points in memory, and `__main__` serves
both sides: `POST /v1/traces`, `/v1/metrics`, `/v1/logs`, and the control paths under `/_control`.
"""
