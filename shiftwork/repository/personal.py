"""How a person's own git reaches repositories: agents, helpers, proxies, and no key of a model."""

import re
from collections.abc import Mapping

from shiftwork.variables import plain_variables

MORE = "SHIFTWORK_GIT_ENVIRONMENT"
"""Names further variables that a person's credential helper needs, with commas between."""

_NAMES = frozenset(
    (
        # The other variables of git would say which repository is meant.
        *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH"),
        *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT"),
        *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY"),
        *("SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_SK_PROVIDER"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"),
        *("KRB5CCNAME", "KRB5_CONFIG", "KRB5_KTNAME", "KRB5_CLIENT_KTNAME"),
        # Helpers keep passwords in a keyring, behind the session's bus, or in files for GnuPG.
        *("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"),
        *("GNUPGHOME", "GPG_TTY", "PASSWORD_STORE_DIR"),
        # Those of the hosts of repositories take what logs in to just these.
        *("GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GH_HOST"),
        *("GH_CONFIG_DIR", "GITLAB_TOKEN", "GITLAB_HOST", "GLAB_CONFIG_DIR", "CI_JOB_TOKEN"),
    )
)
_PREFIXES = ("XDG_", "GCM_")
_PROXIES = frozenset(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"))

_NOT_LOGGED_IN = re.compile(
    r"could not read (?:Username|Password)|Authentication failed|Permission denied \(|"
    r"requested URL returned error: 40[13]"
)


def advice(said: str) -> str:
    """What a person can do about what git said, to be put after it; empty if it is not about logging in."""
    if not _NOT_LOGGED_IN.search(said):
        return ""
    return (
        "; if your credential helper, or ssh, needs a variable of your environment, "
        f"name it in {MORE} where the worker is started"
    )


def personal_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of a person's environment by which their git reaches what they can reach."""
    more = frozenset(environ.get(MORE, "").replace(",", " ").split())
    chosen = {
        name: value
        for name, value in environ.items()
        if name in _NAMES or name in more or name.startswith(_PREFIXES) or name.upper() in _PROXIES
    }
    return plain_variables(environ) | chosen
