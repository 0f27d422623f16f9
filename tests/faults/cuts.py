"""Power cuts at every sync of what was recorded, and what must hold after each of them.

`Story` listens to what a script said (`script.py`) and knows what must be there; `Cuts` goes through the recorded events,
rebuilds the directory as it may be after a cut just before each sync, and lets the story look at it. What was acknowledged
before that sync must be there, since what a sync makes sure can only be more.

One thread.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import traceback
from dataclasses import dataclass, field

from isotherm import __version__
from isotherm.clock import SystemClock
from isotherm.devices.drive import SystemDrive
from isotherm.devices.waiting import drive
from isotherm.errors import NotFound, SnapshotExpired
from isotherm.ids import SeededIds
from isotherm.movers.backup import layout
from isotherm.movers.backup.restore import UNFINISHED, restore
from isotherm.server import root_credentials
from isotherm.tenancy.identity import Credentials
from isotherm.tenancy.keystore import FileKeys
from tests.faults.expected import Expected
from tests.faults.looking import actual_states, assert_clean, assert_views_agree
from tests.faults.power import Disk, is_sync, lay_out
from tests.faults.recording import Kind
from tests.faults.script import open_engines, scribe, space_of

_LIFE = 9_000
_TRIES = 5
ROOMS = ("store", "backup", "restored")


class Story:
    """What a script has said so far, and so what a cut must leave."""

    def __init__(self):
        self.stores = {"store": Expected(), "restored": Expected()}
        self.made = False
        self.generations = {}
        self.keeping = None
        self.restored = False
        self.credentials = []

    def hear(self, line):
        expected = self.stores[line.get("store", "store")]
        if "found" in line:
            found = {(bucket, key): [tuple(row) for row in rows] for bucket, key, rows in line["found"]}
            wrong = expected.settle(found)
            assert not wrong, wrong
        elif "made" in line:
            self.made = True
        elif "keeping" in line:
            self.keeping = line["keeping"]
        elif "backed_up" in line:
            self.keeping = None
            self.generations[line["backed_up"]] = dict(expected.states)
            for number in line["removed"]:
                del self.generations[number]
        elif "restored" in line:
            self.restored = True
        elif "credentials" in line:
            self.credentials = [*self.credentials, line["credentials"]]
        elif "op" in line or "done" in line:
            expected.hear(line)
            self.stores["restored"].states.update(self._put_back() if not self.restored else {})

    def _put_back(self):
        return self.generations[max(self.generations)] if self.generations else {}

    @property
    def acknowledged(self):
        return sum(expected.acknowledged for expected in self.stores.values())

    def key(self, room):
        """Of what is expected of a room: two cuts of the same key and image need one look."""
        expected = self.stores.get(room, self.generations)
        state = (
            (expected.states, expected.doubtful)
            if room in self.stores
            else (self.generations, self.stores["store"].states)
        )
        return repr((self.made, self.restored, self.credentials, state))

    def look(self, room, place, scratch):
        """Raises where what lies at `place` is not what it must be."""
        getattr(self, f"_look_at_{room}")(place, scratch)

    def _look_at_store(self, place, scratch):
        engines = open_engines(place, _LIFE)
        try:
            if self.credentials:
                self._sign_in(engines)
            if self.made:
                self._compare(engines, self.stores["store"], scratch)
            else:
                assert_clean(engines, scratch)
        finally:
            engines.close()

    def _sign_in(self, engines):
        """The pair in the file is one that was announced, or that comes after it, and opens the store."""
        directory = engines.directory
        pair = root_credentials.read(directory.root_credentials)
        credentials = Credentials(engines.meta, FileKeys(directory.keys, engines.ids), engines.clock, engines.ids)
        drive(root_credentials.provide(credentials, directory.root_credentials, engines.ids))
        assert drive(credentials.look_up(pair.access_key)).secret == pair.secret
        assert pair.access_key not in self.credentials[:-1], "what was rotated away is back"

    def _compare(self, engines, expected, scratch):
        space = space_of(engines)
        drive(space.set_bucket_tags("plain", {"after": "the cut"}))
        states = actual_states(space)
        expected = copy.deepcopy(expected)
        wrong = expected.settle(states)
        assert not wrong, "\n".join(wrong)
        assert_views_agree(space, states)
        assert_clean(engines, scratch)
        lines = []
        drive(scribe(engines, 14, _LIFE, lambda **line: lines.append(line)).step("put"))
        assert lines[-1]["done"] != "refused"
        assert len(actual_states(space)) == len(states) + 1

    def _look_at_restored(self, place, scratch):
        try:
            engines = open_engines(place, _LIFE, create=False)
        except NotFound:
            assert not self.restored, "the restored store is gone"
            return
        try:
            expected = self.stores["restored"]
            expected.states = expected.states or self._put_back()
            self._compare(engines, expected, scratch)
        finally:
            engines.close()

    def _look_at_backup(self, place, scratch):
        numbers = layout.generations(place) if place.exists() and layout.read_mark(place) is not None else []
        gone = set(self.generations) - set(numbers)
        assert not gone or (self.keeping and max(numbers) > max(gone)), (self.generations.keys(), numbers)
        for number in numbers:
            target = scratch / "put back"
            try:
                restore(
                    place,
                    target,
                    __version__,
                    clock=SystemClock(),
                    ids=SeededIds(number),
                    device=SystemDrive(),
                    generation=number,
                )
                assert not (target / UNFINISHED).exists()
                engines = open_engines(target, _LIFE, create=False)
                try:
                    expected = Expected()
                    expected.states = dict(self.generations.get(number, self.stores["store"].states))
                    self._compare(engines, expected, scratch)
                finally:
                    engines.close()
            finally:
                shutil.rmtree(target, ignore_errors=True)


def without(events, lost):
    """The same events, as if the syncs that `lost` (of an event and the path synced) picks had not been asked for."""
    paths, kept = {}, []
    for event in events:
        if event.kind in (Kind.CREATE, Kind.MKDIR):
            paths[event.inode] = event.name
        elif event.kind in (Kind.LINK, Kind.RENAME):
            paths[event.inode] = os.fsdecode(event.data)
        if is_sync(event) and lost(paths.get(event.inode, "")):
            if event.durable:
                kept.append(event._replace(durable=False))
            continue
        kept.append(event)
    return kept


def just_before(events, point):
    """The medium just before the sync of that number, and what had been said by then."""
    disk, said = Disk(), []
    for event in events:
        point -= is_sync(event)
        if not point:
            break
        disk.take(event)
        if event.kind == Kind.MARK:
            said.append(json.loads(event.data))
    return disk, said


@dataclass
class Found:
    """What one walk through a recording found.

    Args:
        points: syncs before which the power was cut. `images`: directories rebuilt and looked at; `same`: not looked at,
            since the same had been, with the same expected of it.
        problems: (point, variant, room, what is wrong).
    """

    points: int = 0
    images: int = 0
    same: int = 0
    acknowledged: int = 0
    problems: list = field(default_factory=list)

    def __add__(self, other):
        return Found(
            self.points + other.points,
            self.images + other.images,
            self.same + other.same,
            max(self.acknowledged, other.acknowledged),
            self.problems + other.problems,
        )

    def __str__(self):
        told = f"{self.points} cut points, {self.images} images looked at, {self.same} the same as others, {self.acknowledged} acknowledged"
        return "\n".join(
            [told, *(f"cut {point}, {variant}, {room}: {what}" for point, variant, room, what in self.problems[:10])]
        )


class Cuts:
    """A walk through recorded events.

    Args:
        scratch: a directory of its own.
        variants: of a point's number: what may become of what was not synced.
        wanted: whether to cut at a point.
        most: stop after so many problems.
    """

    def __init__(self, scratch, variants, *, wanted=lambda point: True, most=10):
        self._scratch = scratch
        self._variants = variants
        self._wanted = wanted
        self._most = most
        self._seen = set()

    def walk(self, events, *, initial=None, story=None):
        found, disk, story = Found(), Disk(), story or Story()
        if initial is not None:
            disk.load(*initial)
        point = 0
        for event in events:
            if is_sync(event) or event is events[-1]:
                point += 1
                if self._wanted(point):
                    self._cut(point, disk, story, found)
                    if len(found.problems) >= self._most:
                        break
            disk.take(event)
            if event.kind == Kind.MARK:
                story.hear(json.loads(event.data))
        found.acknowledged = story.acknowledged
        return found

    def _cut(self, point, disk, story, found):
        found.points += 1
        for variant in self._variants(point):
            image = disk.image(variant)
            for room in ROOMS:
                self._look(point, variant, room, image, story, found)

    def _look(self, point, variant, room, image, story, found):
        mine = {path: content for path, content in image.items() if path == room or path.startswith(room + "/")}
        key = (room, story.key(room), hash(frozenset(mine.items())))
        if key in self._seen:
            found.same += 1
            return
        self._seen.add(key)
        found.images += 1
        for left in reversed(range(_TRIES)):
            try:
                self._look_once(room, mine, story)
            except SnapshotExpired:  # a machine so busy says nothing of the store
                if left:
                    continue
                raise
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                found.problems.append((point, variant.label, room, f"{error!r} ({where.filename}:{where.lineno})"))
            break

    def _look_once(self, room, image, story):
        place = self._scratch / "image"
        place.mkdir()
        try:
            lay_out(image, place)
            story.look(room, place / room, self._scratch)
        finally:
            shutil.rmtree(place)
