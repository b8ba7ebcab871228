"""The detectors: what a secret looks like inside a text, whatever its key.

Each has cheap needles, one of which must occur in the text before its expression is tried. Expressions are linear: no
nested repetition, and every open repetition ends at a character it excludes. JSON text that was never decoded (invalid
or cut contexts) passes here too, so `/` may be written `\\/` and quotes may be escaped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# The beginning of a word, also after an escaped line break of JSON that was never decoded. It keeps expressions linear.
_WORD = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrtbf]))"
_PLAIN_WORD = r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrtbf]))"  # for tokens without a `-` in them
_ARGUMENTS = r"(?: [^\s;|]{1,256}){0,8}?"
_SLASH = r"\\{0,4}/"


@dataclass(frozen=True, slots=True)
class Detector:
    """Hold one rule; `keep` is the replacement's leading part, with groups of the expression."""

    name: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    keep: str = ""

    @property
    def replacement(self) -> str:
        """Return what stands in place of the secret."""
        return f"{self.keep}[redacted:{self.name}]"


def _detector(name: str, needles: str, pattern: str, keep: str = "", flags: int = 0) -> Detector:
    return Detector(name, tuple(needles.split("|")), re.compile(pattern, flags), keep)


DETECTORS = (
    _detector(
        "private_key",
        "-----BEGIN",
        r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        r".*?(?:-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        flags=re.DOTALL,
    ),
    _detector("jwt", "eyJ", _WORD + r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"),
    _detector("aws_key", "AKIA|ASIA|AROA|AIDA", _PLAIN_WORD + r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}"),
    _detector("bearer", "bearer", r"\b(bearer)([\s:=]+)(?!\[redacted)[A-Za-z0-9._~+/=\\-]{6,}", r"\1\2", re.IGNORECASE),
    _detector("basic_auth", "basic", r"\b(basic)(\s+)[A-Za-z0-9+/\\]{8,}={0,2}(?![A-Za-z])", r"\1\2", re.IGNORECASE),
    _detector(
        "dsn",
        "@",
        r"([A-Za-z][A-Za-z0-9+.-]{1,30}:" + _SLASH + _SLASH + r"[^\s:@/\"'<>\\]{0,256}:)"
        r"(?!\d{1,5}[/?#\\]|\[redacted)[^\s\"'<>]{1,512}(?=@)",
        r"\1",
    ),
    _detector(
        "curl_user",
        "-u |--user ",
        r"((?:-u|--user) [\"']?[^\s:\"']{1,128}:)(?!\[redacted)[^\s\"']{1,256}",
        r"\1",
    ),
    _detector(
        "command_login",
        "sshpass -|redis-cli|mysql|mariadb -|mariadb-",
        r"\b(sshpass -p ?|redis-cli" + _ARGUMENTS + r" (?:-a|--pass) "
        r"|(?:mysql|mariadb)(?:-?(?:dump|admin|import|check))?" + _ARGUMENTS + r" -p)[\"']?"
        r"(?!\[redacted)[^\s\"']{1,256}",
        r"\1",
    ),
    _detector("signed_url", "sig=", r"([?&;]sig=)(?!\[redacted)[^\s&\"'<>]{6,}", r"\1"),
    _detector(
        "define",
        "define(",
        r"(define\( {0,4}[\"'][A-Z0-9_]{0,64}(?:PASS|KEY|SALT|SECRET|TOKEN)[A-Z0-9_]{0,64}[\"'], {0,4})"
        r"[\"'](?!\[redacted)[^\"']{1,512}",
        r"\1'",
    ),
    _detector(
        "identified_by",
        "identified|password '|password \"|password(|password (|password \\",
        r"(identified (?:with \S{1,64} )?(?:by|as) |\bpassword(?:\s{1,4}|\s{0,4}\(\s{0,4}))"
        r"\\*['\"](?!\[redacted)[^'\"]{1,512}",
        r"\1'",
        re.IGNORECASE,
    ),
    _detector(
        "github_token",
        "ghp_|gho_|ghu_|ghs_|ghr_|github_pat",
        _PLAIN_WORD + r"(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,})",
    ),
    _detector("gitlab_token", "glpat", _WORD + r"glpat-[A-Za-z0-9_-]{12,}"),
    _detector("slack_token", "xox|xapp-", _WORD + r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}"),
    _detector(
        "webhook",
        "hooks.slack|webhooks",
        r"((?:hooks\.slack\.com|discord(?:app)?\.com)"
        + _SLASH
        + r"(?:services|(?:api"
        + _SLASH
        + r")?webhooks)"
        + _SLASH
        + r")[A-Za-z0-9_/\\-]{8,}",
        r"\1",
    ),
    _detector("stripe_key", "_live_|_test_|whsec_", _PLAIN_WORD + r"(?:[sr]k_(?:live|test)_|whsec_)[A-Za-z0-9]{8,}"),
    _detector(
        "google_key",
        "AIza|ya29.|GOCSPX-",
        _WORD + r"(?:AIza[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{10,}|GOCSPX-[A-Za-z0-9_-]{16,})",
    ),
    _detector("sendgrid_key", "SG.", _WORD + r"SG\.[A-Za-z0-9_-]{12,}\.[A-Za-z0-9_-]{12,}"),
    _detector(
        "provider_token",
        "do_v1_|doo_v1_|dop_v1_|dor_v1_|npm_|hf_|pypi-|shpat_|hvs.|AGE-SECRET",
        _WORD + r"(?:do[opr]?_v1_[a-f0-9]{16,}|npm_[A-Za-z0-9]{16,}|hf_[A-Za-z0-9]{16,}|pypi-[A-Za-z0-9_-]{16,}"
        r"|shpat_[A-Fa-f0-9]{16,}|hvs\.[A-Za-z0-9_-]{16,}|AGE-SECRET-KEY-[A-Z0-9]{16,})",
    ),
    _detector("openai_key", "sk-", _WORD + r"sk-[A-Za-z0-9_-]{20,}"),
    _detector("twilio_key", "SK", _PLAIN_WORD + r"SK[0-9a-f]{32}"),
    _detector("telegram_token", ":AA", r"(?:" + _WORD + r"|(?<=/bot))\d{8,10}:AA[A-Za-z0-9_-]{30,}"),
    _detector("mailgun_key", "key-", _PLAIN_WORD + r"key-[0-9a-f]{32}"),
    _detector(
        "password_hash",
        "$2|$argon2|$6$|$5$|$1$|$p$|$y$|$apr1$",
        r"\$(?:2[abxy]?\$\d\d\$[./A-Za-z0-9]{20,}|argon2(?:id|i|d)\$[^\s\"',]{16,}"
        r"|(?:[156y]|apr1)\$[^\s\"',]{16,}|P\$[./A-Za-z0-9]{20,})",
    ),
    _detector(
        "license_key",
        "IMINIO-|IMDEV-|IPGRES-",
        _WORD + r"((?:IMINIO|IMDEV|IPGRES)-)(?!\[redacted)[A-Za-z0-9][A-Za-z0-9-]*",
        r"\1",
    ),
)

EMAIL = _detector("email", "@", r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,255}\.[A-Za-z]{2,24}")
