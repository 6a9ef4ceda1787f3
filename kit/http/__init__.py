"""The HTTP side of every process: problems, strict JSON, limits, health, OpenAPI, serving."""
