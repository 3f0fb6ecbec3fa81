"""What every result is shown as: a table of HTML, a table of pandas, axes to draw into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from advplug.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def html_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts, which may hold any character; the first text of a row is its header."""
    return "".join(
        (
            "<table><thead><tr>",
            *(f'<th scope="col">{escape(head)}</th>' for head in heads),
            "</tr></thead><tbody>",
            *(f'<tr><th scope="row">{escape(name)}</th>{_cells(texts)}</tr>' for name, *texts in rows),
            "</tbody></table>",
        )
    )


def _cells(texts: Iterable[str]) -> str:
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def data_frame(data: Any, columns: Sequence[str] | None = None) -> Any:
    """A ``pandas.DataFrame`` of ``data``.

    Raises
    ------
    InvalidInput: pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ModuleNotFoundError as error:
        raise InvalidInput("pandas is not installed: pip install 'advplug[pandas]'") from error
    return pandas.DataFrame(data, columns=columns)


def axes(ax: Axes | None) -> Axes:
    """``ax``, or those of a new figure of pyplot, which a notebook shows."""
    if ax is not None:
        return ax
    made: Axes = import_module("matplotlib.pyplot").subplots(figsize=(6, 3.5), layout="constrained")[1]
    return made
