"""A client's login over SSH (RFC 4252): what it shows, checked as far as mathematics goes, one attempt at a time.

Who that is, and whether they may in, is not known here; no target's secret either.
"""

from hoopproxy.errors import LimitReached
from hoopproxy.listen.ssh_proof import has_signed, sound_key
from hoopproxy.model import Credentials
from hoopproxy.proofs import HeldKey, Secret
from hoopproxy.settings import Limits
from hoopproxy.ssh.exchange import ServerExchange
from hoopproxy.wire.ssh import userauth
from hoopproxy.wire.ssh.messages import string
from hoopproxy.wire.ssh.userauth import CONNECTION, INTERACTIVE, PASSWORD, PUBLICKEY, Request

METHODS = PUBLICKEY, INTERACTIVE, PASSWORD
USER_BYTES_MAX = 255
TOKEN_BYTES_MAX = 65_536
"""A token that names some thousand groups."""

REQUESTS_MAX = 256
"""A client may ask about many keys before it shows one; an agent holds tens."""

INSTRUCTION = "This gateway asks for the token that you get at sign-in."
PROMPT = "Token: "
NO_TARGET = "Your user name names no target; connect as TARGET@gateway or as ACCOUNT+TARGET@gateway."


class Login:
    """One client's. Give it payloads of authentication; `attempt` is what it has proved and waits for our word about:
    `fail` or `succeed`. Meanwhile no more of what it sends is taken."""

    def __init__(self, exchange: ServerExchange, limits: Limits) -> None:
        self.attempt: Credentials | None = None
        self._exchange, self._limits = exchange, limits
        self._interactive: bytes | None = None
        self._requests = self._failures = 0
        self._is_over = False

    def take(self, payload: bytes) -> None:
        """@raise ProtocolViolation, LimitReached"""
        if payload[0] == userauth.REQUEST:
            self._requested(Request.read(payload))
        elif payload[0] == userauth.INFO_RESPONSE and self._interactive is not None:
            self._answered(payload)
        else:
            raise self._exchange.violated("sent a message of authentication that nobody asked for", f"{payload[0]}")

    def fail(self, sentence: str = "") -> bool:
        """What was asked is refused; `sentence` is shown. Whether the client may try again."""
        self.attempt, self._exchange.is_halted = None, False
        self._failures += 1
        if self._failures >= self._limits.login_attempts_max:
            return False
        if sentence:
            self.tell(sentence)
        self._exchange.say(userauth.failure(*METHODS))
        return True

    def succeed(self) -> None:
        """The client is in, and what it sends from now on is another protocol's."""
        self.attempt, self._is_over = None, True
        self._exchange.say(bytes((userauth.SUCCESS,)))
        self._exchange.is_open, self._exchange.is_halted = True, False

    def tell(self, sentence: str) -> None:
        """Show the client's user something, before its login is over."""
        if self._exchange.is_logging_in and not self._is_over:
            self._exchange.say(userauth.banner(sentence))

    def _requested(self, request: Request) -> None:
        self._requests += 1
        if self._requests > REQUESTS_MAX:
            raise LimitReached(
                "Your client asks about keys without end; offer fewer.", limit="limits.login_attempts_max"
            )
        self._interactive = None
        if request.service != CONNECTION:
            raise self._exchange.violated("asks for a service that is not there", repr(request.service[:40]))
        match request.method:
            case b"none":
                self._exchange.say(userauth.failure(*METHODS))
            case userauth.PUBLICKEY:
                self._showed_key(request)
            case userauth.PASSWORD:
                is_change, token = request.rest.flag(), request.rest.string()
                self._showed_token(request.user, b"" if is_change else token)
            case userauth.INTERACTIVE:
                self._interactive = request.user
                self._exchange.say(userauth.question(INSTRUCTION, PROMPT))
            case _:
                self._refuse()

    def _showed_key(self, request: Request) -> None:
        has_signature, algorithm, blob = request.rest.flag(), request.rest.string(), request.rest.string()
        key = sound_key(algorithm, blob)
        if key is None:
            self._exchange.say(userauth.failure(*METHODS))  # not counted: clients try what they have, old kinds first
        elif not has_signature:
            request.rest.end()
            self._exchange.say(userauth.key_is_fine(algorithm, blob))
        else:
            signature = request.rest.string()
            request.rest.end()
            signed = string(self._exchange.sessionID or b"") + userauth.key_request(request.user, algorithm, blob)
            if has_signed(key, algorithm, signature, signed):
                self._attempted(request.user, Secret(""), HeldKey("ssh", blob))
            else:
                self._refuse()

    def _answered(self, payload: bytes) -> None:
        user, self._interactive = self._interactive, None
        self._showed_token(user or b"", userauth.one_answer(payload) or b"")

    def _showed_token(self, user: bytes, token: bytes) -> None:
        try:
            text = token.decode()
        except UnicodeDecodeError:
            text = ""
        if text and len(token) <= TOKEN_BYTES_MAX:
            self._attempted(user, Secret(text), None)
        else:
            self._refuse("That is no token; use the one that you get at sign-in.")

    def _attempted(self, user: bytes, secret: Secret, key: HeldKey | None) -> None:
        account, _, target = _name(user).rpartition("+")
        if not target:
            self._refuse(NO_TARGET)
            return
        self.attempt = Credentials(target, account, database="", secret=secret, key=key)
        self._exchange.is_halted = True

    def _refuse(self, sentence: str = "") -> None:
        """@raise LimitReached"""
        if not self.fail(sentence):
            raise LimitReached(
                f"{sentence or 'What your client showed was not accepted.'} It was your last attempt; connect again.",
                limit="limits.login_attempts_max",
            )


def _name(user: bytes) -> str:
    """A user name as text; "" if it is none."""
    try:
        name = user.decode() if len(user) <= USER_BYTES_MAX else ""
    except UnicodeDecodeError:
        return ""
    return name if name.isprintable() else ""
