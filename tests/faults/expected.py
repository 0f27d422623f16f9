"""What a store must hold after a process died: what it acknowledged, and of what it was doing then all or nothing.

A key's state is its versions from the newest: (version id, number of the value or None for a marker, number its tags
say). Writers have keys of their own and do one thing at a time, so of each writer at most one operation is in doubt.
"""

from __future__ import annotations

ANY = "any version id"
KEPT = "kept"


def applied(state, line, version_id, sources):
    """The state of a key after an operation. `sources` is the state of the key a copy was made of."""
    op, number, keeps = line["op"], line["number"], line["bucket"] == KEPT
    if op == "retag":
        return [(state[0][0], state[0][1], number), *state[1:]] if state and state[0][1] is not None else state
    if op == "forget":
        return [row for row in state if row[0] not in (line["version"], ANY)]
    if op == "delete":
        return [(version_id, None, None), *state] if keeps else []
    value = number
    if op == "copy":
        if not sources or sources[0][1] is None:
            return state
        value = sources[0][1]
    return [(version_id, value, number), *(state if keeps else [])]


def matches(actual, expected):
    return len(actual) == len(expected) and all(
        seen[1:] == wanted[1:] and wanted[0] in (seen[0], ANY) for seen, wanted in zip(actual, expected, strict=True)
    )


class Expected:
    """The states of all keys, as told by the lines of writers."""

    def __init__(self):
        self.states = {}
        self.doubtful = {}
        self.acknowledged = 0

    def state(self, bucket, key):
        return self.states.get((bucket, key), [])

    def hear(self, line):
        """One line of a writer."""
        if "op" in line:
            assert line["writer"] not in self.doubtful
            self.doubtful[line["writer"]] = line
        elif "done" in line:
            begun = self.doubtful.pop(line["writer"])
            self.acknowledged += 1
            if line["done"] != "refused":
                self._set(begun, line["done"] if begun["bucket"] == KEPT else "null")

    def _set(self, line, version_id):
        sources = self.state(line["bucket"], line.get("source"))
        key = line["bucket"], line["key"]
        self.states[key] = applied(self.states.get(key, []), line, version_id, sources)

    def settle(self, actual):
        """Compare with what is there, where every operation in doubt has happened wholly or not at all.

        Returns what is wrong, a line each. What is there becomes what is expected.
        """
        doubtful = {(line["bucket"], line["key"]): line for line in self.doubtful.values()}
        wrong = []
        for key in sorted(set(self.states) | set(actual) | set(doubtful)):
            seen, wanted = actual.get(key, []), self.states.get(key, [])
            possible = [wanted]
            if key in doubtful:
                line = doubtful[key]
                version_id = ANY if line["bucket"] == KEPT else "null"
                possible.append(applied(wanted, line, version_id, self.state(line["bucket"], line.get("source"))))
            if not any(matches(seen, state) for state in possible):
                wrong.append(f"{key}: {seen} is none of {possible}; in doubt: {doubtful.get(key)}")
        self.doubtful = {}
        self.states = {key: state for key, state in actual.items() if state}
        return wrong
