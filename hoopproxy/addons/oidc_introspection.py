"""Asks an issuer whether a token still counts (RFC 7662), as a client of its own. Knows no identity and no policy."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import orjson

from hoopproxy.addons.jwks import Answer, Fetch, is_safe, metadata
from hoopproxy.disk.private import read_private

ANSWER_BYTES_MAX = 65536
SECRET_BYTES_MAX = 4096
ASK_S_MAX = 2.0
"""Discovery and answer, one after the other, stay below the default of `limits.decision_s_max`."""


class CantTell(Exception):
    """The issuer did not say whether the token counts; the text is for the operator."""


class Introspection:
    """One issuer's endpoint, at `url` or where its metadata says. The secret is read anew for each question."""

    def __init__(
        self, fetch: Fetch, issuer: str, url: str | None, client_id: str, secret_file: Path, ca_file: str | None
    ) -> None:
        self._fetch, self._issuer, self._url, self._ca_file = fetch, issuer, url, ca_file
        self._client_id, self._secret_file = client_id, secret_file

    async def ask(self, token: str) -> Mapping[str, Any] | None:
        """What the issuer says of an access token that counts; None for one that does not.

        @raise Exception: it can't be told.
        """
        url = self._url or await self._discovered()
        secret = read_private(self._secret_file, SECRET_BYTES_MAX).decode().strip()
        # RFC 6749 §2.3.1: both are encoded as in a form, and only then as in HTTP's Basic.
        basic = b64encode(f"{quote_plus(self._client_id)}:{quote_plus(secret)}".encode()).decode()
        answer: Answer = await self._fetch(
            "POST",
            url,
            headers={
                "Accept": "application/json",
                "Authorization": f"Basic {basic}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            body=urlencode({"token": token, "token_type_hint": "access_token"}).encode(),
            timeout_s=ASK_S_MAX,
            bytes_max=ANSWER_BYTES_MAX,
            ca_file=self._ca_file,
        )
        if answer.status != 200:
            raise CantTell(f"{url} answered with status {answer.status}")
        said = orjson.loads(answer.body)
        if not isinstance(said, dict) or not isinstance(said.get("active"), bool):
            raise CantTell(f"{url} did not answer as RFC 7662 has it")
        self._url = url
        return said if said["active"] else None

    async def _discovered(self) -> str:
        url = (await metadata(self._fetch, self._issuer, self._ca_file)).get("introspection_endpoint")
        if not isinstance(url, str) or not is_safe(url):
            raise CantTell(f"{self._issuer} names no introspection_endpoint that begins with https://")
        return url
