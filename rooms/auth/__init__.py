"""Tokens, API keys and client IPs. `Verifier` is public.

- `api_keys`: creates, checks and revokes API keys
- `circuit_breaker`: stops calls to a service that fails
- `client_ip`: the client's IP address, `X-Forwarded-For`
- `failure_texts`: failed HTTP calls in log lines, without URLs
- `grants`: what tokens grant; the interface of a `Verifier`
- `http_client`: requests to other services, with limits
- `jwks`: the public keys of an identity provider
- `jwt_claims`: the claims of a verified JWT
- `jwt_tokens`: verifies and signs JWTs
- `opaque_tokens`: the backend decodes tokens (`decode_token`)
- `verifier`: selects how a token is verified
"""

from rooms.auth.grants import Verifier

__all__ = ["Verifier"]
