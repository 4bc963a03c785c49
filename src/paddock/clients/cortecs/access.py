"""Where a client's calls go, and with what: its address, its credentials, and the token it has for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from paddock.clients.cortecs.error import BadRequest, Unauthorized
from paddock.schemas.cortecs import TokenResponse
from paddock.settings import cortecs_defaults

_CREDENTIALS = "CORTECS_CLIENT_ID and CORTECS_CLIENT_SECRET, or client_id and client_secret"


@dataclass
class Access:
    """One client's access to one server. Threads may share it: at worst two of them fetch a token at once."""

    base_url: str
    client_id: str | None
    client_secret: str | None = field(repr=False)
    timeout: float | None
    _token: tuple[str, float] | None = field(default=None, repr=False)

    def token_at(self, now: float) -> str | None:
        """The token, if there is one that holds for a while from `now` (monotonic seconds) on."""
        token = self._token
        return token[0] if token is not None and now < token[1] else None

    def keep(self, answer: TokenResponse, now: float) -> str:
        """Remember a token that was asked for at `now`."""
        # Renewed a little early, so that none runs out on its way to the server.
        held = answer.expires_in - min(60.0, answer.expires_in / 10)
        self._token = (answer.access_token, now + held)
        return answer.access_token

    def forget(self, token: str) -> None:
        """Do not use `token` again."""
        if self._token is not None and self._token[0] == token:
            self._token = None

    def has_credentials(self) -> bool:
        """Whether a token can be asked for.

        Raises:
            Unauthorized: only one half of the credentials is there.
        """
        if bool(self.client_id) != bool(self.client_secret):
            missing = "client_secret" if self.client_id else "client_id"
            raise Unauthorized(f"{missing} is missing: set {_CREDENTIALS}")
        return bool(self.client_id)

    def explain(self, refusal: Unauthorized) -> None:
        """Have `refusal` say what to do about it, if no credentials were sent."""
        if not self.client_id:
            refusal.message += f"; set {_CREDENTIALS}"


def open_access(
    client_id: str | None, client_secret: str | None, base_url: str | None, timeout: float | None
) -> Access:
    """What the arguments of a client say, and the environment where they are None.

    Raises:
        BadRequest: an argument cannot be used; the message says which.
    """
    default_id, default_secret, default_url, _ = cortecs_defaults()
    base_url = base_url or default_url
    if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
        raise BadRequest(
            f"api_base_url must be a URL such as http://127.0.0.1:8800/cortecs/api/v1, not {base_url!r}"
        )
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0
    ):
        raise BadRequest(f"request_timeout must be a number of seconds above 0, not {timeout!r}")
    return Access(base_url, client_id or default_id, client_secret or default_secret, timeout)
