"""Parse the URL of an object store, and connect to it."""

import importlib
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, HTTPStore, MemoryStore, S3Store

from shards_spec.errors import UsageError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config
    from obstore.store import ObjectStore as Client

OPTIONS = {
    "s3": {"endpoint", "region", "profile", "anonymous"},
    "gs": {"anonymous"},
    "az": {"anonymous"},
    "http": set[str](),
    "https": set[str](),
    "memory": set[str](),
}
"""The options that a URL's query may set, by scheme. None of them is a secret, because URLs are logged and shown."""

CONNECT_SECONDS = 5.0
STALL_SECONDS = 20.0
"""Time without a byte after which a request is repeated."""
REQUEST_SECONDS = 60.0
"""Time limit of one request, which is for a range or a part of at most a few MiB."""
FIRST_PAUSE_SECONDS = 0.1
"""Pause before a failed request is repeated. Each further pause may be twice as long as the one before."""
LONGEST_PAUSE_SECONDS = 15.0
"""Longest pause. If requests are retried for less than five times as long, pauses are shorter."""

_ENDPOINT = re.compile(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?")

_memory: dict[str, MemoryStore] = {}


@dataclass(frozen=True, slots=True)
class Location:
    """The parts of an object store's URL."""

    scheme: str
    bucket: str
    """Bucket, container or host; for memory, any name."""
    prefix: str
    """Prefix of all paths, without slashes at its ends; may be empty."""
    options: tuple[tuple[str, str], ...]

    @property
    def base(self) -> str:
        """The URL without its options, to which messages append the names of files."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def option(self, name: str) -> str | None:
        """Return the value of an option, or None."""
        return dict(self.options).get(name)

    @property
    def endpoint(self) -> str | None:
        """Endpoint of an S3 store other than Amazon's, from the URL or the variables that Amazon's own tools read."""
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
        return self.option("endpoint") or next((os.environ[name] for name in names if os.environ.get(name)), None)


def parse_location(url: str) -> Location:
    """Parse the URL of an object store.

    Raises:
        UsageError: The URL names no bucket, has an unknown option, or contains what may be a secret. The message does
            not repeat the secret.
    """
    parts = urlsplit(url)
    user, at, bucket = parts.netloc.rpartition("@")
    shown = f"{parts.scheme}://{'...@' if user else ''}{bucket}{parts.path}"
    if parts.scheme not in OPTIONS:
        taken = ", ".join(f"{scheme}://" for scheme in OPTIONS)
        raise UsageError(f"{shown}: {parts.scheme}:// is not taken, only folders and {taken}")
    if at:
        raise UsageError(f"{shown}: no user name or password may stand in a URL: put credentials in the environment")
    if not bucket:
        raise UsageError(f"{shown}: names no {'host' if parts.scheme.startswith('http') else 'bucket'}")
    if parts.fragment:
        raise UsageError(f"{shown}: a URL must not hold a '#'")
    taken_options = OPTIONS[parts.scheme]
    options = tuple(parse_qsl(parts.query, keep_blank_values=True))
    for name, value in options:
        if name not in taken_options or "@" in value:  # a user's name and password in an endpoint
            may = f"only {', '.join(sorted(taken_options))}" if taken_options else "none"
            raise UsageError(
                f"{shown}: {name!r} may not stand behind the '?' ({may}): put credentials in the environment"
            )
    return Location(parts.scheme, bucket, unquote(parts.path).strip("/"), options)


def connect(location: Location, retry_seconds: float) -> "Client":
    """Return a client of the object store. No request is made yet.

    Args:
        location: Location of the store.
        retry_seconds: How long a request is retried after transient errors (5xx, 429, broken off, stalled).

    Raises:
        UsageError: The environment lacks something that the store requires.
    """
    client_options: ClientConfig = {
        "connect_timeout": timedelta(seconds=min(CONNECT_SECONDS, retry_seconds)),
        "read_timeout": timedelta(seconds=min(STALL_SECONDS, retry_seconds)),
        "timeout": timedelta(seconds=min(REQUEST_SECONDS, retry_seconds)),
    }
    retry: RetryConfig = {
        "max_retries": 1000,
        "retry_timeout": timedelta(seconds=retry_seconds),
        "backoff": {
            "init_backoff": timedelta(seconds=FIRST_PAUSE_SECONDS),
            "max_backoff": timedelta(seconds=min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, retry_seconds / 5))),
            "base": 2,
        },
    }
    bucket, prefix = location.bucket, location.prefix or None
    anonymous = location.option("anonymous") is not None
    try:
        match location.scheme:
            case "memory":
                return _memory.setdefault(location.base, MemoryStore())
            case "s3":
                return _connect_s3(location, client_options, retry)
            case "gs":
                config: Any = {"skip_signature": True} if anonymous else {}
                return GCSStore(bucket, prefix=prefix, config=config, client_options=client_options, retry_config=retry)
            case "az":
                config = {"skip_signature": True} if anonymous else {}
                return AzureStore(
                    bucket, prefix=prefix, config=config, client_options=client_options, retry_config=retry
                )
            case _:
                client_options["allow_http"] = location.scheme == "http"
                return HTTPStore.from_url(location.base, client_options=client_options, retry_config=retry)
    except (BaseError, ValueError) as error:  # the text may contain secrets; its first line names what is missing
        raise UsageError(f"{location.base}: {str(error).splitlines()[0]}") from None


def s3_config(location: Location) -> "S3Config":
    """Return the settings of an S3 store that its URL contains. The others come from the environment."""
    config: S3Config = {}
    if location.endpoint is not None:
        config["aws_endpoint_url_s3"] = location.endpoint
    region = location.option("region")
    if region is not None:
        config["region"] = region
    if location.option("anonymous") is not None:
        config["skip_signature"] = True
    return config


def profile_credentials(location: Location) -> Any:
    """Return a provider of the credentials of an AWS profile; None if no profile is named.

    A profile in the URL comes first, then keys in the environment, then ``AWS_PROFILE``, as in Amazon's own tools.
    """
    profile = location.option("profile")
    if profile is None and "AWS_ACCESS_KEY_ID" not in os.environ:
        profile = os.environ.get("AWS_PROFILE")
    if not profile or location.option("anonymous") is not None:
        return None
    try:
        session = importlib.import_module("boto3").Session(profile_name=profile)
        return importlib.import_module("obstore.auth.boto3").Boto3CredentialProvider(session)
    except ModuleNotFoundError:
        raise UsageError(f"the AWS profile {profile} needs boto3: pip install 'reid-shards[aws-profiles]'") from None
    except Exception as error:  # noqa: BLE001  # boto3's exceptions cannot be named if it is not installed
        raise UsageError(f"the AWS profile {profile} gives no credentials: {error}") from None


def _connect_s3(location: Location, client_options: "ClientConfig", retry: "RetryConfig") -> S3Store:
    if location.endpoint is not None and not _ENDPOINT.fullmatch(location.endpoint):
        raise UsageError(
            f"{location.base}: the endpoint is no URL such as https://host:port, without user and password"
        )
    client_options["allow_http"] = (location.endpoint or "").startswith("http://")
    return S3Store(
        location.bucket,
        prefix=location.prefix or None,
        config=s3_config(location),
        client_options=client_options,
        retry_config=retry,
        credential_provider=profile_credentials(location),
    )
