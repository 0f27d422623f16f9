"""The change feed over HTTP, as any program could follow it: server-sent events, and pages."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from demo.clients import Credentials

CATCH_UP_S = 10.0


@dataclass(frozen=True, slots=True)
class Record:
    cursor: str
    kind: str
    key: str
    version_id: str

    @classmethod
    def parse(cls, value: dict[str, Any]) -> Record:
        return cls(value["cursor"], value["kind"], value["key"], value["version_id"])


class FeedUrl:
    """Where a bucket's feed is, and how one signs in to it."""

    def __init__(self, admin: str, credentials: Credentials, bucket: str) -> None:
        self._address = f"{admin}/v1/feed"
        self._bucket = bucket
        pair = f"{credentials.access_key}:{credentials.secret_key}"
        self._headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def open(self, cursor: str | None, *, events: bool) -> Any:
        """A response: a stream of events, or a page of at most 1,000 records."""
        query = {"bucket": self._bucket} | ({"cursor": cursor} if cursor else {})
        headers = self._headers | ({"Accept": "text/event-stream"} if events else {})
        return urllib.request.urlopen(urllib.request.Request(f"{self._address}?{urlencode(query)}", headers=headers))

    def read_all(self) -> list[Record]:
        """From the oldest record kept to the newest, page by page."""
        records: list[Record] = []
        cursor = None
        while True:
            with self.open(cursor, events=False) as answer:
                page = json.load(answer)
            records += [Record.parse(change) for change in page["changes"]]
            if not page["changes"]:
                return records
            cursor = page["cursor"]


class Follower:
    """Follows on a thread of its own; when the connection breaks it goes on from the last cursor it was given."""

    def __init__(self, url: FeedUrl) -> None:
        self._url = url
        self._cursor: str | None = None
        self._records: list[Record] = []
        self._ended = threading.Event()
        self.connections = 0

    def start(self) -> None:
        threading.Thread(target=self._follow, name="feed", daemon=True).start()

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                with self._url.open(self._cursor, events=True) as stream:
                    self.connections += 1
                    for line in stream:
                        self._take(line.decode().rstrip("\n"))
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)

    def _take(self, line: str) -> None:
        name, _, value = line.partition(": ")
        if name == "id":
            self._cursor = value
        elif name == "data":
            self._records.append(Record.parse(json.loads(value)))

    def finish(self, last: str) -> list[Record]:
        """What was seen, once the record with the cursor `last` has come.

        Raises:
            RuntimeError: it did not come within CATCH_UP_S.
        """
        until = time.monotonic() + CATCH_UP_S
        while not (self._records and self._records[-1].cursor >= last):
            if time.monotonic() > until:
                raise RuntimeError(f"the follower is behind: {len(self._records)} records, {last} has not come")
            time.sleep(0.01)
        self._ended.set()
        return list(self._records)
