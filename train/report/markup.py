"""HTML that is escaped by construction: only what is made here is taken for markup."""

from __future__ import annotations

import html
from collections.abc import Sequence

from convert.command.printed import without_controls

_VOID = {"img", "meta", "link", "circle", "line", "path", "rect", "polyline"}


class Html(str):
    """Text that is HTML; any other string is escaped where it is put into it."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Returns text as HTML shows it, without control characters; HTML stays what it is."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(without_controls(str(value))))


def joined(*children: object) -> Html:
    """Returns children side by side; None is left out."""
    return Html("".join(escaped(child) for child in children if child is not None))


def element(name: str, /, *children: object, **attributes: object) -> Html:
    """Returns an element.

    Args:
        name: Of the element.
        *children: Its content: HTML, or values that are escaped. None is left out.
        **attributes: `class_` stands for class, `aria_label` for aria-label. None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{joined(*children)}</{name}>")


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    caption: str,
    numbers: set[int] | None = None,
) -> Html:
    """Returns a table whose first column names its rows.

    Args:
        head: Names of the columns. Empty: what the cells say is clear without.
        rows: A cell for each column.
        caption: What the table shows.
        numbers: Columns that are set flush right.
    """
    right = numbers or set()

    def cells(values: Sequence[object], name: str) -> Html:
        return joined(
            *(
                element(
                    "th" if index == 0 else name,
                    value,
                    class_="number" if index in right else None,
                    scope=("col" if name == "th" else "row") if name == "th" or not index else None,
                )
                for index, value in enumerate(values)
            )
        )

    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", cells(head, "th"))) if head else None,
            element("tbody", *(element("tr", cells(row, "td")) for row in rows)),
        ),
        class_="table",
    )


def bar(share: float, kind: str = "") -> Html:
    """Returns a horizontal bar; the number stands beside it for those who do not see it."""
    filled = element("span", style=f"width:{100 * min(max(share, 0), 1):.4g}%", class_=kind or None)
    return element("span", filled, class_="bar", aria_hidden="true")
