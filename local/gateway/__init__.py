"""API Gateway on this machine: routes, payloads and JWT authorizers."""
