"""A real OpenID provider (npm's oidc-provider) as a process of its own, and a browser that signs in at it."""

import json
import re
import secrets
import subprocess
from html import unescape
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin

import httpx
from joserfc.jwk import RSAKey

from hoopproxy.testing.process import environment
from tests.conftest import NPM

HERE = Path(__file__).parent
START_S_MAX = 60.0
PEOPLE = {"ada": ["analysts"], "franz": ["fraud"]}


class Provider:
    """A context manager; `directory` keeps its keys and people, and `rotate` gives it a new key."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory, self.issuer, self._port = directory, f"http://127.0.0.1:{port}", port
        self.secret = secrets.token_hex(24)
        directory.mkdir(mode=0o700)
        self._keys = [_new_key()]
        self._write("secret", self.secret)
        self.people(PEOPLE)
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def secret_file(self) -> Path:
        """The secret of its client `gateway`."""
        return self.directory / "secret"

    def people(self, people: dict[str, list[str]]) -> None:
        """Who there is, and in which groups, from now on."""
        self._write("people.json", json.dumps(people))

    def rotate(self) -> None:
        """A new key signs; the last one is still published. Nobody is signed in at it any more."""
        self.stop()
        self._keys = [_new_key(), self._keys[0]]
        self._start()

    def withdraw(self) -> None:
        """Only the newest key is published."""
        self.stop()
        del self._keys[1:]
        self._start()

    def machine_token(self) -> str:
        """A token of its client `machine` (RFC 6749 §4.4)."""
        form = {"grant_type": "client_credentials", "scope": "db:read"}
        answer = httpx.post(f"{self.issuer}/token", data=form, auth=("machine", self.secret))
        return str(answer.json()["access_token"])

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate()

    def _start(self) -> None:
        self._write("keys.json", json.dumps({"keys": self._keys}))
        self._process = subprocess.Popen(
            ["node", HERE / "provider.mjs", str(self._port), self.directory, NPM],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        assert self._process.stdout is not None
        assert any("ready" in line for line in iter(self._process.stdout.readline, "")), "the provider did not start"

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text)


class Browser:
    """Follows redirects and fills in forms, as `person`; what it keeps are cookies."""

    def __init__(self, person: str = "ada", verify: Any = True) -> None:
        self.person = person
        self.client = httpx.Client(verify=verify, timeout=20)
        self.seen: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def go(self, url: str) -> httpx.Response:
        """The page at which there is nothing more to do."""
        response = self._get(url)
        for _ in range(20):
            if response.is_redirect:
                response = self._get(urljoin(str(response.url), response.headers["location"]))
            elif (form := re.search(r'<form[^>]*action="([^"]+)"', response.text)) is not None:
                response = self._post(urljoin(str(response.url), unescape(form[1])), response.text)
            else:
                return response
        raise AssertionError(f"no end of it: {self.seen}")

    def _get(self, url: str) -> httpx.Response:
        self.seen.append(url)
        return self.client.get(url)

    def _post(self, url: str, page: str) -> httpx.Response:
        self.seen.append(url)
        fields = dict(_field(each) for each in re.findall(r"<input[^>]*>", page) if 'name="' in each)
        if "password" in page:
            fields |= {"login": self.person, "password": "x"}
        return self.client.post(url, data=fields)


def _field(tag: str) -> tuple[str, str]:
    name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
    assert name is not None
    return name[1], unescape(value[1]) if value else ""


def _new_key() -> dict[str, Any]:
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    return key.as_dict(private=True)
