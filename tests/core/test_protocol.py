"""The door's messages survive the way across, and nothing else gets through."""

import ast
import math
import sys
from pathlib import Path

import pytest

from vendor_model import protocol

PHOTO = protocol.PhotoFile("/tmp/Grüße 写真.png", "key")
OBJECT = protocol.ObjectFiles(
    "v.npy", "f.npy", "c.npy", (1.0, 0.0, 0.0, 0.0), (0.1, 0.2, 3.0), (2.0, 2.0, 2.0), 0.875
)
IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
MESSAGES = [
    protocol.LoadPhoto(1, "/tmp/job", PHOTO),
    protocol.Segment(2, "/tmp/job", PHOTO, ((1.5, 2.0), (0.0, 0.0)), (True, False), (0.0, 0.0, 9.0, 9.0)),
    protocol.Segment(2, "/tmp/job", PHOTO, (), (), None),
    protocol.Segment(2, "/tmp/job", PHOTO, ((1.5, 2.0),), (True,), segmenter="/models/sam 2.1"),
    protocol.FindObjects(8, "/tmp/job", PHOTO),
    protocol.FindObjects(8, "/tmp/job", PHOTO, "gelber Stuhl “Ü”", "facebook/sam3"),
    protocol.Reconstruct(3, "/tmp/job", PHOTO, ("a.npy", "b.npy"), 42, refine_layout=False),
    protocol.Reconstruct(3, "/tmp/job", PHOTO, ("a.npy",), 42, preset="draft", memory="low"),
    protocol.Reconstruct(
        3, "/tmp/job", PHOTO, ("a.npy",), 42, depth=protocol.DepthFile("d.npy", "key"), focal_px=500.5
    ),
    protocol.ObtainModel(5, "/tmp/job", "/addon/official", "/data/big"),
    protocol.ObtainModel(5, "/tmp/job", "/addon/official", "/data/big", "/downloads/big"),
    protocol.Status(4, "/tmp/job"),
    protocol.Cancel(3),
    protocol.Shutdown(),
    protocol.Ready(protocol.PROTOCOL_VERSION),
    protocol.Progress(3, "geometry", 0.25, 1.5),
    protocol.Notice(3, "Memory ran out: nothing is kept between steps now."),
    protocol.PhotoLoaded(1, 480, 640, None),
    protocol.Segmented(2, "mask.npy"),
    protocol.ObjectsFound(8, ("mask_0.npy", "mask_1.npy"), (0.9, 0.5)),
    protocol.ObjectsFound(8, (), ()),
    protocol.Reconstructed(3, (OBJECT, OBJECT), IDENTITY, 480, 640, {"geometry": 1.0}, 2**31),
    protocol.Reconstructed(3, (None, OBJECT), IDENTITY, 480, 640, {"geometry": 1.0}, 2**31),
    protocol.ModelObtained(5, "/data/big"),
    protocol.WorkerStatus(4, "mini", "cpu", 2**31),
    protocol.Failed(3, protocol.ErrorKind.USER, "The mask is empty: click the object."),
    protocol.Cancelled(3),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_message_survives_the_way_across(message):
    line = protocol.encode(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and line.isascii()
    assert protocol.decode(line) == message


def test_every_message_is_tried_here():
    assert {type(message) for message in MESSAGES} == {*protocol.REQUESTS, *protocol.EVENTS}


def test_path_that_is_no_unicode_survives():
    message = protocol.LoadPhoto(1, "/tmp/\udcff", PHOTO)
    assert protocol.decode(protocol.encode(message)) == message


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"Downloading weights: 30 %\n",
        b"[1, 2]\n",
        b'"Ready"\n',
        b'{"message": "Explode"}\n',
        b'{"message": "Cancel"}\n',
        b'{"message": "Cancel", "job": 1, "why": "unknown key"}\n',
        b'{"message": "LoadPhoto", "job": 1, "folder": "", "photo": "a string"}\n',
        b'{"message": "Failed", "job": 1, "kind": "unheard of", "sentence": ""}\n',
        b"\xff\xfe{}\n",
    ],
)
def test_line_that_is_no_message_is_refused(line):
    with pytest.raises(protocol.ProtocolError):
        protocol.decode(line)


def test_number_that_json_does_not_know_is_refused():
    with pytest.raises(ValueError):
        protocol.encode(protocol.Progress(1, "geometry", math.nan, 0.0))


def test_object_that_is_no_message_is_refused():
    with pytest.raises(TypeError):
        protocol.encode({"message": "Cancel", "job": 1})


def test_protocol_needs_the_standard_library_only():
    tree = ast.parse(Path(protocol.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    assert imported <= sys.stdlib_module_names
