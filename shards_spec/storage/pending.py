"""S3's pending multipart uploads: what killed writers leave, invisible but paid for. obstore cannot list them.

Requests are signed by obstore, so that credentials come from wherever the store's own do. It signs only ``GET`` and
the like of a path behind a bucket's endpoint; here the endpoint holds the query that S3 wants, and ends in a parameter
that takes up the path: S3 ignores parameters that begin with ``x-`` unless it knows them.
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
"""For a request."""


def abort_pending_uploads(location: Location) -> int:
    """Abort the uploads below the location's prefix; returns how many.

    Raises:
        OSError: the store refused; a bucket may allow writing but not this.
    """
    uploads = list(_list_uploads(location))
    for key, upload in uploads:
        _request(location, "DELETE", key, {"uploadId": upload})
    return len(uploads)


def _list_uploads(location: Location) -> Iterator[tuple[str, str]]:
    """Keys and ids, at most a page of them: a thousand."""
    prefix = f"{location.prefix}/" if location.prefix else ""
    answer = ET.fromstring(_request(location, "GET", "", {"uploads": "", "prefix": prefix}))  # noqa: S314
    for upload in answer.iterfind("{*}Upload"):
        yield upload.findtext("{*}Key", ""), upload.findtext("{*}UploadId", "")


def _request(location: Location, method: Literal["GET", "DELETE"], key: str, query: dict[str, str]) -> bytes:
    config = s3_config(location)
    region = config.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    endpoint = (location.endpoint or f"https://s3.{region}.amazonaws.com").rstrip("/")
    config["aws_endpoint_url_s3"] = f"{endpoint}/{location.bucket}/{quote(key)}?{urlencode(query)}&x-path="
    config["virtual_hosted_style_request"] = True  # the endpoint is taken as it stands
    signer = S3Store(location.bucket, config=config, credential_provider=profile_credentials(location))
    url = obstore.sign(signer, method, "", timedelta(seconds=SECONDS))
    request = urllib.request.Request(url, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
        data: bytes = response.read()
    return data
