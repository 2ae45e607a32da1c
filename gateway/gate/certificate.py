"""TLS on the public port, with a certificate that may change under way.

Envoy watches the folder: whoever renews the certificate renames the new files (or the folder's link, as Kubernetes
does) into place, and new connections get it.
"""

from pathlib import Path

import yaml

from gate.shapes import Doc, extension, typed

NAME = "gate"
SECRETS = "secrets.yaml"


def socket(folder: str, out: Path) -> Doc:
    """Return the listener's transport socket; nothing without a folder of certificates."""
    if not folder:
        return {}
    source = {"path": str(out / SECRETS), "watched_directory": {"path": folder}}
    secret = {
        "name": NAME,
        "sds_config": {"path_config_source": source, "resource_api_version": "V3"},
    }
    common = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [secret],
    }
    message = "extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return {"transport_socket": extension("tls", message, common_tls_context=common)}


def write(folder: str, out: Path) -> None:
    """Write the file that tells Envoy where the certificate and its key are."""
    if not folder:
        return
    certificate = {
        "certificate_chain": {"filename": f"{folder}/tls.crt"},
        "private_key": {"filename": f"{folder}/tls.key"},
        "watched_directory": {"path": folder},
    }
    name = "extensions.transport_sockets.tls.v3.Secret"
    secret = typed(name, name=NAME, tls_certificate=certificate)
    (out / SECRETS).write_text(yaml.safe_dump({"resources": [secret]}))
