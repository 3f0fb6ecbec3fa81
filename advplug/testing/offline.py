"""What a data plugin can do without a network."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any
from unittest import mock

from advplug.data import Dataset, Images
from advplug.errors import DataUnavailable
from advplug.testing.subject import NotApplicable


@contextmanager
def offline(*, empty: bool = False) -> Iterator[None]:
    """No connection can be made; if ``empty``, ``ADVPLUG_DATA`` is a new folder, so that nothing is there either."""

    def refuse(*_: object, **__: object) -> Any:
        raise OSError("the conformance checks make no connections")

    with tempfile.TemporaryDirectory() as folder:
        variables = {"ADVPLUG_DATA": folder} if empty else {}
        with ExitStack() as stack:
            stack.enter_context(mock.patch.dict(os.environ, variables))
            stack.enter_context(mock.patch.object(socket.socket, "connect", refuse))
            stack.enter_context(mock.patch.object(socket, "getaddrinfo", refuse))
            if find_spec("pooch") is not None:  # it makes the folder before it fails
                stack.enter_context(mock.patch("pooch.retrieve", refuse))
            yield


def some_images(dataset: Dataset, limit: int) -> tuple[str, Images]:
    """The name and the first ``limit`` images of the first split that is here.

    Raises
    ------
    NotApplicable: none is.
    """
    with offline():
        for split in dataset.splits:
            try:
                return split, dataset.load(split, limit)
            except DataUnavailable:
                continue
    raise NotApplicable("no split is on this machine: put the files below ADVPLUG_DATA to check it")
