"""The secret keys: which names announce a secret, whatever case and separators they are written in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from typing import Any

from agent.mapping.leaf import MARK

# Rule → words; a key is compared in lower case without anything but letters and digits, so `x-Api_Key` is `xapikey`.
_WORDS: dict[str, tuple[str, ...]] = {
    "password": (
        *("password", "passwd", "passphrase", "passcode", "pwd", "passwort"),
        *("kennwort", "contraseña", "contrasena", "motdepasse", "wachtwoord", "пароль"),
    ),
    "license_key": ("licensekey", "licencekey", "activationkey", "productkey", "serialkey"),
    "access_key": ("accesskey",),
    "api_key": ("apikey", "consumerkey"),
    "private_key": (
        "privatekey",
        "privkey",
        "sshkey",
        "signingkey",
        "encryptionkey",
        "masterkey",
        "sharedkey",
        "accountkey",
        *(
            "deploykey",
            "hmackey",
            "tlskey",
            "sslkey",
            "certkey",
            "gpgkey",
            "pgpkey",
            "rsakey",
            "recoverykey",
            "keypair",
        ),
        *("wifikey", "wpakey", "seedphrase", "mnemonic"),
    ),
    "secret": ("secret",),
    "token": ("token",),
    "authorization": ("authorization", "authkey", "authcode", "xauth"),
    "credential": ("credential", "creds"),
    "cookie": ("cookie",),
    "session": ("sessionid", "sessid", "sessionkey"),
    "signature": ("signature",),
}
_EXACT = {
    **dict.fromkeys(("pw", "userpw", "dbpw", "rootpw", "adminpw", "mysqlpw", "ftppw", "smtppw"), "password"),
    **dict.fromkeys(
        (
            *("otp", "totp", "otpcode", "pin", "pincode", "cvv", "cvc", "psk", "vpnpsk", "wifipsk", "securityanswer"),
            *("mfacode", "2facode", "twofactorcode", "recoverycode", "recoverycodes", "backupcode", "backupcodes"),
            *("unlockcode", "cardnum", "cardnumber", "ccnum", "ccnumber", "creditcardnumber"),
        ),
        "secret",
    ),
    "connectsid": "session",
    **dict.fromkeys(("auth", "bearer", "jwt"), "authorization"),
}
_ANY_WORD = re.compile("|".join(word for words in _WORDS.values() for word in words))
"""Asked first: keys that are data are never seen twice, so no cache helps with them."""
_PASS = re.compile(r"(?<!by)(?<!com)(?<!sur)(?<!tres)(?<!over)(?<!under)(?<!first)(?<!second)(?<!multi)pass$")
"""The last part of `smtp_pass` and its like."""
# A number under `token_count` or `password_expires_in` is about a secret, not one.
_ABOUT = re.compile(
    r"(?:counts?|used|usage|total|limit|max|min|length|ttl|at|age|days|seconds|expires|expiry|expiresin|version"
    r"|retries|attempts)$"
)
_REPLACED = re.compile(r"(?:[A-Z]{2,10}-)?\[redacted:[^\[\]]{1,100}\]")
"""What stands for a secret: as a value it is none, as a key it names none."""
_MARKS = re.compile(r"\[redacted:[^\[\]]{1,100}\]")
_NOISE = re.compile(r"[\W_]+")
_CACHED_KEYS = 10_000


def is_replaced(item: Any) -> bool:
    """Return whether a value or a key is what redaction left there before."""
    return item.__class__ is str and _REPLACED.fullmatch(item) is not None


class SecretKeys:
    """Judge keys; `patterns` are further ones, a part of a name (`pin_block`) or a glob (`stripe_*`)."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._own = [(pattern, re.compile(_expression(pattern))) for pattern in patterns]
        self._known: dict[str, str | None] = {}

    @property
    def needles(self) -> tuple[str, ...]:
        """Return what a text must hold (in lower case) for a `key=value` pair in it to be a secret."""
        own = (max(_parts(pattern), key=len, default="") for pattern, _ in self._own)
        return (*PAIR_WORDS, *filter(None, own))

    def rule(self, key: str) -> str | None:
        """Return the rule a key falls under, or None."""
        try:
            return self._known[key]
        except KeyError:
            if len(self._known) >= _CACHED_KEYS:
                self._known.clear()
            found = self._known[key] = self._find(key)
            return found

    def is_secret(self, key: str, value: Any) -> bool:
        """Return whether this value under a secret key is itself one."""
        if value is None or value.__class__ is bool or value in ("", [], {}):
            return False
        return not (isinstance(value, int | float) and _ABOUT.search(_NOISE.sub("", key.lower())))

    def _find(self, key: str) -> str | None:
        # What stands for a secret in a key names its rule, which says nothing about the value.
        name = (_MARKS.sub("0", key) if MARK in key else key).lower()
        if not name.isalnum():  # else there is no noise in it, as in most keys that are data
            name = _NOISE.sub("", name)
        for pattern, expression in self._own:
            if expression.search(name):
                return pattern
        if name in _EXACT:
            return _EXACT[name]
        if name.endswith("pass") and _PASS.search(name) is not None:
            return "password"
        if _ANY_WORD.search(name) is None:
            return None
        return next((rule for rule, words in _WORDS.items() if any(word in name for word in words)), None)


PAIR_WORDS = (
    "pass", "pw", "secret", "token", "auth", "cred", "cookie", "sess", "signature", "key", "otp", "cvv", "cvc",
    "psk", "jwt", "pin", "mfa", "recovery", "codes", "card",
)  # fmt: skip


def _parts(pattern: str) -> list[str]:
    return [_NOISE.sub("", part) for part in re.split(r"[*?_\-. ]+", pattern.lower())]


def _expression(pattern: str) -> str:
    normal = "*".join(_NOISE.sub("", part) for part in pattern.lower().split("*"))
    return translate(normal) if "*" in normal else re.escape(normal)
