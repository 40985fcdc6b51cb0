"""What the output of a failed installation means for an artist."""

NO_NETWORK = (
    "The packages could not be fetched because pypi.org or pytorch.org cannot be reached: "
    "check the internet connection and try again, or use a Python of your own."
)
NO_SPACE = "The disk ran full during the installation: free some space and try again."
PROXY = (
    "A proxy refused the download: set HTTPS_PROXY to the proxy's address, with user and password "
    "if it wants them, before starting Blender, and try again."
)
CERTIFICATE = (
    "The download was refused because its certificate is not trusted, as behind some company networks: "
    "set SSL_CERT_FILE to the network's certificate before starting Blender, and try again."
)
NO_PERMISSION = (
    "A folder could not be written for lack of permission or because a file in it is in use: "
    "close other Blenders, check the permissions of your data folder, and try again."
)
NO_ENSUREPIP = (
    "This Blender's Python cannot make environments because it came without ensurepip: "
    "install your system's python3-venv package, or use a Python of your own."
)
NO_BUILD = (
    "PyTorch has no build for this machine and this Blender's Python: "
    "use a newer Blender, or a Python of your own that has PyTorch."
)

_SIGNS = (
    (NO_NETWORK, "broken pipe"),  # whose number on Linux is that of a file in use on Windows
    (NO_SPACE, "no space left|not enough space|disk quota|errno 28]|os error 28|os error 112|winerror 112]"),
    (PROXY, "proxyerror|cannot connect to proxy|proxy authentication|tunnel connection failed|tunnel error"),
    (CERTIFICATE, "certificate_verify_failed|invalid peer certificate|unknownissuer"),
    (
        NO_PERMISSION,
        "permission denied|access is denied|read-only file|os error 5)|os error 32)|winerror 5]|winerror 32]",
    ),
    (NO_ENSUREPIP, "ensurepip is not available|no module named ensurepip|no module named venv"),
    (NO_BUILD, "no wheels with a matching|no matching platform|no matching python"),
    (
        NO_NETWORK,
        "failed to fetch|failed to resolve|dns error|name or service not known|getaddrinfo|newconnectionerror"
        "|connection refused|connection reset|network is unreachable|timed out|error sending request"
        "|no matching distribution|index lookups were disabled",
    ),
)
"""Sentence, and what betrays it in the lower-case output of venv, pip or uv; the first that fits counts."""


def explain(output: str) -> str:
    """One sentence on why an installation failed, from what its last command said."""
    lowered = output.lower()
    for sentence, signs in _SIGNS:
        if any(sign in lowered for sign in signs.split("|")):
            return sentence
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "no reason given")
    return (
        f"The installation failed ({last}): try again, and report what the system console shows if it stays."
    )
