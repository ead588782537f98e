#!/usr/bin/env python3
"""Checks an export of keyledger without keyledger, as docs/audit.md describes.

    pip install -r requirements.txt
    python3 verify.py [--key PUBLIC_KEY]... [--checkpoint CHECKPOINT_FILE]... EXPORT...

A CHECKPOINT_FILE holds checkpoints that were kept earlier, with an empty line between two.
Without --key, the export is checked against the public key that it contains. That proves nothing
against the person who made the file. Exit codes: 0 everything is as it was signed, 1 there are
findings, 2 a file cannot be read, 3 a file was changed on its way.
"""

import argparse
import base64
import binascii
import datetime
import hashlib
import json
import re
import sys
import zlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RANGE = 256
MAX_LINE = 1024 * 1024
MAX_NOTE = 64 * 1024
LIMIT = 1000
U64 = 2**64
U32 = 2**32

TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
STREAM = re.compile(r"apikey-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Malformed(Exception):
    """A text does not have the required form."""


def sha256(data):
    return hashlib.sha256(data).digest()


def from_base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("not base64") from error
    # Python ignores the unused bits of the last character; the format requires them to be zero.
    if base64.b64encode(data).decode() != text:
        raise Malformed("not base64 as it is written")
    return data


def to_hash(text):
    if not isinstance(text, str):
        raise Malformed("no hash")
    data = from_base64(text)
    if len(data) != 32:
        raise Malformed("no hash")
    return data


# JSON in which no member occurs twice and all numbers are integers.


def once(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("a member stands twice")
    return members


def whole(text):
    number = int(text)
    if text.startswith("-"):
        raise Malformed("a negative number")
    return number


def refuse(_):
    raise Malformed("not a whole number")


def parse_json(line, **hooks):
    try:
        return json.loads(line.decode("utf-8"), parse_constant=refuse, **hooks)
    except (ValueError, RecursionError) as error:
        raise Malformed("no JSON") from error


def parse_line(line, required, optional=()):
    value = parse_json(line, object_pairs_hook=once, parse_int=whole, parse_float=refuse)
    if not isinstance(value, dict) or not set(required) <= set(value):
        raise Malformed("a member is missing")
    if not set(value) <= set(required) | set(optional):
        raise Malformed("a member is unknown")
    return value


def number(value, below):
    if isinstance(value, bool) or not isinstance(value, int) or not value < below:
        raise Malformed("no number")
    return value


def text(value):
    if not isinstance(value, str):
        raise Malformed("no text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("no Unicode") from error
    return value


# The Merkle tree.


def node(left, right):
    return sha256(b"\x01" + left + right)


class Tree:
    """The roots of the complete subtrees, the largest first."""

    def __init__(self):
        self.size, self.roots = 0, []

    def append(self, leaf):
        size = self.size
        while size % 2:
            leaf = node(self.roots.pop(), leaf)
            size //= 2
        self.roots.append(leaf)
        self.size += 1

    def root(self):
        if not self.roots:
            return sha256(b"")
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node(left, root)
        return root

    def copy(self):
        other = Tree()
        other.size, other.roots = self.size, list(self.roots)
        return other


def root_of(leaves):
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def is_included(leaf, index, size, proof, root):
    """Checks an inclusion proof as in RFC 9162, 2.1.3.2."""
    if index >= size:
        return False
    fn, sn, hashed = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn % 2 or fn == sn:
            hashed = node(sibling, hashed)
            while fn % 2 == 0 and fn:
                fn, sn = fn // 2, sn // 2
        else:
            hashed = node(hashed, sibling)
        fn, sn = fn // 2, sn // 2
    return sn == 0 and hashed == root


# Keys, notes and checkpoints.


def is_name(name):
    plain = not any(c.isspace() or c == "+" or is_control(c) for c in name)
    return plain and 1 <= len(name.encode("utf-8")) <= 255


def is_control(char):
    return ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F


class Key:
    def __init__(self, encoded):
        parts = encoded.split("+", 2)
        if len(parts) != 3 or not is_name(parts[0]):
            raise Malformed("no public key")
        self.name, key_id, rest = parts
        typed = from_base64(rest)
        if len(typed) != 33 or typed[0] != 1:
            raise Malformed("no public key")
        self.id = sha256(self.name.encode() + b"\n" + typed)[:4]
        if self.id.hex() != key_id:
            raise Malformed("the key id is that of another key")
        self.public = typed[1:]

    def signed(self, data, signature):
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


class Note:
    def __init__(self, note):
        if len(note.encode("utf-8")) > MAX_NOTE:
            raise Malformed("too long")
        end = note.rfind("\n\n")
        if end < 0 or not note.endswith("\n") or end + 2 >= len(note):
            raise Malformed("no signatures")
        self.text, lines = note[: end + 1], note[end + 2 : -1].split("\n")
        if len(lines) > 64 or any(c < " " and c != "\n" for c in self.text):
            raise Malformed("too many signatures, or a control character")
        self.signatures = []
        for line in lines:
            parts = line.split(" ", 2)
            if len(parts) != 3 or parts[0] != "\u2014" or not is_name(parts[1]):
                raise Malformed("no signature")
            signature = from_base64(parts[2])
            if len(signature) < 5:
                raise Malformed("no signature")
            self.signatures.append((parts[1], signature[:4], signature[4:]))


class Checkpoint:
    def __init__(self, body):
        if not body.endswith("\n"):
            raise Malformed("no line feed at the end")
        lines = body[:-1].split("\n")
        if len(lines) < 3 or not all(lines) or len(lines) > 19:
            raise Malformed("no checkpoint")
        self.origin, size, root = lines[:3]
        if not re.fullmatch(r"0|[1-9][0-9]{0,19}", size) or int(size) >= U64:
            raise Malformed("no size")
        self.size, self.root = int(size), to_hash(root)
        times = [line[5:] for line in lines[3:] if line.startswith("time ")]
        if len(times) > 1 or not all(map(is_time, times)):
            raise Malformed("no time")


def is_time(value):
    if not TIME.fullmatch(value):
        return False
    try:
        datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        return False
    return not value[17:].startswith("60")


def distrust(note, checkpoint, keys):
    """The reason not to accept a note, or None. `note` and `checkpoint` are None if malformed."""
    if note is None:
        return "altered-checkpoint: the checkpoint is not a signed note"
    signers = []
    for name, key_id, signature in note.signatures:
        for key in keys:
            if (key.name, key.id) == (name, key_id):
                if not key.signed(note.text.encode("utf-8"), signature):
                    return f"bad-signature: the signature of {name}+{key_id.hex()} is wrong"
                signers.append(key)
    if not signers:
        others = ", ".join(f"{name}+{key_id.hex()}" for name, key_id, _ in note.signatures)
        return f"unknown-key: signed by {others}, none of which is trusted"
    if checkpoint is None:
        return "altered-checkpoint: the checkpoint is not of the form of one"
    if all(key.name != checkpoint.origin for key in signers):
        return "altered-checkpoint: the checkpoint is signed by the key of another log"
    return None


def did_not_sign(note, checkpoint, key):
    """Whether a note has no signature by this key, neither a right one nor a wrong one."""
    why = distrust(note, checkpoint, [key]) or ""
    return why.startswith("unknown-key:") or why.endswith("the key of another log")


def notes_of(text):
    """The notes of a file, which are separated by empty lines."""
    notes, note, signed = [], "", False
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        if signed and line == "\n":
            notes.append(note)
            note = ""
        else:
            note += line
        signed = line.startswith("\u2014 ")
    return notes + [note] if note or not notes else notes


def attempt(make, *arguments):
    try:
        return make(*arguments)
    except Malformed:
        return None


# Files that were changed on their way, by a program that did not mean to forge them.

START = 64


def mangled(how):
    return f"{how}; get the file again, byte for byte"


def mangled_at_start(start):
    """What the first bytes of a file show, or None."""
    if not start:
        return mangled("the file is empty")
    if start.startswith(b"\x1f\x8b"):
        return mangled("the file is compressed with gzip")
    if start.startswith(b"\xef\xbb\xbf"):
        return mangled("the file begins with a byte order mark")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return mangled("the file was converted to UTF-16")
    if start[:START].lstrip(b" \t\n\x0c\r").startswith(b"<"):
        return mangled("the file is an HTML or XML page")
    return None


CR_LF = mangled("the line ends were changed to CR LF")
NO_LINE_FEED = mangled("the line feed at the end is missing")


def mangled_notes(data):
    """How a file of checkpoints was changed on its way, or None."""
    if why := mangled_at_start(data):
        return why
    lines = re.findall(rb"[^\n]*\n|[^\n]+", data)
    if lines[0].endswith(b"\r\n") and lines[-1].endswith(b"\r\n"):
        return CR_LF
    last = notes_of(data.decode("utf-8", errors="replace"))[-1]
    if not last.endswith("\n") and attempt(Note, last + "\n"):
        return NO_LINE_FEED
    return None


# The lines of an export.


EVENT = re.compile(
    rb'\{"index":(0|[1-9][0-9]*),"stream":"([^"\\\x00-\x1f]*)","revision":(0|[1-9][0-9]*),'
    rb'"event_id":"([^"\\\x00-\x1f]*)","type":"([^"\\\x00-\x1f]*)","data":'
)
PROOF = re.compile(rb'","proof":\[((?:"[^",]*"(?:,"[^",]*")*)?)\]\}\n')
RANGE_LINE = re.compile(rb'\{"range":(0|[1-9][0-9]*),"hash":"([^"]*)"\}\n')
TRAILER = re.compile(rb'\{"events":(0|[1-9][0-9]*),"crc32":"(.{8})"\}\n', re.DOTALL)


class Event:
    """An event line. Its form is strict enough to be split without a JSON parser."""

    def __init__(self, line, proven):
        begin = EVENT.match(line)
        if not begin:
            raise Malformed("no event")
        self.index, self.revision = number(int(begin[1]), U64), number(int(begin[3]), U32)
        data, found, rest = line[begin.end() :].partition(b',"metadata":')
        metadata, found_too, rest = rest.partition(b',"leaf":"')
        if not found or not found_too or not is_object(data) or not is_object(metadata):
            raise Malformed("no data or metadata")
        leaf, rest = rest[:44], rest[44:]
        fields = [b"keyledger-leaf-v1", begin[2], str(self.revision).encode()]
        fields += [begin[4], begin[5], data, metadata]
        entry = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
        self.computed, self.declared = sha256(b"\x00" + entry), to_hash(ascii_text(leaf))
        self.stream, self.data = ascii_text(begin[2]), data
        if not STREAM.fullmatch(self.stream):
            raise Malformed("no stream of a key")
        self.at = ascii_text(data.partition(b'"occurred_at":"')[2][:27])
        if not TIME.fullmatch(self.at):
            raise Malformed("no time")
        proof = PROOF.fullmatch(rest)
        if proven != bool(proof) or not proven and rest != b'"}\n':
            raise Malformed("a proof that should not be there, or none")
        if proof:
            hashes = proof[1].split(b",") if proof[1] else []
            self.proof = [to_hash(ascii_text(hashed[1:-1])) for hashed in hashes]

    def __str__(self):
        return f"event {self.index} ({self.stream}, revision {self.revision})"


def is_object(data):
    return data.startswith(b"{") and data.endswith(b"}")


def ascii_text(data):
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise Malformed("not ASCII") from error


class Header:
    def __init__(self, line):
        value = parse_line(
            line,
            ("keyledger_export", "origin", "public_key", "checkpoint", "events"),
            ("subset",),
        )
        self.version = number(value["keyledger_export"], U32)
        self.origin, self.public_key = text(value["origin"]), text(value["public_key"])
        self.checkpoint, self.events = text(value["checkpoint"]), number(value["events"], U64)
        self.subset = value.get("subset")
        if self.subset is not None:
            self.check_subset()

    def check_subset(self):
        if not isinstance(self.subset, dict):
            raise Malformed("no subset")
        if not set(self.subset) <= {"user_id", "key_id", "from", "to"}:
            raise Malformed("a subset of an unknown kind")
        self.subset = {name: text(v) for name, v in self.subset.items() if v is not None}
        if not UUID.fullmatch(self.subset.get("key_id", "0" * 8 + "-0000" * 3 + "-" + "0" * 12)):
            raise Malformed("no key id")
        if not all(is_time(self.subset[name]) for name in ("from", "to") if name in self.subset):
            raise Malformed("no time")


# The checks.


class Streams:
    def __init__(self, from_the_first, find):
        self.reached, self.from_the_first, self.find = {}, from_the_first, find

    def follow(self, event):
        if event.stream in self.reached:
            revision, at = self.reached[event.stream]
            expected = min(revision + 1, U32 - 1)
            if event.at < at:
                self.find(f"redated-event: {event} is dated before its predecessor")
        else:
            expected = 0 if self.from_the_first else event.revision
        self.reached[event.stream] = (event.revision, event.at)
        if event.revision != expected:
            self.find(
                f"revision-gap: event {event.index} of {event.stream} "
                f"has revision {event.revision}, not {expected}"
            )


class Whole:
    """Checks a whole export: builds the tree again from all events."""

    def __init__(self, checkpoint, earlier, find):
        self.size, self.root, self.find = checkpoint.size, checkpoint.root, find
        self.earlier, self.streams = list(earlier), Streams(True, find)
        self.next, self.held, self.gaps, self.strays = 0, None, [], []
        self.declared, self.computed, self.differing = Tree(), Tree(), []
        self.open(0)

    def open(self, range_number):
        self.range, self.hash, self.disputed = range_number, None, False
        self.events = [None] * max(0, min(RANGE, self.size - range_number * RANGE))

    # Which event stands at which index.

    def event(self, event, line):
        if event.index >= self.size:
            self.find(
                f"added-event: line {line} is not of the tree: it was added as event {event.index}"
            )
            return
        held, self.held = self.held, None
        if held and event.index < held[0].index:
            self.stray(*held)
        elif held:
            self.take(held[0])
        if event.index > self.next:
            self.held = (event, line)
        elif event.index == self.next:
            self.take(event)
        else:
            self.stray(event, line)

    def settle(self):
        held, self.held = self.held, None
        if held:
            self.take(held[0])

    def take(self, event):
        if event.index > self.next:
            self.gap(self.next, event.index - 1)
        self.next = event.index + 1
        self.differ(event)
        if event.index // RANGE != self.range:
            self.advance(event.index // RANGE)
        self.put(event)

    def stray(self, event, line):
        if len(self.strays) < LIMIT:
            self.strays.append([event, line, False])
        else:
            self.find(f"duplicated-event: event {event.index} stands there again, on line {line}")
        if event.index // RANGE == self.range:
            self.put(event)
        elif event.computed != event.declared:
            self.find(f"altered-event: {event} was altered")

    def gap(self, first, last):
        if len(self.gaps) < LIMIT:
            self.gaps.append((first, last))
        else:
            self.find(missing_events(first, last))

    def differ(self, event):
        """Marks the strays that have this event's index and a different entry."""
        for stray in self.strays:
            if stray[0].index == event.index and stray[0].computed != event.computed:
                stray[2] = True

    def put(self, event):
        there = self.events[event.index % RANGE]
        if there is None:
            self.events[event.index % RANGE] = event
        elif there.computed != event.computed:
            self.disputed = True
            self.differ(there)
            self.differ(event)

    # The ranges of 256 events, and their hashes.

    def range_line(self, range_number, hashed):
        self.settle()
        if range_number == self.range + 1 and range_number * RANGE < self.size:
            self.advance(range_number)
        if range_number == self.range and self.hash is None:
            self.hash = hashed
        else:
            self.find(
                f"altered-range-line: the line of range {range_number} "
                "was altered or does not belong there"
            )

    def advance(self, range_number):
        closed = self.range
        self.close()
        self.skip(closed + 1, range_number)
        self.open(range_number)

    def skip(self, first, end):
        if first < end:
            self.find(missing_range_lines(first, end - 1))
            self.declared = self.computed = None

    def close(self):
        events = [event for event in self.events if event]
        complete = len(events) == len(self.events)
        for event in events:
            self.streams.follow(event)
        computed = root_of(event.computed for event in events) if complete else None
        told = root_of(event.declared for event in events) if complete else None
        for event in events:
            if event.computed != event.declared:
                if complete and computed == self.hash:
                    self.find(
                        f"altered-leaf: the leaf hash of event {event.index} was altered, "
                        "the event was not"
                    )
                else:
                    self.find(f"altered-event: {event} was altered")
        if self.hash is None:
            self.find(missing_range_lines(self.range, self.range))
        leaves = []
        if complete:
            right = told == self.hash != computed
            leaves = [event.declared if right else event.computed for event in events]
        self.compare_earlier(leaves)
        fits = self.hash in (computed, told)
        if complete and not self.disputed and self.hash is not None and not fits:
            if self.differing and self.differing[-1][1] + 1 == self.range:
                self.differing[-1][1] = self.range
            elif len(self.differing) < LIMIT:
                self.differing.append([self.range, self.range])
        if self.disputed:
            computed = None
        self.declared = grown(self.declared, self.hash or computed)
        self.computed = grown(self.computed, computed or self.hash)

    def compare_earlier(self, leaves):
        first, left = self.range * RANGE, []
        for checkpoint in self.earlier:
            within = checkpoint.size - first
            if self.declared is None or not 0 < within <= len(leaves):
                left.append(checkpoint)
                continue
            tree = self.declared.copy()
            tree.append(root_of(leaves[:within]))
            if tree.root() != checkpoint.root:
                self.find(rewritten(checkpoint.size))
        self.earlier = left

    # The end of the export.

    def finish(self):
        self.settle()
        ranges = (self.size + RANGE - 1) // RANGE
        if ranges:
            self.close()
            self.skip(self.range + 1, ranges)
        self.end_sequence()
        lines_hold = self.declared is not None and self.declared.root() == self.root
        events_hold = self.computed is not None and self.computed.root() == self.root
        if not lines_hold and not events_hold:
            self.find("root-differs: the events do not lead to the checkpoint's root")
        for first, last in self.differing:
            if events_hold and not lines_hold:
                for range_number in range(first, last + 1):
                    self.find(
                        f"altered-range-line: the line of range {range_number} "
                        "was altered or does not belong there"
                    )
            else:
                first, last = first * RANGE, min(last * RANGE + RANGE, self.size) - 1
                self.find(
                    f"altered-range: among events {first} to {last} "
                    "some were altered with their leaf hashes"
                )
        for checkpoint in self.earlier:
            if checkpoint.size == 0:
                if checkpoint.root != sha256(b""):
                    self.find(rewritten(0))
            elif checkpoint.size > self.size:
                self.find(shortened(checkpoint.size))
            else:
                self.find(uncompared(checkpoint.size))

    def end_sequence(self):
        if self.next < self.size:
            self.gap(self.next, self.size - 1)
        for stray in self.strays:
            event, line, other = stray
            if self.fill(event.index):
                self.find(
                    f"reordered-event: event {event.index} stands out of order, on line {line}"
                )
                self.differ(event)
            elif other:
                self.find(
                    f"added-event: line {line} is not of the tree: "
                    f"it was added as event {event.index}"
                )
            else:
                self.find(
                    f"duplicated-event: event {event.index} stands there again, on line {line}"
                )
        for first, last in self.gaps:
            self.find(missing_events(first, last))

    def fill(self, index):
        for at, (first, last) in enumerate(self.gaps):
            if first <= index <= last:
                parts = [(first, index - 1), (index + 1, last)]
                self.gaps[at : at + 1] = [part for part in parts if part[0] <= part[1]]
                return True
        return False


def grown(tree, hashed):
    if tree is None or hashed is None:
        return None
    tree.append(hashed)
    return tree


def missing_range_lines(first, last):
    if first == last:
        return f"missing-range-lines: the line of range {first} is missing"
    return f"missing-range-lines: the lines of ranges {first} to {last} are missing"


def missing_events(first, last):
    if first == last:
        return f"missing-events: event {first} is missing"
    return f"missing-events: events {first} to {last} are missing"


def rewritten(size):
    return (
        f"rewritten-history: the first {size} events are not those of the earlier checkpoint"
    )


def shortened(size):
    return f"shortened-history: an earlier checkpoint has {size} events, more than this one"


def uncompared(size):
    return f"uncompared-checkpoint: the earlier checkpoint of {size} events cannot be compared"


class Proven:
    """Checks a subset: each event by its inclusion proof."""

    def __init__(self, subset, checkpoint, earlier, find):
        self.subset, self.checkpoint, self.earlier, self.find = subset, checkpoint, earlier, find
        self.streams, self.last = Streams("from" not in subset, find), None
        # This can only match a member: inside a JSON string, quotes are escaped.
        user_id = json.dumps(subset.get("user_id"), ensure_ascii=False)
        self.owner = f'"user_id":{user_id}'.encode() if "user_id" in subset else b""

    def event(self, event, line):
        index, size, root = event.index, self.checkpoint.size, self.checkpoint.root
        if index >= size:
            self.find(f"added-event: line {line} is not of the tree: it was added as event {index}")
            return
        if is_included(event.computed, index, size, event.proof, root):
            if event.computed != event.declared:
                self.find(
                    f"altered-leaf: the leaf hash of event {index} was altered, the event was not"
                )
        elif event.computed != event.declared and is_included(
            event.declared, index, size, event.proof, root
        ):
            self.find(f"altered-event: {event} was altered")
        else:
            self.find(
                f"wrong-proof: {event} is not proven: "
                "its proof was altered, or the event with its leaf hash"
            )
        if not self.is_of_subset(event):
            self.find(f"not-in-subset: {event} is none of the subset's")
        if self.last is not None and index == self.last:
            self.find(f"duplicated-event: event {index} stands there again, on line {line}")
        elif self.last is not None and index < self.last:
            self.find(f"reordered-event: event {index} stands out of order, on line {line}")
        else:
            self.last = index
            self.streams.follow(event)

    def is_of_subset(self, event):
        subset = self.subset
        return (
            self.owner in event.data
            and event.stream.endswith(subset.get("key_id", ""))
            and subset.get("from", event.at) <= event.at
            and ("to" not in subset or event.at < subset["to"])
        )

    def finish(self):
        for checkpoint in self.earlier:
            if checkpoint.size > self.checkpoint.size:
                self.find(shortened(checkpoint.size))
            elif checkpoint.size < self.checkpoint.size:
                self.find(uncompared(checkpoint.size))
            elif checkpoint.root != self.checkpoint.root:
                self.find(rewritten(checkpoint.size))


class Verifier:
    def __init__(self, keys):
        self.keys, self.earlier = keys, []
        self.findings, self.more, self.kept = [], 0, 0
        self.header = self.checkpoint = self.body = None
        self.events, self.crc32 = 0, 0
        self.begun = self.over = False

    def continues_file(self, name):
        """Adds a file of earlier signed notes, which the tree has to continue."""
        with open(name, "rb") as file:
            data = file.read()
        if why := mangled_notes(data):
            self.find(f"mangled-file: {name}: {why}")
        else:
            for count, text in enumerate(notes_of(data.decode("utf-8", errors="replace")), 1):
                self.continues(text, f"{name}, note {count}")
        self.kept = len(self.findings)

    def continues(self, text, place):
        note = attempt(Note, text)
        checkpoint = attempt(Checkpoint, note.text) if note else None
        distrusted = distrust(note, checkpoint, self.keys)
        if distrusted:
            self.find(f"unbelieved-checkpoint: {place}: {distrusted}")
        else:
            self.earlier.append(checkpoint)

    def find(self, finding):
        if len(self.findings) < LIMIT:
            self.findings.append(finding)
        else:
            self.more += 1

    def run(self, file):
        line_number, too_long = 0, False
        start, line_ends, rest = b"", [], b""
        while line := file.readline(MAX_LINE + 1):
            start += line[: START - len(start)]
            if line.endswith(b"\n"):
                line_ends[1:] = [line.endswith(b"\r\n")]
            rest = b"" if line.endswith(b"\n") or too_long else line
            if len(line) > MAX_LINE or too_long:
                # A line that is too long is read in parts, of which only the checksum is kept.
                self.crc32 = zlib.crc32(line, self.crc32)
                too_long = not line.endswith(b"\n")
                if not too_long:
                    line_number += 1
                    self.find(f"unreadable-line: line {line_number} cannot be read")
            elif line.endswith(b"\n"):
                line_number += 1
                self.line(line, line_number)
            elif self.over:
                self.find(f"after-trailer: line {line_number + 1} comes after the last")
        if not self.begun:
            self.find("not-an-export: the file is no export of a version that is known")
        elif not self.over:
            self.finish_body()
            trailer = b'{"events":%d,"crc32":"%08x"}' % (self.events, self.crc32)
            if len(self.findings) == self.kept and rest == trailer:
                self.find(f"mangled-file: {NO_LINE_FEED}")
            else:
                self.find("truncated-file: the file ends before its last line does")
        why = mangled_at_start(start) or (CR_LF if line_ends and all(line_ends) else None)
        if why and len(self.findings) > self.kept:
            # Of the content of the file, nothing can be said.
            self.findings[self.kept :], self.more = [f"mangled-file: {why}"], 0

    def line(self, line, line_number):
        if self.begun and not self.over and line.startswith(b'{"events":'):
            self.over = True
            self.finish_body()
            self.trailer(line)
            return
        self.crc32 = zlib.crc32(line, self.crc32)
        if not self.begun:
            self.begun = True
            self.read_header(line)
        elif self.over:
            self.find(f"after-trailer: line {line_number} comes after the last")
        else:
            self.events += line.startswith(b'{"index":')
            try:
                self.read(line, line_number)
            except Malformed:
                self.find(f"unreadable-line: line {line_number} cannot be read")

    def read(self, line, line_number):
        if self.body is None:
            return
        if line.startswith(b'{"index":'):
            event = Event(line, isinstance(self.body, Proven))
            self.body.event(event, line_number)
        elif line.startswith(b'{"range":') and isinstance(self.body, Whole):
            said = RANGE_LINE.fullmatch(line)
            if not said:
                raise Malformed("no range")
            self.body.range_line(number(int(said[1]), U64), to_hash(ascii_text(said[2])))
        else:
            raise Malformed("a line of no known kind")

    def read_header(self, line):
        header = attempt(Header, line)
        if not line.startswith(b'{"keyledger_export":') or header and header.version != 1:
            self.find("not-an-export: the file is no export of a version that is known")
            return
        if header is None:
            self.find("altered-header: the form of the first line was altered")
            return
        self.header = header
        note = attempt(Note, header.checkpoint)
        checkpoint = attempt(Checkpoint, note.text) if note else None
        own = attempt(Key, header.public_key)
        if not self.keys:
            self.keys = [own] if own else []
        elif own is None or did_not_sign(note, checkpoint, own):
            self.find("altered-header: the public key of the first line was altered")
        distrusted = distrust(note, checkpoint, self.keys)
        if distrusted:
            self.find(distrusted)
        if checkpoint is None:
            return
        self.checkpoint = checkpoint
        if header.origin != checkpoint.origin:
            self.find("altered-header: the origin of the first line was altered")
        if header.subset is not None:
            self.body = Proven(header.subset, checkpoint, self.earlier, self.find)
            return
        if header.events != checkpoint.size:
            self.find("altered-header: the number of events of the first line was altered")
        self.body = Whole(checkpoint, self.earlier, self.find)

    def finish_body(self):
        if self.body is not None:
            self.body.finish()
        if self.header and self.header.events != self.events:
            self.find(
                f"count-differs: {self.header.events} events are announced, "
                f"{self.events} are there"
            )

    def trailer(self, line):
        said = TRAILER.fullmatch(line)
        if not said or int(said[1]) != self.events:
            self.find("altered-trailer: the last line was altered")
        if said and said[2] != b"%08x" % self.crc32:
            self.find("checksum-differs: the file's bytes are not those that were written")


def main():
    parser = argparse.ArgumentParser(description="Checks exports of keyledger.")
    parser.add_argument("--key", action="append", default=[], metavar="PUBLIC_KEY")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="CHECKPOINT_FILE")
    parser.add_argument("files", nargs="+", metavar="EXPORT")
    arguments = parser.parse_args()
    try:
        keys = [Key(key) for key in arguments.key]
    except Malformed as error:
        parser.error(f"--key: {error}")
    if arguments.checkpoint and not keys:
        parser.error("give --key with --checkpoint: whom to believe")
    codes = set()
    for path in arguments.files:
        try:
            verifier = Verifier(list(keys))
            for name in arguments.checkpoint:
                verifier.continues_file(name)
            with open(path, "rb") as file:
                verifier.run(file)
        except (OSError, ValueError, Malformed) as error:
            print(f"{path}: cannot be read: {error}", file=sys.stderr)
            codes.add(2)
            continue
        for finding in verifier.findings:
            print(f"{path}: {finding}")
        if verifier.more:
            print(f"{path}: and {verifier.more} more")
        if verifier.findings:
            names = {it.partition(":")[0] for it in verifier.findings}
            codes.add(2 if "not-an-export" in names else 3 if names == {"mangled-file"} else 1)
        else:
            checkpoint = verifier.checkpoint
            print(f"{path}: good: {verifier.events} events of {checkpoint.origin}, ", end="")
            print(f"checkpoint of {checkpoint.size}")
    return next((code for code in (2, 1, 3) if code in codes), 0)


if __name__ == "__main__":
    sys.exit(main())
