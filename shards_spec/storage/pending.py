"""S3's pending multipart uploads, which killed writers leave behind: they are invisible, but cost money.

obstore cannot list them, but it signs the requests, so that the credentials are those of the store. It signs only
requests such as ``GET`` of a path behind a bucket's endpoint. Here the endpoint contains the query that S3 expects, and
ends in a parameter that absorbs the path: S3 ignores unknown parameters that begin with ``x-``.
"""

import os
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal
from urllib.parse import quote, urlencode

import obstore
from obstore.store import S3Store

from shards_spec.storage.location import Location, profile_credentials, s3_config

SECONDS = 20.0
"""Time limit of one request."""


def abort_pending_uploads(location: Location) -> int:
    """Abort the uploads below the location's prefix; return their number.

    Raises:
        OSError: The store refused. A bucket may permit writing but not this.
    """
    uploads = list(_list_uploads(location))
    for key, upload in uploads:
        _request(location, "DELETE", key, {"uploadId": upload})
    return len(uploads)


def _list_uploads(location: Location) -> Iterator[tuple[str, str]]:
    """Yield keys and ids of at most one page of uploads, which is a thousand."""
    prefix = f"{location.prefix}/" if location.prefix else ""
    answer = ET.fromstring(_request(location, "GET", "", {"uploads": "", "prefix": prefix}))  # noqa: S314
    for upload in answer.iterfind("{*}Upload"):
        yield upload.findtext("{*}Key", ""), upload.findtext("{*}UploadId", "")


def _request(location: Location, method: Literal["GET", "DELETE"], key: str, query: dict[str, str]) -> bytes:
    config = s3_config(location)
    region = config.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    endpoint = (location.endpoint or f"https://s3.{region}.amazonaws.com").rstrip("/")
    config["aws_endpoint_url_s3"] = f"{endpoint}/{location.bucket}/{quote(key)}?{urlencode(query)}&x-path="
    config["virtual_hosted_style_request"] = True  # the endpoint is used unchanged
    signer = S3Store(location.bucket, config=config, credential_provider=profile_credentials(location))
    url = obstore.sign(signer, method, "", timedelta(seconds=SECONDS))
    request = urllib.request.Request(url, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
        data: bytes = response.read()
    return data
